"""One run of ``tavlo sweep``: its folder, and the stored configuration that decides whether its results are kept.

::

    OUT/<variant>/<seed>/             run folder of ``tavlo fit``, with the results of ``tavlo test`` in test/
    OUT/<variant>/<seed>.config.json  resolved configuration of the run
    OUT/<variant>/<seed>.fit_s        seconds of each process that trained the run, one a line
    OUT/<variant>/<seed>.log          output of its processes
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tavlo_pl.errors import AnnotationError, ConfigError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import read_json
from tavlo_pl.run.directory import CHECKPOINTS, LAST
from tavlo_pl.run.results import RESULTS

OUTPUT_KEYS = {"config", "out", "overwrite", "ckpt_path", "allow_untrained", "allow_import"}
"""Options of one command line that do not change the results: paths of output, permissions."""

OUTPUT_TRAINER_KEYS = {"default_root_dir", "enable_progress_bar", "enable_model_summary"}
"""Options of the Trainer that do not change the results."""

CHANGES_SHOWN = 3
"""Changed keys that a message names; the others are counted."""


@dataclass(frozen=True)
class SweepRun:
    """One variant with one seed.

    Attributes:
        name: name of the variant, the stem of its file.
        config: file of the variant, merged over the base configuration.
        seed: seed of weights, random draws and the order of the clips.
        folder: the run folder.
        record: file of its results for the tables (`report.records`).
        trained: whether the model is trained; False for models without parameters, which are tested only.
    """

    name: str
    config: Path
    seed: int
    folder: Path
    record: Path
    trained: bool = True

    @property
    def test_folder(self) -> Path:
        """Folder of the results."""
        return self.folder / "test"

    @property
    def best(self) -> Path:
        """The checkpoint that is tested."""
        return self.folder / CHECKPOINTS / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint that an interrupted training resumes from."""
        return self.folder / CHECKPOINTS / f"{LAST}.ckpt"

    @property
    def log(self) -> Path:
        """Output of the processes of this run."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def fit_times(self) -> Path:
        """Seconds of each process that trained this run, one a line; nan for one whose time was not measured."""
        return self.folder.with_name(f"{self.folder.name}.fit_s")

    @property
    def config_record(self) -> Path:
        """Resolved configuration of this run."""
        return self.folder.with_name(f"{self.folder.name}.config.json")

    @property
    def is_tested(self) -> bool:
        """Whether the results exist."""
        return (self.test_folder / RESULTS).is_file()

    @contextmanager
    def timed_fit(self, resumes: bool) -> Iterator[None]:
        """Adds the seconds of a block to `fit_times`; if this process is killed within it, its time stays unknown.

        Args:
            resumes: whether a training continues, so that the times of its processes stay.
        """
        earlier = self.fit_times.read_text(encoding="utf-8") if self.fit_times.is_file() else "nan\n"
        kept, started_s = earlier if resumes else "", time.monotonic()
        write_text_atomic(self.fit_times, f"{kept}nan\n")
        try:
            yield
        finally:
            write_text_atomic(self.fit_times, f"{kept}{time.monotonic() - started_s:.1f}\n")

    def fit_s(self) -> float | None:
        """Seconds of all processes that trained this run; None if there was none, or the time of one is unknown."""
        if not self.fit_times.is_file():
            return None
        text = self.fit_times.read_text(encoding="utf-8", errors="replace")
        try:
            total = sum(map(float, text.split()))
        except ValueError as error:
            raise ConfigError(f"{self.fit_times}: no times ({error}); remove it, and the run has none") from error
        return None if math.isnan(total) else total

    @property
    def is_started(self) -> bool:
        """Whether results or a checkpoint to resume from exist."""
        return self.is_tested or self.last.is_file()

    def stored_config(self) -> dict[str, Any] | None:
        """What `store_config` stored; None if there is none that can be read."""
        try:
            return dict(read_json(self.config_record))
        except (AnnotationError, ValueError, TypeError):
            return None

    def discard(self) -> None:
        """Removes what would make another process keep or resume this run; ``fit --overwrite`` removes the rest."""
        for path in (self.test_folder / RESULTS, self.last, self.config_record, self.record):
            path.unlink(missing_ok=True)

    def store_config(self, config: Mapping[str, Any]) -> None:
        """Stores the configuration before the run starts, so that an interrupted run has it too.

        Args:
            config: from `comparable`.
        """
        self.config_record.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(self.config_record, json.dumps(config, indent=1, default=str) + "\n")


def comparable(resolved: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The part of a resolved configuration that decides the results of a run.

    Args:
        resolved: what ``tavlo fit … --print_config`` prints, as plain values; its seed is replaced.
        seed: seed of the run.

    Returns:
        seed, trainer, model, data and whatever else the command has, without paths of output, as values of JSON.
    """
    config = {key: value for key, value in resolved.items() if key not in OUTPUT_KEYS}
    trainer, data = dict(config.get("trainer") or {}), dict(config.get("data") or {})
    config["trainer"] = {key: value for key, value in trainer.items() if key not in OUTPUT_TRAINER_KEYS}
    config |= {"seed_everything": seed, "data": data | {"seed": seed}}
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain


def changed_keys(
    before: Mapping[str, Any], after: Mapping[str, Any], explicit: Mapping[str, Any] | None = None
) -> list[str]:
    """Dotted keys of two nested configurations whose values differ, or that one of them lacks.

    Args:
        before: the configuration of an earlier run.
        after: the configuration of now.
        explicit: `after` without the options that have their default. If given, an option at its default that `before`
            does not know is no change: it was added to the program after that run.

    Returns:
        The keys in the order of `after`.
    """
    old, new = dict(_flat(before)), dict(_flat(after))
    known = new if explicit is None else old | dict(_flat(explicit))
    added = [key for key in new if key not in old and key in known and new[key] != {}]
    changed = [key for key in new if key in old and old[key] != new[key]]
    removed = [key for key in old if key not in new and old[key] != {}]  # an empty object has no options yet
    order = {key: number for number, key in enumerate(new)}
    return sorted([*added, *changed], key=order.__getitem__) + removed


def only_added(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether `after` has all of `before`, and more."""
    new = {key for key, _ in _flat(after)} - {key for key, _ in _flat(before)}
    return bool(new) and set(changed_keys(before, after)) <= new


def describe(changes: Sequence[str]) -> str:
    """The reason why a run is made again, from its `changed_keys`."""
    more = [f"{len(changes) - CHANGES_SHOWN} more"] if len(changes) > CHANGES_SHOWN else []
    return f"changed configuration: {', '.join([*changes[:CHANGES_SHOWN], *more])}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of each leaf; a list is a leaf."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
