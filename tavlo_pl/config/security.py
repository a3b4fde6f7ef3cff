"""Limits on untrusted configurations: which classes they may name, and how large they may be.

A configuration may come from an untrusted file, by itself or inside a checkpoint. Two things in it could run code. To
resolve a class path imports its module, so the module must be one whose import runs nothing (`IMPORTABLE`) or one that
the user allows. To instantiate a class path calls what it names, so that must be a class, and one of the kinds that a
run consists of (`KINDS`): no function such as ``torch.load`` or ``torch.hub.load``, and nothing where an option accepts
any value.

The settings hold for all parsers of the process, because jsonargparse stores them globally.
"""

import inspect
import re
import sys
from argparse import ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import yaml
from jsonargparse import Namespace, get_loader, set_loader, set_parsing_settings
from jsonargparse.typing import Path

from tavlo_pl.config.moved import check_moved
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.files import read_text

PACKAGES = ("tavlo_pl", "torch", "torchvision", "torchaudio", "lightning", "torchmetrics")
"""Packages whose classes a configuration may name, as far as their modules are `IMPORTABLE`."""

IMPORTABLE = (
    "tavlo_pl", "torch.nn", "torch.optim", "torchvision.models", "torchvision.ops", "torchvision.transforms",
    "torchaudio.models", "torchaudio.transforms", "torchmetrics", "lightning.pytorch.accelerators",
    "lightning.pytorch.callbacks", "lightning.pytorch.cli", "lightning.pytorch.loggers", "lightning.pytorch.plugins",
    "lightning.pytorch.profilers", "lightning.pytorch.strategies", "lightning.fabric.accelerators",
    "lightning.fabric.loggers", "lightning.fabric.plugins", "lightning.fabric.strategies",
)  # fmt: skip
"""Modules whose classes a configuration may name. Other modules of these packages run a program when they are imported,
such as ``torch.utils.model_dump.__main__``, or change settings."""

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
    "torch.optim.optimizer.Optimizer",
    "torch.optim.lr_scheduler.LRScheduler",  # of ReduceLROnPlateau too
)
"""Base classes, by the module that defines them, of the classes that a configuration may name besides those of this
package and `LAYERS`."""

LAYERS = ("torch.nn.", "torchvision.", "torchaudio.", "torchmetrics.")
"""Packages whose subclasses of ``torch.nn.Module`` a configuration may name."""

MODULE = "torch.nn.modules.module.Module"

MOST_NODES = 100_000
"""Largest number of values in a configuration, aliases expanded; the packaged ones have at most some 200."""

MOST_DEPTH = 32
"""Largest nesting depth of lists and maps; the packaged configurations have 8."""

MOST_BYTES = 4 * 2**20
"""Largest size of a file with a configuration."""

MOST_LETTERS = 5_000
"""Largest length of a value without quotes; the time to read a number grows with the square of its length."""

SHORT_SCALAR = 64
"""Length in characters up to which a scalar is too short to hold a YAML text that exceeds the limits."""

try:
    _PARSER: Any = yaml.CSafeLoader
except AttributeError:  # PyYAML without libyaml
    _PARSER = yaml.SafeLoader
_load = get_loader("yaml")
_allowed_before: set[str] = set()


def restrict_imports(allow_import: Sequence[str] = ()) -> None:
    """Makes all parsers of this process treat configurations as untrusted.

    Args:
        allow_import: packages or modules that the user trusts; they replace those of an earlier call.

    Raises:
        ConfigError: one of them is not the name of a package.
    """
    wanted = {*IMPORTABLE, *allow_import}
    denied = {name for name in _allowed_before if not _is_below(name, wanted)}
    try:
        set_parsing_settings(
            import_path_denylist=["*", *sorted(denied)],
            import_path_allowlist=sorted(wanted | _allowed_before - denied),
            instantiate_subclass_spec_in_any=False,
        )
    except ValueError as error:
        raise ConfigError(f"--allow_import takes package names, such as mypackage: {error}") from error
    _allowed_before.update(allow_import)
    set_loader("yaml", read_yaml, (yaml.YAMLError,))
    Path.read_text = _read_file  # type: ignore[method-assign, assignment]


def _read_file(path: Path) -> str:
    """Replaces the method by which jsonargparse reads configuration files, which opens pipes and devices too."""
    return read_text(path.absolute, MOST_BYTES)


