"""The script for SLURM, with a program in place of Ray that records how it is called."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "slurm_ray.sh"
RAY = """#!/bin/bash
echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN $*" >> calls
[ "$2" != --head ] || exec sleep 60
"""
COMMAND = (
    "bash",
    "-c",
    'echo "$@" > command; until [ -e joined ]; do sleep 0.05; done; exit 3',
    "_",
    "predict",
    "videos",
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="hostname -I")


def start(number: int, folder: Path, *command: str) -> subprocess.Popen[bytes]:
    variables = {"SLURM_ARRAY_JOB_ID": "4711", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_ID": str(number)}
    variables |= {"SLURM_CPUS_PER_TASK": "16", "PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.Popen(["bash", SCRIPT, *command], cwd=folder, env=os.environ | variables)


def test_script_joins_the_tasks_of_an_array(tmp_path: Path) -> None:
    (tmp_path / "ray").write_text(RAY)
    (tmp_path / "ray").chmod(0o755)
    first, note = start(0, tmp_path, *COMMAND), tmp_path / ".ray-4711"
    until_s = time.monotonic() + 60
    while not (tmp_path / "command").exists() and time.monotonic() < until_s:
        time.sleep(0.02)
    address, token = note.read_text().split()
    assert note.stat().st_mode & 0o777 == 0o600 and len(token) == 64
    assert start(1, tmp_path).wait() == 0
    (tmp_path / "joined").touch()
    assert first.wait() == 3, "the exit code of the command"
    assert not note.exists()
    assert (tmp_path / "command").read_text() == f"predict videos --engine ray --ray.address {address}\n"
    *calls, other = (tmp_path / "calls").read_text().splitlines()
    [head] = [call for call in calls if " start --head " in call]  # the first may be a check that waits for it
    assert head.startswith(f"token {token} start --head ") and "--num-cpus 16 --num-gpus 0" in head
    assert address.endswith(":24711") and f"--port {address.rpartition(':')[2]} " in head
    assert other == f"token {token} start --address {address} --num-cpus 16 --num-gpus 0 --block"
