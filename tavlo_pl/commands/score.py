"""``tavlo score``: anyone's saved heatmaps against the annotations of a data set; no model, no Trainer, no video."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import auto_cli
from tqdm import tqdm

from tavlo_pl import __version__
from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.errors import ConfigError, PredictionError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.run.results import MAPS, PER_SAMPLE, SampleMaps, to_csv
from tavlo_pl.types import BadClip, Scenario
from tavlo_pl.viz.table import Table, results_tables

if TYPE_CHECKING:
    from tavlo_pl.data.predictions import Heatmaps, ScoredSample, ScoreLoader

NAMED = 20
"""So many missing predictions are named in a message."""

ALL = "all"


def score(
    dataset: Literal["avatar", "vggss", "flickr", "is3", "avsbench"],
    annotations: str,
    predictions: str,
    out: str,
    rule: str = "top_half",
    interpolation: Literal["bilinear", "bilinear_corners", "bicubic", "bicubic_corners"] = "bilinear",
    size: int = 224,
    missing: Literal["error", "skip", "zero"] = "error",
    frame_rate: float | None = None,
    silence: str | None = None,
    noise: str | None = None,
    mismatched: str | None = None,
) -> None:
    """Scores saved heatmaps (DIR/<sample_id>.npz, array heatmap) and writes results.json, per_sample.csv and maps.npz.

    Args:
        dataset: whose annotations these are.
        annotations: AVATAR's root or its metadata, vggss.json, Flickr-SoundNet's folder of XML, or a JSON list.
        predictions: folder of heatmaps; raw scores, at any size that all share.
        out: results.json; per_sample.csv, and maps.npz for tavlo report, go beside it.
        rule: top_half, top_tenth, adaptive, fixed:<score> or universal:<quantile>.
        interpolation: from cells to pixels; bilinear_corners is what EZ-VSL and FNAC do.
        size: evaluation pixels a side.
        missing: what to do with samples that have no heatmap; zero scores them as a map of zeros.
        frame_rate: frames a second of AVATAR's videos, where a film of maps has times and frames have only numbers.
        silence: folder of heatmaps of the same names for the same frames with silence, for pIA.
        noise: the same with white noise.
        mismatched: the same with the sound of another clip.

    Raises:
        ConfigError: an option that cannot be.
        DatasetNotFoundError: annotations or predictions are not there.
        AnnotationError: an annotation cannot be read.
        PredictionError: predictions are missing or cannot be read.
    """
    if size < 1 or (frame_rate is not None and frame_rate <= 0):
        raise ConfigError(f"--size {size} and --frame_rate {frame_rate} must be above 0.")
    if not out.endswith(".json"):
        raise ConfigError(f"--out {out} must be a file, such as results.json; per_sample.csv goes beside it.")
    from tavlo_pl.data.predictions import Heatmaps, ScoreLoader, samples_of
    from tavlo_pl.metrics.suite import LocalizationSuite

    samples = samples_of(_source(dataset, annotations).clips())
    folders = {"model": predictions, "mismatched_audio": mismatched, "silence": silence, "white_noise": noise}
    heatmaps = {name: Heatmaps(Path(folder), frame_rate) for name, folder in folders.items() if folder is not None}
    absent = _absent(samples, heatmaps.values(), missing)
    keep_maps = len(heatmaps) > 1 or any(sample.scenario is Scenario.OFF_SCREEN for sample in samples)
    suite = LocalizationSuite([rule], size, interpolation, keep_maps=keep_maps, segmentation=dataset == "avsbench")
    if missing == "skip":
        gone = {sample.index for sample in absent}
        suite.update_left_out(_left_out(absent))
        samples = [sample for sample in samples if sample.index not in gone]
    loader = ScoreLoader(samples, heatmaps, size)
    for maps, targets in tqdm(loader, desc="score", unit="batch"):
        made = {name: maps.pop(name) for name in ("silence", "white_noise") if name in maps}
        suite.update(maps, targets, made)
    metrics, rows = suite.compute(), suite.samples()
    if not loader.timed:
        metrics["scenarios"].get("cross_event", {}).pop("switch_delay", None)
        rows = [row | {"time_s": None} for row in rows]
    results = {
        "dataset": dataset,
        "rule": rule,
        "interpolation": interpolation,
        "size": size,
        "n": len(samples),
        "missing": {"policy": missing, "samples": len(absent), "names": [sample.name for sample in absent]},
        **_figures(metrics, rule, dataset),
        "fingerprint": loader.fingerprint(),
        "version": __version__,
        "metrics": metrics,
    }
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    column = f"model/{rule}"
    write_text_atomic(path.with_name(PER_SAMPLE), to_csv([{**_first(row), "ciou": row[column], **row} for row in rows]))
    _sample_maps(samples, loader, size).write(path.with_name(MAPS))
    write_text_atomic(path, json.dumps(results, indent=2) + "\n")
    written = f"{path}, {PER_SAMPLE} and {MAPS} written."
    print("\n" + "\n\n".join([*(table.to_text() for table in _tables(results)), written]))


def main(args: list[str]) -> int:
    """Runs ``tavlo score …`` and returns the exit code.

    Args:
        args: the words after ``tavlo score``.
    """
    settings: dict[str, Any] = {"prog": "tavlo score", "parser_class": ShortErrors}
    return to_exit_code("score", lambda: auto_cli(score, args=args, as_positional=False, **settings))


def _source(dataset: str, annotations: str) -> ClipSource:
    from tavlo_pl.data.datasets.avatar import AVATAR
    from tavlo_pl.data.datasets.avsbench import AVSBench
    from tavlo_pl.data.datasets.flickr import FlickrSoundNet
    from tavlo_pl.data.datasets.is3 import IS3
    from tavlo_pl.data.datasets.vggss import VGGSS

    if dataset == "avatar":
        path = Path(annotations)
        return AVATAR(str(path.parent if path.name == "metadata" else path), videos=False)
    readers = {"vggss": VGGSS, "flickr": FlickrSoundNet, "is3": IS3, "avsbench": AVSBench}
    return readers[dataset](annotations)


def _absent(samples: list["ScoredSample"], folders: Iterable["Heatmaps"], missing: str) -> list["ScoredSample"]:
    """The samples without a heatmap in one of the folders, if they may be without.

    Raises:
        PredictionError: they may not, or no sample has one.
    """
    gone: dict[int, ScoredSample] = {}
    for heatmaps in folders:
        absent = [sample for sample in samples if heatmaps.file_of(sample) is None]
        if absent and (missing == "error" or len(absent) == len(samples)):
            names = ", ".join(f"{sample.name}.npz" for sample in absent[:NAMED])
            more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
            some = len(absent) < len(samples)
            advice = "predict them too, or give --missing skip or zero" if some else "check the names"
            raise PredictionError(
                f"{heatmaps.folder}: no heatmap for {len(absent)} of {len(samples)} samples ({names}{more}); there are "
                f"{len(heatmaps.names)} files such as {min(heatmaps.names)}.npz; {advice}."
            )
        gone |= {sample.index: sample for sample in absent}
    if missing == "skip" and len(gone) == len(samples):
        raise PredictionError("no sample has a heatmap in every folder given; predict the same samples in all of them.")
    return [gone[index] for index in sorted(gone)]


def _left_out(absent: Iterable["ScoredSample"]) -> list[BadClip]:
    """The clips that they belong to, with what lacks of each."""
    by_clip: dict[int, list[ScoredSample]] = {}
    for sample in absent:
        by_clip.setdefault(sample.number, []).append(sample)
    return [
        BadClip(number, lost[0].clip.sample_id, _reason(lost), len(lost)) for number, lost in sorted(by_clip.items())
    ]


def _reason(lost: list["ScoredSample"]) -> str:
    all_of_it = len(lost) == sum(len(frame.scenarios) for frame in lost[0].clip.annotations)
    return "no prediction" if all_of_it else f"no prediction for {', '.join(sample.name for sample in lost)}"


def _sample_maps(samples: list["ScoredSample"], loader: "ScoreLoader", size: int) -> SampleMaps:
    """What is needed to draw them."""
    import numpy as np  # comes late, as torch does

    kept = {name: np.concatenate(parts) for name, parts in loader.kept.items()}
    paths = {sample.number: sample.clip.path for sample in samples}
    found = {number: str(path.absolute()) if path.is_file() else "" for number, path in paths.items()}
    number = np.arange(len(samples))
    return SampleMaps(
        sample_id=np.array([sample.name for sample in samples]),
        showing=number,
        segment=np.zeros_like(number),
        mask=kept["mask"],
        size=np.array(size),
        clip=np.array([sample.clip.sample_id for sample in samples]),
        path=np.array([found[sample.number] for sample in samples]),
        frame_time_s=kept["time_s"][:, None],
        heatmap=kept["heatmap"][:, None],
    )


def _first(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("sample_id", "clip", "scenario", "category")}


def _figures(metrics: dict[str, Any], rule: str, dataset: str) -> dict[str, Any]:
    """The model's figures by scenario, those of the trivial rows and of the ceiling; ``all`` are the on-screen samples.

    Returns:
        ``scenarios``, ``trivial`` (row -> scenario -> the same) and ``ceiling``, each figure as ``value``, ``low``,
        ``high``, the limits None where there is no interval.
    """
    found: dict[str, dict[str, Any]] = {}
    ceiling: dict[str, Any] = {}
    for name, scenario in _shown(metrics, dataset).items():
        shown = ALL if name == "on_screen" else name
        for row, by_rule in scenario["rows"].items():
            figures = by_rule[metrics["off_screen_rule"] if name == Scenario.OFF_SCREEN else rule]
            found.setdefault(row, {})[shown] = {"samples": scenario["samples"], "clips": scenario["clips"]} | _spread(
                figures
            )
        if "ceiling" in scenario:
            ceiling[shown] = _spread(scenario["ceiling"][rule])
    extra = _spread(metrics.get("detection", {}).get("model", {}).get(rule, {}))
    extra |= _spread(metrics.get("scenes", {}).get("rows", {}).get("model", {}).get(rule, {}))
    extra |= _spread(metrics.get("segmentation", {}).get("model", {}))
    for sound, figures in metrics.get("pia", {"rows": {}})["rows"].items():
        extra |= {f"pia_{sound}": _spread(figures)["pia"]}
    model = found.pop("model", {})
    if ALL in model:
        model[ALL] |= extra
    return {"scenarios": model, "trivial": found, "ceiling": ceiling}


def _shown(metrics: dict[str, Any], dataset: str) -> dict[str, Any]:
    """The scenarios that the data set tells apart; the first is ``on_screen``."""
    kept = metrics["scenarios"] if dataset == "avatar" else ("on_screen", Scenario.OFF_SCREEN)
    order = sorted(
        metrics["scenarios"].keys() & set(kept),
        key=lambda name: (name != "on_screen", list(metrics["scenarios"]).index(name)),
    )
    return {name: metrics["scenarios"][name] for name in order}


def _spread(figures: dict[str, Any]) -> dict[str, Any]:
    intervals = {
        name: figures.get(f"{name}_interval") or (None, None) for name in figures if not name.endswith("_interval")
    }
    return {name: {"value": figures[name], "low": low, "high": high} for name, (low, high) in intervals.items()}


def _tables(results: dict[str, Any]) -> list[Table]:
    metrics = results["metrics"]
    tables = results_tables(metrics | {"scenarios": _shown(metrics, results["dataset"])})
    names = ("ciou_at_50", "ciou_mean", "ciou_auc")
    figures = results["scenarios"].get(ALL, {})
    rows = [
        [name, *(_percent(figures[name][part]) for part in ("value", "low", "high"))]
        for name in names
        if name in figures
    ]
    return [*tables, Table(f"All on-screen samples, in %, rule {results['rule']}", ["", "value", "low", "high"], rows)]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"
