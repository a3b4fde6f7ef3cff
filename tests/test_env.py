"""Environment variables of launchers and SLURM."""

import pytest

from tavlo_pl import env
from tavlo_pl.errors import ConfigError

LAUNCHERS = ("RANK", "SLURM_PROCID", "SLURM_NTASKS", "LOCAL_RANK", "NODE_RANK")


@pytest.mark.parametrize(
    ("variables", "first", "launched"),
    [
        ({}, True, False),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, True, False),  # a batch script or one task of an array
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, True, True),  # srun
        ({"SLURM_PROCID": "4", "SLURM_NTASKS": "8"}, False, True),  # the first process of the second machine
        ({"RANK": "0", "LOCAL_RANK": "0"}, True, True),  # torchrun
        ({"RANK": "4", "LOCAL_RANK": "0"}, False, True),
        ({"NODE_RANK": "1"}, False, True),  # one command per machine
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False, True),  # started by Lightning
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "LOCAL_RANK": "1"}, False, True),
    ],
)
def test_process_number_is_0_in_the_first_process(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], first: bool, launched: bool
) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (env.process_number() == 0, env.launched()) == (first, launched)


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "4711"}, "4711"),
        ({"SLURM_JOB_ID": "4712", "SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "3"}, "4700_3"),
    ],
)
def test_slurm_job_is_the_id_for_requeueing(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], job: str | None
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert env.slurm_job() == job


def test_clip_timeout_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(env.CLIP_TIMEOUT_S, raising=False)
    assert env.clip_timeout_s() == 120
    for value, seconds in (("0", 0), ("2.5", 2.5)):
        monkeypatch.setenv(env.CLIP_TIMEOUT_S, value)
        assert env.clip_timeout_s() == seconds
    for value in ("-1", "nan", "inf", "soon", ""):
        monkeypatch.setenv(env.CLIP_TIMEOUT_S, value)
        with pytest.raises(ConfigError, match="TAVLO_CLIP_TIMEOUT_S is"):
            env.clip_timeout_s()
