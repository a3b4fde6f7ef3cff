import pytest

from tavlo_pl import env

LAUNCHERS = ("RANK", "SLURM_PROCID", "SLURM_NTASKS", "LOCAL_RANK", "NODE_RANK")


@pytest.mark.parametrize(
    ("variables", "first", "launched"),
    [
        ({}, True, False),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, True, False),  # a batch script, one task of an array
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, True, True),  # srun
        ({"SLURM_PROCID": "4", "SLURM_NTASKS": "8"}, False, True),  # the first of the second machine
        ({"RANK": "0", "LOCAL_RANK": "0"}, True, True),  # torchrun
        ({"RANK": "4", "LOCAL_RANK": "0"}, False, True),
        ({"NODE_RANK": "1"}, False, True),  # one command a machine
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False, True),  # started by Lightning
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "LOCAL_RANK": "1"}, False, True),
    ],
)
def test_one_process_of_a_run_is_the_first(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], first: bool, launched: bool
) -> None:
    for name in LAUNCHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (env.process_number() == 0, env.launched()) == (first, launched)
