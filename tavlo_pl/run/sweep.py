"""One run of ``tavlo sweep``: its folder, and the stored configuration that decides whether its results are kept.

::

    OUT/<variant>/<seed>/             run folder of ``tavlo fit``, with the results of ``tavlo test`` in test/
    OUT/<variant>/<seed>.config.json  resolved configuration of the run and its sha256
    OUT/<variant>/<seed>.fit_s        seconds of each process that trained the run, one a line
    OUT/<variant>/<seed>.log          output of its processes
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
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
        """Seconds of each process that trained this run, one a line."""
        return self.folder.with_name(f"{self.folder.name}.fit_s")

    @property
    def config_record(self) -> Path:
        """Resolved configuration of this run and its sha256."""
        return self.folder.with_name(f"{self.folder.name}.config.json")

    @property
    def is_tested(self) -> bool:
        """Whether the results exist."""
        return (self.test_folder / RESULTS).is_file()

    def fit_s(self) -> float | None:
        """Seconds of all processes that trained this run; None if there was none."""
        if not self.fit_times.is_file():
            return None
        text = self.fit_times.read_text(encoding="utf-8", errors="replace")
        try:
            return sum(map(float, text.split()))
        except ValueError as error:
            raise ConfigError(f"{self.fit_times}: no times ({error}); remove it, and the run has none") from error

    @property
    def is_started(self) -> bool:
        """Whether results or a checkpoint to resume from exist."""
        return self.is_tested or self.last.is_file()

    def why_again(self, config: Mapping[str, Any]) -> str | None:
        """Why results or checkpoints of this run belong to another configuration; None if they belong to this one.

        Args:
            config: from `comparable`.
        """
        try:
            stored = read_json(self.config_record)
            sha256, before = stored["sha256"], dict(stored["config"])
        except (AnnotationError, ValueError, KeyError, TypeError):
            return "the configuration it was made with is not stored"
        if sha256 == config_sha256(config):
            return None
        changes = changed_keys(before, config)
        more = [f"{len(changes) - CHANGES_SHOWN} more"] if len(changes) > CHANGES_SHOWN else []
        return f"changed configuration: {', '.join(changes[:CHANGES_SHOWN] + more)}"

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
        record = {"sha256": config_sha256(config), "config": config}
        write_text_atomic(self.config_record, json.dumps(record, indent=1, default=str) + "\n")


def comparable(resolved: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The part of a resolved configuration that decides the results of a run.

    Args:
        resolved: what ``tavlo fit … --print_config`` prints, as plain values; its seed is replaced.
        seed: seed of the run.

    Returns:
        seed, trainer, model, data and whatever else the command has, without paths of output.
    """
    config = {key: value for key, value in resolved.items() if key not in OUTPUT_KEYS}
    trainer, data = dict(config.get("trainer") or {}), dict(config.get("data") or {})
    config["trainer"] = {key: value for key, value in trainer.items() if key not in OUTPUT_TRAINER_KEYS}
    return config | {"seed_everything": seed, "data": data | {"seed": seed}}


def config_sha256(config: Mapping[str, Any]) -> str:
    """Hash of a configuration of plain values; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Dotted keys that two nested configurations do not share or whose values differ, in the order of `after`."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return [key for key in {**new, **old} if key not in old or key not in new or old[key] != new[key]]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of each leaf; a list is a leaf."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
