"""Configurations that checkpoints and run folders hold, which become the defaults of a command line."""

import re
from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tavlo_pl.config import security
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io.files import read_text
from tavlo_pl.io.parsing import brief
from tavlo_pl.run import directory

ReadConfig = Callable[[Path, Sequence[str] | None], str | None]
"""Returns the YAML text that a checkpoint may set, given its path and the packages of ``--allow_import``; None in place
of the packages only checks that the file can be read. Raises ``CheckpointError`` for an unreadable file."""

SOURCE = {"validate": "val", "test": "test", "diagnose": "test"}
"""Clips that a command reads."""

DATA_OF_RUN = ("batch_size", "num_workers", "bad_clips", "seed")
"""Options of the data, besides `SOURCE`, that are taken from the run folder of a checkpoint."""

LARGEST_NUMBER = 2**32
"""Largest absolute number in the configuration inside a checkpoint; seeds have 32 bits."""

ADDRESS = re.compile(r"^[A-Za-z][\w.+-]*:(//|:)")
"""An address such as ``s3://bucket`` or ``filecache::s3://bucket``."""


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
    read_config: ReadConfig,
    find_packaged: Callable[[], Path],
) -> Defaults:
    """Puts what a checkpoint or the run to resume was made with in front of a command line, so that flags override it.

    Args:
        command: fit, validate, test, predict or diagnose.
        options: command line without the command.
        read_config: see `ReadConfig`.
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
    return Defaults([*(word for text in found for word in ("--config", text)), *options], early, is_packaged)


def find_stored_config(command: str, options: EarlyOptions, read_config: ReadConfig) -> list[str]:
    """Finds the configurations that a checkpoint or the run to resume was made with.

    Args:
        command: fit, validate, test, predict or diagnose.
        options: of the command line.
        read_config: see `ReadConfig`.

    Returns:
        For ``fit`` the path of the ``config.yaml`` of the checkpoint's run, if it is there; nothing for ``fit`` with
        another checkpoint than ``last`` and a configuration file. Otherwise the YAML texts of `data_of_run` and of the
        checkpoint, as far as there are any.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
        ConfigError: the run folder's ``config.yaml`` names clips at an address.
    """
    checkpoint = directory.find_checkpoint(options.ckpt_path, options.out, command)
    if checkpoint is None:
        return []
    resumes = options.ckpt_path == directory.LAST
    try:
        uses_stored = command != "fit" or (options.config is None and not resumes)
        stored = read_config(checkpoint, options.allow_import if uses_stored else None)
    except CheckpointError as error:
        if resumes:
            raise CheckpointError(f"{error}; to resume from best.ckpt, copy best.ckpt to {checkpoint.name}") from error
        raise
    config = checkpoint.parent.parent / directory.CONFIG
    has_config = checkpoint.parent.name == directory.CHECKPOINTS and config.is_file()
    if command != "fit":
        return [text for text in (data_of_run(config, command) if has_config else None, stored) if text]
    if has_config and (resumes or options.config is None):
        return [str(config)]
    return [stored] if stored else []


def data_of_run(config: Path, command: str) -> str | None:
    """Returns what a command takes from the run folder of its checkpoint: the clips that it reads, and how.

    Nothing else of ``config.yaml`` is used, and no address: a run folder may come from someone else.

    Args:
        config: ``config.yaml`` of the run folder.
        command: validate, test, predict or diagnose.

    Raises:
        ConfigError: the file is not a configuration, or names clips at an address.
    """
    try:
        content = security.read_yaml(read_text(config, security.MOST_BYTES))
    except yaml.YAMLError as error:
        raise ConfigError(f"{config}: no configuration ({' '.join(str(error).split())}); restore it") from error
    data = content.get("data") if isinstance(content, Mapping) else None
    if not isinstance(data, Mapping):
        return None
    kept = {name: data[name] for name in (*DATA_OF_RUN, SOURCE.get(command)) if name in data}
    if address := next((text for text in _leaves(kept) if isinstance(text, str) and ADDRESS.match(text)), None):
        raise ConfigError(f"{config} names clips at {address}; to read them, give --data.{SOURCE[command]} yourself")
    return str(yaml.safe_dump({"data": kept}))


def allowed_part(config: Any) -> dict[str, Any]:
    """Returns what the configuration inside a checkpoint may set: the model, the form of the clips, the seed.

    Everything else (trainer, loggers, callbacks, folders, addresses, other options) is ignored: it comes from the
    command line, from a file that the user names, or from the run folder (`data_of_run`).

    Args:
        config: plain values of the stored configuration.

    Raises:
        ConfigError: it is not a configuration with a model, or a number in it is not finite or too large.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("model"), Mapping):
        raise ConfigError("its configuration has no model; give a checkpoint written by tavlo fit")
    data = config.get("data") or {}
    clip = data.get("clip") if isinstance(data, Mapping) else None
    seed = config.get("seed_everything")
    kept = (
        {"model": dict(config["model"])}
        | ({"data": {"clip": dict(clip)}} if isinstance(clip, Mapping) else {})
        | ({"seed_everything": seed} if isinstance(seed, int) and not isinstance(seed, bool) else {})
    )
    for value in _leaves(kept):
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            raise ConfigError(
                f"its configuration has the number {brief(value)}; give a checkpoint written by tavlo fit"
            )
    return kept


def _leaves(value: Any) -> list[Any]:
    """All values in plain values that are no lists and maps."""
    if isinstance(value, Mapping):
        if odd := next((key for key in value if not isinstance(key, str)), None):
            raise ConfigError(f"a configuration has the key {brief(odd)}, which is no name")
        return [leaf for part in value.values() for leaf in _leaves(part)]
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, list) else [value]


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
