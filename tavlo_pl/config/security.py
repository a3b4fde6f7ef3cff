"""What a configuration may name, and how large it may be: it may come from a stranger, alone or inside of a checkpoint.

Two things in a configuration could run code. Naming a class imports its module, so the module must be of a package
that is known (`IMPORTABLE`) or that the user allows. Making an object calls what was named, so that must be a class,
and one of those that a run is made of (`KINDS`): never a function such as ``torch.load`` or ``torch.hub.load``, and
nothing at all where any value would do.

All parsers of the package share this: jsonargparse keeps such settings for the process.
"""

import inspect
import sys
from argparse import ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml
from jsonargparse import Namespace, Path, get_loader, set_loader, set_parsing_settings

from tavlo_pl.config.moved import check_moved
from tavlo_pl.errors import ConfigError

IMPORTABLE = ("tavlo_pl", "torch", "torchvision", "torchaudio", "lightning", "torchmetrics")
"""Packages whose classes a configuration may name."""

KINDS = (
    "lightning.pytorch.callbacks.callback.Callback",
    "lightning.pytorch.loggers.logger.Logger",
    "lightning.pytorch.profilers.profiler.Profiler",
    "lightning.pytorch.strategies.strategy.Strategy",
    "lightning.pytorch.accelerators.accelerator.Accelerator",
    "lightning.pytorch.plugins.precision.precision.Precision",
    "lightning.pytorch.plugins.layer_sync.LayerSync",
    "lightning.fabric.plugins.environments.cluster_environment.ClusterEnvironment",
    "lightning.fabric.plugins.io.checkpoint_io.CheckpointIO",
)
"""Base classes of what it may name besides our own classes and `LAYERS`, by the place they are defined at."""

LAYERS = ("torch.nn.", "torchvision.", "torchaudio.", "torchmetrics.")
"""Where modules of networks and metrics are defined that it may name."""

MODULE = "torch.nn.modules.module.Module"

MOST_NODES = 100_000
"""Of a configuration, with all that its aliases repeat; the longest of ours has some 200."""

MOST_DEPTH = 32
"""Of lists and maps in each other; ours have 8."""

SHORT = 64
"""Letters of a word that cannot hold as much."""

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_load = get_loader("yaml")
_allowed_before: set[str] = set()


def confine(allow_import: Sequence[str] = ()) -> None:
    """Makes all parsers of this process read configurations as those of strangers.

    Args:
        allow_import: packages, or places in them, that the user trusts; what was allowed before is forgotten.

    Raises:
        ConfigError: one of them is no name of a package.
    """
    wanted = {*IMPORTABLE, *allow_import}
    denied = {place for place in _allowed_before if not _is_below(place, wanted)}
    try:
        set_parsing_settings(
            import_path_denylist=["*", *sorted(denied)],
            import_path_allowlist=sorted(wanted | _allowed_before - denied),
            instantiate_subclass_spec_in_any=False,
        )
    except ValueError as error:
        raise ConfigError(f"--allow_import takes names of packages, such as mypackage: {error}") from error
    _allowed_before.update(allow_import)
    set_loader("yaml", read_yaml, (yaml.YAMLError,))


def take_allowed(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits ``--allow_import PKG…`` off a command line: the other words, and the packages."""
    scan = ArgumentParser(add_help=False, allow_abbrev=False)
    scan.add_argument("--allow_import", nargs="+", default=[])
    found, rest = scan.parse_known_args(words)
    return rest, found.allow_import


def read_yaml(text: str) -> Any:
    """Plain values of a YAML text.

    Raises:
        yaml.YAMLError: it is none, or larger than any configuration.
        ConfigError: it names a class by an earlier path.
    """
    _check_size(text)
    try:
        content = _load(text)
    except (ValueError, RecursionError, TypeError) as error:  # a number of thousands of digits; a key that is no text
        raise yaml.YAMLError(str(error)) from error
    check_moved(content)
    return content


def _check_size(text: str) -> None:
    """Reads the text piece by piece, before it is put together: nested or repeated without end it would take all memory
    or the whole stack."""
    nodes = 0
    begun: list[tuple[str | None, int]] = []  # anchor and first node of the lists and maps around this place
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_PARSER):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise yaml.YAMLError(f"alias *{event.anchor} stands for nothing, or inside of what it stands for")
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            begun.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, first = begun.pop()
            if anchor:
                sizes[anchor] = nodes - first
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
            if SHORT < len(event.value) < len(text):  # a word that is no name may be read once more, as what it holds
                with suppress(yaml.reader.ReaderError, yaml.MarkedYAMLError):  # it holds no YAML
                    _check_size(event.value)
        if nodes > MOST_NODES or len(begun) > MOST_DEPTH:
            raise yaml.YAMLError(
                f"more than {MOST_NODES:,} values or {MOST_DEPTH} levels; no configuration has as many"
            )


def check_named(config: Any, allow_import: Sequence[str] = ()) -> None:
    """Refuses a parsed configuration that would call anything but the classes it may name; nothing was made of it yet.

    Args:
        config: as parsed, or a part of it.
        allow_import: packages, or places in them, that the user trusts.

    Raises:
        ConfigError: it names something else.
    """
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Namespace):
            value = vars(value)
        if isinstance(value, Mapping):
            if "class_path" in value:
                _check_class(value["class_path"], allow_import)
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set):
            waiting.extend(value)
        elif callable(value) and not isinstance(value, Path):  # that of a configuration opens itself when called
            _check_trusted(_place_of(value), allow_import)


def _check_class(path: Any, allow_import: Sequence[str]) -> None:
    module, _, name = str(path).rpartition(".")
    named = getattr(sys.modules.get(module), name, None)  # parsing has imported what will be made
    if not (inspect.isclass(named) and _is_kind(named)):
        _check_trusted(str(path), allow_import)


def _is_kind(named: type) -> bool:
    place, bases = _place_of(named), {_place_of(base) for base in named.__mro__}
    is_layer = MODULE in bases and place.startswith(LAYERS)
    return place.startswith("tavlo_pl.") or is_layer or not bases.isdisjoint(KINDS)


def _place_of(named: Any) -> str:
    kind = named if hasattr(named, "__qualname__") else type(named)
    return f"{kind.__module__}.{kind.__qualname__}"


def _check_trusted(place: str, allow_import: Sequence[str]) -> None:
    if not _is_below(place, allow_import):
        raise ConfigError(
            f"the configuration names {place}, which is none of the classes that a run is made of (models, layers, "
            "data, callbacks, loggers, profilers, strategies, plugins) and would be called; if you trust it, add "
            f"--allow_import {place}"
        )


def _is_below(place: str, packages: Collection[str]) -> bool:
    return any(f"{place}.".startswith(f"{package}.") for package in packages)
