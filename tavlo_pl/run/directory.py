"""The run folder: its path, its files, and whether a new run may start in it.

::

    RUN/config.yaml                      the resolved configuration with all defaults
    RUN/run.json                         command, versions, git revision, machine and data of each start
    RUN/checkpoints/best.ckpt last.ckpt  best on the validation clips; last to resume from
    RUN/events.out.tfevents.*            TensorBoard
    RUN/error.log                        traceback of a failed run
    RUN/test/, predict/, diagnose/       results of its checkpoints
"""

import hashlib
import os
import shutil
from datetime import datetime
from itertools import chain, count
from pathlib import Path

from tavlo_pl import env
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io import hub
from tavlo_pl.io.locking import LOCK

CONFIG = "config.yaml"
PROVENANCE = "run.json"
CHECKPOINTS = "checkpoints"
LAST = "last"
ERROR_LOG = "error.log"
START_FILES = (CONFIG, PROVENANCE, ERROR_LOG, "events.out.tfevents.*")
"""Files of a run that ended before it saved a checkpoint; a new run replaces them."""
RUN_FILES = (*START_FILES, CHECKPOINTS, "results.json", "*.csv", "gallery")
"""Files of a run that ``--overwrite`` removes."""


def choose(command: str, out: str | None, checkpoint: Path | None, config: str | None) -> Path:
    """Returns the run folder of a command, the same one in every process of it.

    Args:
        command: fit, validate, test, predict or diagnose.
        out: the folder that the user gave.
        checkpoint: the checkpoint that is read.
        config: the first configuration file, after which a new folder is named.

    Raises:
        ConfigError: a launcher other than Lightning started several processes, and no folder was given.
    """
    if out:
        return Path(out)
    if env.launched():
        if env.RUN_FOLDER not in os.environ:
            raise ConfigError("the processes of a launcher cannot agree on a new run folder; give --out DIR")
        return Path(os.environ[env.RUN_FOLDER])
    if checkpoint is not None and command != "fit":
        parent = checkpoint.parent
        return (parent.parent if parent.name == CHECKPOINTS else parent) / command
    first = Path("runs", Path(config).stem if config else command, datetime.now().strftime("%Y%m%d-%H%M%S"))
    others = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(folder for folder in chain([first], others) if not folder.exists())  # the clock may be set back


def find_checkpoint(name: str | None, out: str | None, command: str) -> Path | None:
    """Returns the checkpoint file that ``--ckpt_path`` refers to.

    Args:
        name: a path, an address at the hub (`hub.local_path`), or ``last`` for the last checkpoint of the run folder
            ``out``; None for no checkpoint.
        out: the run folder, if given.
        command: where it is ``fit`` and the run folder has no ``last.ckpt`` yet, the result is None: the same command
            starts a run and resumes it.

    Raises:
        CheckpointError: the file does not exist, or cannot be downloaded.
    """
    if name is None:
        return None
    if name == LAST:
        if not out:
            raise CheckpointError("--ckpt_path last resumes the run of a run folder; give the folder: --out RUN")
        path = Path(out, CHECKPOINTS, f"{LAST}.ckpt")
        if command == "fit" and not path.is_file() and _may_start(Path(out)):
            return None
    else:
        path = hub.local_path(name)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give --ckpt_path RUN/{CHECKPOINTS}/best.ckpt")
    return path


def no_weights(command: str) -> CheckpointError:
    """Returns the error for a command that was given no trained weights."""
    return CheckpointError(
        f"{command} needs trained weights: give --ckpt_path RUN/{CHECKPOINTS}/best.ckpt, "
        "or -c CONFIG --allow_untrained for random weights"
    )


def _may_start(folder: Path) -> bool:
    """Whether a folder is new, empty or that of a run, so that training may start in it."""
    return not folder.exists() or (folder / CONFIG).is_file() or (folder.is_dir() and not _contents(folder))


def _contents(folder: Path) -> set[Path]:
    """Files of a folder, without those that a process creates before all others and leaves behind if it is killed."""
    return {path for path in folder.iterdir() if path.name not in (LOCK, f"{CONFIG}.part")}


def prepare(folder: Path, *, resumes: bool, overwrite: bool) -> None:
    """Makes sure that a new run does not mix with other files; removes those of a run without checkpoints.

    Args:
        folder: the run folder, locked by this process.
        resumes: the run resumes, so the folder may hold anything.
        overwrite: remove an earlier run; other files stay.

    Raises:
        ConfigError: the folder is not empty.
    """
    if resumes:
        return
    start_files = {path for pattern in START_FILES for path in folder.glob(pattern)}
    if not overwrite and _contents(folder) - start_files:
        raise ConfigError(
            f"run folder {folder} is not empty; choose another --out, resume the run in it with --ckpt_path last, "
            "or remove it with --overwrite"
        )
    if _contents(folder) and not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} holds no {CONFIG}, so it is not a run folder to overwrite; choose another --out")
    for pattern in RUN_FILES:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def fingerprint(checkpoint: str | Path | None) -> dict[str, str] | None:
    """Returns path and sha256 of a checkpoint, stored with results; None for random weights."""
    if checkpoint is None:
        return None
    with Path(checkpoint).open("rb") as file:
        return {"path": str(checkpoint), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
