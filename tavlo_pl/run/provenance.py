"""Where a run comes from: the command, the code and the machine, kept as ``run.json`` in its folder.

With ``config.yaml`` beside it, it says what is needed to repeat a run: ``tavlo fit --config RUN/config.yaml``.
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
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.run.directory import ORIGIN

GIT_TIMEOUT_S = 10
PACKAGE = Path(__file__).parents[1]


def note_start(folder: Path, words: Sequence[str], resumes: bool) -> None:
    """Writes ``run.json``: a list with an entry for each time that the run was started.

    Args:
        folder: the run folder.
        words: of the command line, without ``tavlo``.
        resumes: earlier starts are kept.
    """
    earlier = read(folder) if resumes else []
    start = {
        "command": shlex.join(["tavlo", *words]),
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


def note(folder: Path, **facts: Any) -> None:
    """Adds to the entry of the last start.

    Args:
        folder: the run folder.
        facts: plain values by name.
    """
    *earlier, last = read(folder) or [{}]
    _write(folder, [*earlier, last | facts])


def read(folder: Path) -> list[dict[str, Any]]:
    """The starts of a run; none where nothing was noted, or somebody changed it to something else."""
    try:
        starts = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return starts if isinstance(starts, list) and all(isinstance(start, dict) for start in starts) else []


def versions() -> dict[str, str]:
    """Of the packages that this one needs; empty where it runs without being installed."""
    try:
        needed = metadata.requires("tavlo_pl") or []
        names = [re.match(r"[\w.-]+", line)[0] for line in needed if "extra ==" not in line]  # type: ignore[index]
        return {name: metadata.version(name) for name in names}
    except metadata.PackageNotFoundError:
        return {}


def git_revision(root: Path) -> str | None:
    """The commit of a checkout, with ``+changes`` where files differ from it; None elsewhere."""
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):  # no git, or not ours to ask
        return None


def _write(folder: Path, starts: list[dict[str, Any]]) -> None:
    write_text_atomic(folder / ORIGIN, json.dumps(starts, indent=2) + "\n")
