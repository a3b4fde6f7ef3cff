"""Configurations that checkpoints and run folders hold, which become the defaults of a command line."""

from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tavlo_pl.errors import CheckpointError
from tavlo_pl.run import directory


class EarlyOptions(NamedTuple):
    """Options that are read before the command line is parsed in full.

    Attributes:
        ckpt_path: of ``--ckpt_path``.
        out: of ``--out``.
        config: of the first ``--config``.
        allow_import: of ``--allow_import``.
    """

    ckpt_path: str | None = None
    out: str | None = None
    config: str | None = None
    allow_import: tuple[str, ...] = ()


def read_early_options(options: Sequence[str]) -> EarlyOptions:
    """Finds the options that decide which stored configuration is read; the full parser checks them later.

    Args:
        options: command line without the command.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--ckpt_path")
    parser.add_argument("--out")
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--allow_import", nargs="+", default=[])
    try:
        found, _ = parser.parse_known_args(options)
    except ArgumentError:
        return EarlyOptions()
    return EarlyOptions(found.ckpt_path, found.out, next(iter(found.config), None), tuple(found.allow_import))


class Defaults(NamedTuple):
    """A command line with its defaults.

    Attributes:
        options: the command line without the command, after the stored configuration and the packaged checkpoint.
        early: the options that were read early.
        is_packaged: whether the checkpoint is the one in the package.
    """

    options: list[str]
    early: EarlyOptions
    is_packaged: bool = False


def add_defaults(
    command: str,
    options: list[str],
    read_config: Callable[[Path], str | None],
    find_packaged: Callable[[], Path],
) -> Defaults:
    """Puts what a checkpoint or the run to resume was made with in front of a command line, so that flags override it.

    Args:
        command: fit, validate, test, predict or diagnose.
        options: command line without the command.
        read_config: returns the YAML text that a checkpoint holds; raises ``CheckpointError`` for an unreadable one.
        find_packaged: returns the packaged checkpoint, which ``predict`` uses without ``--ckpt_path`` and ``--config``.

    Raises:
        CheckpointError: a checkpoint is missing or unreadable.
    """
    early = read_early_options(options)
    if {"-h", "--help"} & set(options):
        return Defaults(options, early)
    is_packaged = command != "fit" and early.ckpt_path is early.config is None
    if is_packaged:
        if command != "predict":
            raise directory.no_weights(command)
        early = early._replace(ckpt_path=str(find_packaged()))
        options = ["--ckpt_path", str(early.ckpt_path), *options]
    found = find_stored_config(command, early, read_config)
    return Defaults([*(["--config", found] if found else []), *options], early, is_packaged)


def find_stored_config(command: str, options: EarlyOptions, read_config: Callable[[Path], str | None]) -> str | None:
    """Finds the configuration that a checkpoint or the run to resume was made with.

    Args:
        command: fit, validate, test, predict or diagnose.
        options: of the command line.
        read_config: returns the YAML text that a checkpoint holds; raises ``CheckpointError`` for an unreadable one.

    Returns:
        A YAML text, or for ``fit`` the path of the ``config.yaml`` of the checkpoint's run, if it is there; None
        without a checkpoint, and for ``fit`` with another one than ``last`` and a configuration file.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
    """
    checkpoint = directory.find_checkpoint(options.ckpt_path, options.out, command)
    if checkpoint is None:
        return None
    resumes = options.ckpt_path == directory.LAST
    try:
        stored = read_config(checkpoint)
    except CheckpointError as error:
        if resumes:
            raise CheckpointError(f"{error}; to resume from best.ckpt, copy best.ckpt to {checkpoint.name}") from error
        raise
    if command != "fit":
        return stored
    if options.config is not None and not resumes:
        return None
    config = checkpoint.parent.parent / directory.CONFIG
    is_of_run = checkpoint.parent.name == directory.CHECKPOINTS and config.is_file()
    return str(config) if is_of_run else None if resumes else stored


def to_stored_config(config: dict[str, Any]) -> str:
    """Returns the YAML text that is stored in checkpoints: model, data and seed.

    ``init_from`` of the model is left out: the checkpoint holds the weights that training started from.

    Args:
        config: the resolved configuration as plain values.
    """
    model = config["model"]
    arguments = {name: value for name, value in model.get("init_args", {}).items() if name != "init_from"}
    parts = {"model": model | {"init_args": arguments}, "data": config["data"]}
    return str(yaml.safe_dump(parts | {"seed_everything": config["seed_everything"]}, sort_keys=False))