def denied_import(message: str) -> str | None:
    """Returns what to do about a class path that may not be imported; None for any other message.

    Args:
        message: of jsonargparse, whose own advice is for programmers.
    """
    found = re.search(r"Importing '([^']*)' is not allowed", message)
    if found is None:
        return None
    package, _, _ = found[1].partition(".")
    trusted = found[1].rpartition(".")[0] if package in PACKAGES else package
    return (
        f"the configuration names {found[1]}, and importing a class runs its module: that is done only for models, "
        f"layers, data, optimizers and parts of the Trainer of {', '.join(PACKAGES)}; if you trust it, add "
        f"--allow_import {trusted}"
    )


def take_allowed(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits a command line into the arguments other than ``--allow_import PKG…``, and the packages."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--allow_import", nargs="+", default=[])
    found, rest = parser.parse_known_args(args)
    return rest, found.allow_import


def read_yaml(text: str) -> Any:
    """Reads plain values from a YAML text.

    Raises:
        yaml.YAMLError: the text is not YAML, or exceeds `MOST_NODES` or `MOST_DEPTH`.
        ConfigError: it names a class by its path in an earlier version.
    """
    _check_size(text)
    try:
        content = _load(text)
    except yaml.YAMLError:
        raise
    except Exception as error:  # a number of thousands of digits; a key that is no string; a tag for another value
        raise yaml.YAMLError(str(error) or type(error).__name__) from error
    check_moved(content)
    return content


def _check_size(text: str) -> None:
    """Counts values and depth from the parser's events, before any object is built.

    Deep nesting would otherwise exhaust the stack, and repeated aliases the memory.
    """
    nodes = 0
    open_nodes: list[tuple[str | None, int]] = []  # anchor and first node of the enclosing lists and maps
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_PARSER):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise yaml.YAMLError(f"alias *{event.anchor} has no anchor, or stands inside its own anchor")
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, first = open_nodes.pop()
            if anchor:
                sizes[anchor] = nodes - first
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
            if not event.style:  # '' or None: plain
                _check_plain(event.value)
            if SHORT_SCALAR < len(event.value) < len(text):  # a scalar may be parsed again, as YAML
                with suppress(yaml.reader.ReaderError, yaml.MarkedYAMLError):  # not YAML
                    _check_size(event.value)
        if nodes > MOST_NODES or len(open_nodes) > MOST_DEPTH:
            raise yaml.YAMLError(
                f"more than {MOST_NODES:,} values or {MOST_DEPTH} levels, which no configuration needs"
            )


def _check_plain(value: str) -> None:
    """Checks a value without quotes."""
    if len(value) > MOST_LETTERS:
        raise yaml.YAMLError(
            f"a value of {len(value):,} letters without quotes, more than {MOST_LETTERS:,}: {value[:20]}…"
        )


def check_named(config: Any, allow_import: Sequence[str] = ()) -> None:
    """Checks that a parsed configuration names nothing but the classes it may name, before anything is instantiated.

    Args:
        config: the parsed configuration, or a part of it.
        allow_import: packages or modules that the user trusts.

    Raises:
        ConfigError: it names something else.
    """
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, Namespace):
            value = vars(value)
        if isinstance(value, Mapping):
            if "class_path" in value:
                _check_class(value["class_path"], allow_import)
            stack.extend(value.values())
        elif isinstance(value, list | tuple | set):
            stack.extend(value)
        elif callable(value) and not isinstance(value, Path):  # a jsonargparse path opens its file when called
            _check_trusted(_qualified_name(value), allow_import)


def _check_class(path: Any, allow_import: Sequence[str]) -> None:
    module, _, name = str(path).rpartition(".")
    value = getattr(sys.modules.get(module), name, None)  # parsing has imported it
    if not (inspect.isclass(value) and _is_kind(value)):
        _check_trusted(str(path), allow_import)


def _is_kind(kind: type) -> bool:
    name, bases = _qualified_name(kind), {_qualified_name(base) for base in kind.__mro__}
    is_layer = MODULE in bases and name.startswith(LAYERS)
    return name.startswith("tavlo_pl.") or is_layer or not bases.isdisjoint(KINDS)


def _qualified_name(value: Any) -> str:
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _check_trusted(name: str, allow_import: Sequence[str]) -> None:
    if not _is_below(name, allow_import):
        raise ConfigError(
            f"the configuration names {name}, which is not one of the classes that a run consists of (models, layers, "
            "data, optimizers, learning rate schedulers, callbacks, loggers, profilers, strategies, plugins) and would "
            f"be called; if you trust it, add --allow_import {name}"
        )


def _is_below(name: str, packages: Collection[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)
