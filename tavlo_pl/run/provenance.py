"""Provenance of a run: command, code, machine and data, stored as ``run.json`` in its folder.

Together with ``config.yaml`` it is enough to repeat a run: ``tavlo fit --config RUN/config.yaml``.
"""

import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from tavlo_pl import __version__
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import read_json
from tavlo_pl.run.directory import PROVENANCE

GIT_TIMEOUT_S = 10
PACKAGE = Path(__file__).parents[1]


def record_start(folder: Path, args: Sequence[str], *, resumes: bool) -> None:
    """Writes ``run.json``: a list with one entry for each start of the run.

    Args:
        folder: the run folder.
        args: command line without ``tavlo``.
        resumes: keep the entries of earlier starts.
    """
    earlier = read(folder) if resumes else []
    start = {
        "command": shlex.join(["tavlo", *args]),
        "folder": os.getcwd(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "version": __version__,
        "git": git_revision(PACKAGE.parent),
        "python": platform.python_version(),
        "packages": versions(),
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        },
    }
    _write(folder, [*earlier, start])


def record(folder: Path, **values: Any) -> None:
    """Adds values to the entry of the last start.

    Args:
        folder: the run folder.
        values: plain values by name.
    """
    *earlier, last = read(folder) or [{}]
    _write(folder, [*earlier, last | values])


def read(folder: Path) -> list[dict[str, Any]]:
    """Returns the starts of a run; an empty list where ``run.json`` is missing or was changed to something else."""
    try:
        starts = read_json(folder / PROVENANCE)
    except AnnotationError:
        return []
    return starts if isinstance(starts, list) and all(isinstance(start, dict) for start in starts) else []


def versions() -> dict[str, str]:
    """Returns the versions of the required packages; empty where this package is not installed."""
    try:
        required = metadata.requires("tavlo_pl") or []
        names = [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]
        return {name: metadata.version(name) for name in names}
    except metadata.PackageNotFoundError:
        return {}


def git_revision(root: Path) -> str | None:
    """Returns the commit of a checkout, with ``+changes`` where files differ from it; None outside a checkout."""
    if not (root / ".git").exists():
        return None

    def git(*args: str) -> str:
        command = ["git", "-C", str(root), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout of another user
        return None


def _write(folder: Path, starts: list[dict[str, Any]]) -> None:
    write_text_atomic(folder / PROVENANCE, json.dumps(starts, indent=2) + "\n")
