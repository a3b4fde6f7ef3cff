"""The record of one tested run: what tables over several runs and seeds need, small enough for version control.

::

    DIR/<variant>/<seed>.json    the run's resolved configuration, protocol, costs, the values of every sample

``tavlo sweep`` writes a record after each test and makes its tables from records alone, so that a run that was made on
another machine or another day need not be repeated.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tavlo_pl.errors import AnnotationError, PredictionError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import is_number, read_json
from tavlo_pl.metrics.figure import MISMATCHED_ROW, MODEL_ROW, TN_RATE
from tavlo_pl.run.provenance import PACKAGE, git_revision
from tavlo_pl.run.results import PER_SAMPLE, RESULTS

DIGITS = 4
"""Decimal places of stored values."""

NAMED = ("scenario", "cue")
"""Fields of few different names, stored as the names and the number of the name of each sample."""

VALUES = ("ciou", "pointing", "mismatched_ciou", "mismatched_pointing", TN_RATE)
"""Columns of values: of the model with its own audio, with that of another clip, and off-screen."""


@dataclass(frozen=True)
class RunRecord:
    """A tested run.

    Attributes:
        variant: its name.
        seed: of weights and draws.
        config: its resolved configuration (`run.sweep.comparable`).
        protocol: how it was tested (`Protocol.choices`).
        revision: commit of the code that tested it, if known.
        parameters: number of trainable parameters, if known.
        fit_s: seconds of training and validation; None for models that are not trained.
        inference_s: seconds to localize one clip, if measured.
        samples_sha256: of the names of the samples; only runs with the same samples are averaged.
        clip: a number for the video of each sample.
        scenario: of each sample, several joined by ``+``.
        cue: of each sample, several joined by ``+``.
        cross_event: 1 for samples of clips whose source changes.
        values: `VALUES` -> the value of each sample, None where it is not defined.
    """

    variant: str
    seed: int
    config: dict[str, Any]
    protocol: dict[str, Any]
    revision: str | None
    parameters: int | None
    fit_s: float | None
    inference_s: float | None
    samples_sha256: str
    clip: list[int]
    scenario: list[str]
    cue: list[str]
    cross_event: list[int]
    values: dict[str, list[float | None]]

    @classmethod
    def of_test(
        cls, variant: str, seed: int, config: Mapping[str, Any], test_folder: Path, fit_s: float | None = None
    ) -> "RunRecord":
        """The record of a folder that ``tavlo test`` wrote.

        Args:
            variant: name of the run's variant.
            seed: its seed.
            config: its resolved configuration.
            test_folder: with ``results.json`` and ``per_sample.csv``.
            fit_s: seconds of training.
        """
        results = json.loads((test_folder / RESULTS).read_text(encoding="utf-8-sig"))
        with (test_folder / PER_SAMPLE).open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
        rule = results["metrics"]["rules"][0]
        columns = {
            "ciou": f"{MODEL_ROW}/{rule}",
            "pointing": f"{MODEL_ROW}/pointing",
            "mismatched_ciou": f"{MISMATCHED_ROW}/{rule}",
            "mismatched_pointing": f"{MISMATCHED_ROW}/pointing",
            TN_RATE: f"{MODEL_ROW}/{TN_RATE}",
        }
        names = "\n".join(line["sample_id"] for line in lines)
        return cls(
            variant=variant,
            seed=seed,
            config=dict(config),
            protocol=results["metrics"]["protocol"],
            revision=git_revision(PACKAGE.parent),
            parameters=results.get("parameters"),
            fit_s=fit_s,
            inference_s=results.get("inference_s"),
            samples_sha256=hashlib.sha256(names.encode()).hexdigest(),
            clip=np.unique([line["clip"] for line in lines], return_inverse=True)[1].tolist(),
            scenario=[line["scenario"] for line in lines],
            cue=[line.get("cue", "") for line in lines],
            cross_event=[int(line["cross_event"] in ("1", "True")) for line in lines],
            values={name: [_rounded(line.get(column, "")) for line in lines] for name, column in columns.items()},
        )

    @classmethod
    def read(cls, path: Path) -> "RunRecord | None":
        """A stored record; None if there is none, or if it is of another version.

        Raises:
            PredictionError: the file is no record.
        """
        if not path.exists():
            return None
        try:
            fields = read_json(path)
            for name in NAMED:
                fields[name] = [fields[name]["names"][number] for number in fields[name]["index"]]
            record = cls(**fields)
            record._check()
        except (TypeError, KeyError, IndexError):
            return None
        except (ValueError, AnnotationError) as error:
            raise PredictionError(
                f"{path}: no record of a run ({error}); remove it, and the run is made again."
            ) from error
        return record

    def _check(self) -> None:
        """Checks the columns of a stored record.

        Raises:
            ValueError: one is missing, of another length, or holds something else.
        """
        texts: dict[str, list[Any]] = {"scenario": self.scenario, "cue": self.cue}
        numbers: dict[str, list[Any]] = {"clip": self.clip, "cross_event": self.cross_event}
        values: dict[str, list[Any]] = {name: self.values[name] for name in VALUES}
        length = len(self.clip)
        for name, column in (texts | numbers | values).items():
            kind: tuple[type, ...] = (
                (str,) if name in texts else (int,) if name in numbers else (int, float, type(None))
            )
            if len(column) != length or not all(isinstance(value, kind) for value in column):
                raise ValueError(f"{name} must have {length} values, as clip has")
            if name in VALUES and not all(value is None or is_number(value) for value in column):
                raise ValueError(f"{name} holds a number that is not finite")
        costs = (self.seed, self.parameters, self.fit_s, self.inference_s)
        objects = (self.config, self.protocol)
        if not all(isinstance(each, dict) for each in objects) or not all(
            cost is None or is_number(cost) for cost in costs
        ):
            raise ValueError("config and protocol must be objects, seed and costs finite numbers")

    def write(self, path: Path) -> None:
        """Writes the record, one line a field."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fields = asdict(self)
        values: Mapping[str, Sequence[Any]] = fields.pop("values")
        for name in NAMED:
            names = list(dict.fromkeys(fields[name]))
            fields[name] = {"names": names, "index": [names.index(each) for each in fields[name]]}
        lines = [f" {json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in fields.items()]
        of_values = (
            f"  {json.dumps(name)}: {json.dumps(column, separators=(',', ':'))}" for name, column in values.items()
        )
        text = "{\n" + ",\n".join([*lines, ' "values": {\n' + ",\n".join(of_values) + "\n }"]) + "\n}\n"
        write_text_atomic(path, text)

    def column(self, name: str) -> np.ndarray:
        """(n,) float64 values of `VALUES`, NaN where they are not defined."""
        return np.array(self.values[name], np.float64)


def _rounded(text: str | None) -> float | None:
    return round(float(text), DIGITS) if text else None
