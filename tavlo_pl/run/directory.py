"""The run folder: where it is, what lies in it, and who may write to it.

::

    RUN/config.yaml                      what was run, every default spelled out
    RUN/run.json                         command, versions, git revision, machine and data of each start
    RUN/checkpoints/best.ckpt last.ckpt  best on the validation clips; last to go on from
    RUN/events.out.tfevents.*            TensorBoard
    RUN/error.log                        traceback of a failed run
    RUN/test/, predict/, diagnose/       what was later made from its checkpoints
"""

import hashlib
import os
import shutil
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from tavlo_pl import env
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io.locking import LOCK

CONFIG = "config.yaml"
ORIGIN = "run.json"
CHECKPOINTS = "checkpoints"
LAST = "last"
ERROR_LOG = "error.log"
ATTEMPTED = (CONFIG, ORIGIN, ERROR_LOG, "events.out.tfevents.*")
"""What a run leaves that ended before it had anything to keep."""
OVERWRITTEN = (*ATTEMPTED, CHECKPOINTS, "results.json", "*.csv", "gallery")


def choose(verb: str, out: str | None, checkpoint: Path | None, config: str | None) -> Path:
    """The run folder of this command, the same in every process of it.

    Args:
        verb: fit, validate, test, predict or diagnose.
        out: what the user asked for.
        checkpoint: the checkpoint that is read.
        config: the first configuration file.

    Raises:
        ConfigError: a launcher that is not ours started several processes and no folder was given.
    """
    if out:
        return Path(out)
    if env.launched():
        if env.RUN_FOLDER not in os.environ:
            raise ConfigError("processes of a launcher cannot agree on a new run folder; give --out DIR")
        return Path(os.environ[env.RUN_FOLDER])
    if checkpoint is not None and verb != "fit":
        home = checkpoint.parent
        return (home.parent if home.name == CHECKPOINTS else home) / verb
    first = Path("runs", Path(config).stem if config else verb, datetime.now().strftime("%Y%m%d-%H%M%S"))
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(folder for folder in chain([first], others) if not folder.exists())  # a clock may be set back


def find_checkpoint(word: str | None, out: str | None, verb: str) -> Path | None:
    """The checkpoint file that ``--ckpt_path`` means.

    Args:
        word: a path, or ``last`` for the one in the run folder ``out``; None for none.
        out: the run folder, if given.
        verb: fit may find no ``last`` in its run folder, and begins: so one command starts a run and goes on with it.

    Raises:
        CheckpointError: the file is not there.
    """
    if word is None:
        return None
    if word == LAST:
        if not out:
            raise CheckpointError("--ckpt_path last goes on in a run folder; say which one: --out RUN")
        path = Path(out, CHECKPOINTS, f"{LAST}.ckpt")
        if verb == "fit" and not path.is_file() and _is_begun(Path(out)):
            return None
    else:
        path = Path(word)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give --ckpt_path RUN/{CHECKPOINTS}/best.ckpt")
    return path


def _is_begun(folder: Path) -> bool:
    """Whether a folder is new, empty, or that of a run, so that training may begin in it."""
    return not folder.exists() or (folder / CONFIG).is_file() or (folder.is_dir() and not _held(folder))


def _held(folder: Path) -> set[Path]:
    """What lies in a folder, besides what a process that is at it, or was killed at once, has made first."""
    return {path for path in folder.iterdir() if path.name not in (LOCK, f"{CONFIG}.part")}


def claim(folder: Path, resuming: bool, overwrite: bool) -> None:
    """Makes sure that a new run does not mix with what is in its folder; clears away what a mere attempt left.

    Args:
        folder: the run folder, which this process has for itself.
        resuming: the run goes on in it, so that it may be full.
        overwrite: clear an earlier run away; touches only what a run leaves.

    Raises:
        ConfigError: the folder is not empty.
    """
    if resuming:
        return
    attempted = {path for pattern in ATTEMPTED for path in folder.glob(pattern)}
    if not overwrite and _held(folder) - attempted:
        raise ConfigError(
            f"run folder {folder} is not empty; choose another --out, go on in it with --ckpt_path last, "
            "or clear it with --overwrite"
        )
    if _held(folder) and not (folder / CONFIG).is_file():
        raise ConfigError(f"run folder {folder} holds no {CONFIG}, so it is no run to clear; choose another --out")
    for pattern in OVERWRITTEN:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def fingerprint(checkpoint: str | Path | None) -> dict[str, str] | None:
    """Path and sha256 of a checkpoint, to trace a figure by; None for random weights."""
    if checkpoint is None:
        return None
    with Path(checkpoint).open("rb") as file:
        return {"path": str(checkpoint), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
