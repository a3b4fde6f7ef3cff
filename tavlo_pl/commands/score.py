"""``tavlo score``: scores saved heatmaps of any model against annotations, without the model or the videos."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import auto_cli
from tqdm import tqdm

from tavlo_pl import __version__
from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.errors import ConfigError, PredictionError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.metrics.figure import ALL, FORMATS, MISMATCHED_ROW, MODEL_ROW, OFF_SCREEN, ON_SCREEN, Unit, read_figures
from tavlo_pl.metrics.protocols import Protocol, ProtocolOptions
from tavlo_pl.report.avatar_files import write_avatar_results
from tavlo_pl.run.results import MAPS, PER_SAMPLE, SampleMaps, refuse_to_replace, to_csv
from tavlo_pl.types import BadClip, Scenario
from tavlo_pl.viz.table import NOTHING, Table, results_tables

if TYPE_CHECKING:
    from tavlo_pl.data.heatmap_folder import HeatmapFolder
    from tavlo_pl.data.predictions import ScoreLoader
    from tavlo_pl.data.scored_samples import ScoredSample

NAMED = 20
"""At most this many missing predictions are named in a message."""


def score(
    dataset: Literal["avatar", "vggss", "flickr", "is3", "avsbench"],
    annotations: str,
    predictions: str,
    out: str,
    missing: Literal["error", "skip", "zero"] = "error",
    frame_rate: float | None = None,
    silence: str | None = None,
    noise: str | None = None,
    mismatched: str | None = None,
    overwrite: bool = False,
    **protocol_options: Any,
) -> None:
    """Scores saved heatmaps and writes results.json, per_sample.csv and maps.npz.

    With AVATAR and samples of frames, also heatmap_threshold.json and evaluation_results.json of AVATAR's evaluator.

    Args:
        dataset: whose annotations these are.
        annotations: AVATAR's root or its metadata, vggss.json, Flickr-SoundNet's folder of XML, or a JSON list.
        predictions: folder of heatmaps, raw scores at any size that all share: <sample_id>.npz with an array heatmap,
            or as AVATAR's evaluator reads them, heatmap/<clip>.npy with a map every eighth frame.
        out: results.json; per_sample.csv, and maps.npz for tavlo report, are written to the same folder.
        missing: what to do with samples that have no heatmap; zero scores them as a map of zeros.
        frame_rate: frames a second of AVATAR's videos, if the maps have times and the annotated frames only numbers.
        silence: folder of heatmaps of the same names for the same frames with silence, for pIA.
        noise: the same with white noise.
        mismatched: the same with the audio of another clip.
        overwrite: replace the results of other options in the folder of out.
        protocol_options: see `ProtocolOptions`.

    Raises:
        ConfigError: an option has a value that is not possible, or results of other options would be replaced.
        DatasetNotFoundError: annotations or predictions are not there.
        AnnotationError: an annotation cannot be read.
        PredictionError: predictions are missing or cannot be read.
    """
    if frame_rate is not None and frame_rate <= 0:
        raise ConfigError(f"--frame_rate {frame_rate} must be above 0.")
    if not out.endswith(".json"):
        raise ConfigError(
            f"--out {out} must be a file, such as results.json; per_sample.csv is written to the same folder."
        )
    given = {"dataset": dataset, "missing": missing, "frame_rate": frame_rate, **protocol_options}
    folders = {"annotations": annotations, MODEL_ROW: predictions, MISMATCHED_ROW: mismatched}
    folders |= {"silence": silence, "white_noise": noise}
    given |= {name: folder and os.path.abspath(folder) for name, folder in folders.items()}
    options = json.loads(json.dumps(given))
    refuse_to_replace(Path(out), options, overwrite=overwrite, flag="--overwrite true")
    from tavlo_pl.data.annotations import original_size

    source = _source(dataset, annotations)
    clips = source.clips()
    protocol = ProtocolOptions(**protocol_options).chosen(
        source.protocol, lambda: original_size(frame for clip in clips for frame in clip.annotations)
    )
    from tavlo_pl.data.heatmap_avatar import open_heatmaps
    from tavlo_pl.data.predictions import ScoreLoader
    from tavlo_pl.data.scored_samples import samples_of
    from tavlo_pl.metrics.suite import LocalizationSuite

    samples = samples_of(clips, protocol)
    del folders["annotations"]
    heatmaps = {
        name: open_heatmaps(Path(folder), frame_rate, protocol.time)
        for name, folder in folders.items()
        if folder is not None
    }
    absent = _absent(samples, heatmaps.values(), missing)
    keep_maps = len(heatmaps) > 1 or any(Scenario.OFF_SCREEN in each.sample.scenarios for each in samples)
    suite = LocalizationSuite(protocol, keep_maps=keep_maps)
    if missing == "skip":
        skipped = {sample.index for sample in absent}
        suite.update_left_out(_left_out(absent))
        samples = [sample for sample in samples if sample.index not in skipped]
    loader = ScoreLoader(samples, heatmaps, protocol.size)
    for maps, targets in tqdm(loader, desc="score", unit="batch"):
        synthetic = {name: maps.pop(name) for name in ("silence", "white_noise") if name in maps}
        suite.update(maps, targets, synthetic)
    metrics, rows = suite.compute(), suite.samples()
    if not loader.timed:
        _drop_timed_figures(metrics)
        rows = [row | {"time_s": None} for row in rows]
    results = {
        "dataset": dataset,
        "protocol": protocol.label,
        "n": len(samples),
        "missing": {"policy": missing, "samples": len(absent), "names": [sample.name for sample in absent]},
        **_summary(metrics, dataset),
        "fingerprint": loader.fingerprint(),
        "version": __version__,
        "options": options,
        "metrics": metrics,
    }
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    column = f"{MODEL_ROW}/{protocol.rules[0]}"
    lines = [{**_first(row), "ciou": row[column], **row} for row in rows]
    write_text_atomic(path.with_name(PER_SAMPLE), to_csv(lines))
    _sample_maps(samples, loader, protocol).write(path.with_name(MAPS))
    files = [PER_SAMPLE, MAPS]
    if dataset == "avatar" and protocol.samples == "frame":
        files += write_avatar_results(path.parent, rows, protocol, suite.universal_thresholds)
    write_text_atomic(path, json.dumps(results, indent=2) + "\n")
    written = f"{path}, {', '.join(files[:-1])} and {files[-1]} written."
    print("\n" + "\n\n".join([*(table.to_text() for table in _tables(results)), written]))


def main(args: list[str]) -> int:
    """Runs ``tavlo score …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo score``.
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
    readers: dict[str, Callable[[str], ClipSource]] = {
        "vggss": VGGSS,
        "flickr": FlickrSoundNet,
        "is3": IS3,
        "avsbench": AVSBench,
    }
    return readers[dataset](annotations)


def _absent(samples: list["ScoredSample"], folders: Iterable["HeatmapFolder"], missing: str) -> list["ScoredSample"]:
    """The samples that lack a heatmap in one of the folders, if this is allowed.

    Raises:
        PredictionError: it is not allowed, or no sample has a heatmap.
    """
    gone: dict[int, ScoredSample] = {}
    for heatmaps in folders:
        absent = [sample for sample in samples if heatmaps.file_of(sample) is None]
        if absent and (missing == "error" or len(absent) == len(samples)):
            names = ", ".join(f"{sample.name}{heatmaps.suffix}" for sample in absent[:NAMED])
            more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
            some = len(absent) < len(samples)
            advice = "predict them too, or give --missing skip or zero" if some else "check the names"
            raise PredictionError(
                f"{heatmaps.folder}: no heatmap for {len(absent)} of {len(samples)} samples ({names}{more}); there are "
                f"{len(heatmaps.names)} files such as {min(heatmaps.names)}{heatmaps.suffix}; {advice}."
            )
        gone |= {sample.index: sample for sample in absent}
    if missing == "skip" and len(gone) == len(samples):
        raise PredictionError("no sample has a heatmap in every folder given; predict the same samples in all of them.")
    return [gone[index] for index in sorted(gone)]


def _left_out(absent: Iterable["ScoredSample"]) -> list[BadClip]:
    """The clips of the samples, with what is missing of each."""
    by_clip: dict[int, list[ScoredSample]] = {}
    for sample in absent:
        by_clip.setdefault(sample.number, []).append(sample)
    return [
        BadClip(number, lost[0].clip.sample_id, _reason(lost), len(lost)) for number, lost in sorted(by_clip.items())
    ]


def _reason(lost: list["ScoredSample"]) -> str:
    whole_clip = {sample.frame.name for sample in lost} >= {frame.name for frame in lost[0].clip.annotations}
    return "no prediction" if whole_clip else f"no prediction for {', '.join(sample.name for sample in lost)}"


def _sample_maps(samples: list["ScoredSample"], loader: "ScoreLoader", protocol: Protocol) -> SampleMaps:
    """The maps and the ground truth of the samples, for ``tavlo report``."""
    import numpy as np

    kept = {name: np.concatenate(parts) for name, parts in loader.kept.items()}
    paths = {sample.number: sample.clip.path for sample in samples}
    local = {number: path for number, path in paths.items() if isinstance(path, Path) and path.is_file()}
    found = {number: str(local[number].absolute()) if number in local else "" for number in paths}
    number = np.arange(len(samples))
    return SampleMaps(
        sample_id=np.array([sample.name for sample in samples]),
        showing=number,
        segment=np.zeros_like(number),
        next_segment=np.zeros_like(number),
        blend=np.zeros(len(number), np.float32),
        time_s=kept["time_s"],
        mask=kept["mask"],
        size=np.array(protocol.size),
        clip=np.array([sample.clip.sample_id for sample in samples]),
        path=np.array([found[sample.number] for sample in samples]),
        frame_time_s=kept["time_s"][:, None],
        heatmap=kept["heatmap"][:, None],
    )


def _first(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("sample_id", "clip", "scenario", "category")}


def _drop_timed_figures(metrics: dict[str, Any]) -> None:
    """Removes the figures that need the time of every annotated moment in seconds."""
    timed = [figure.name for figure in read_figures(metrics) if figure.needs_time]
    for group in metrics["scenarios"].values():
        for by_rule in group["rows"].values():
            for values in by_rule.values():
                for name in timed:
                    values.pop(name, None)
                    values.pop(f"{name}_interval", None)


def _summary(metrics: dict[str, Any], dataset: str) -> dict[str, Any]:
    """The figures by scenario, under their own threshold rule; ``all`` has the on-screen and the whole-set ones.

    Returns:
        ``scenarios`` (of the model), ``mismatched_audio`` if it was given, ``baselines`` (name -> scenarios) and
        ``ceiling``; each figure as ``value``, ``low``, ``high``, whose limits are None where there is no interval.
    """
    found: dict[str, dict[str, Any]] = {MODEL_ROW: {}}
    ceiling: dict[str, Any] = {}
    figures = read_figures(metrics)
    for name, group in _shown(metrics, dataset).items():
        shown = ALL if name == ON_SCREEN else name
        for row, by_rule in group["rows"].items():
            for figure in figures:
                values = by_rule.get(figure.rule(metrics), {})
                if figure.name not in values:
                    continue
                of, key = (MODEL_ROW, f"{figure.name}_{row}") if figure.mismatched else (row, figure.name)
                counts = {"samples": group["samples"], "clips": group["clips"]}
                found.setdefault(of, {}).setdefault(shown, counts)[key] = _spread(values, figure.name)
        for values in [group["ceiling"][metrics["rules"][0]]] if "ceiling" in group else []:
            ceiling[shown] = {figure: _spread(values, figure) for figure in values}
    summary = {"scenarios": found.pop(MODEL_ROW)}
    if MISMATCHED_ROW in found:
        summary[MISMATCHED_ROW] = found.pop(MISMATCHED_ROW)
    return summary | {"baselines": found, "ceiling": ceiling}


def _shown(metrics: dict[str, Any], dataset: str) -> dict[str, Any]:
    """The groups of samples that are meaningful for the data set; the first is ``on_screen``."""
    kept = metrics["scenarios"] if dataset == "avatar" else (ON_SCREEN, OFF_SCREEN, ALL)
    order = sorted(
        metrics["scenarios"].keys() & set(kept),
        key=lambda name: (name != ON_SCREEN, list(metrics["scenarios"]).index(name)),
    )
    return {name: metrics["scenarios"][name] for name in order}


def _spread(values: dict[str, Any], name: str) -> dict[str, Any]:
    low, high = values.get(f"{name}_interval") or (None, None)
    return {"value": values[name], "low": low, "high": high}


def _tables(results: dict[str, Any]) -> list[Table]:
    metrics = results["metrics"]
    tables = results_tables(metrics | {"scenarios": _shown(metrics, results["dataset"])})
    figures, summary = read_figures(metrics), results["scenarios"].get(ALL, {})
    rows = [
        [figure.name, *(_number(summary[figure.name][part], figure.unit) for part in ("value", "low", "high"))]
        for figure in figures
        if figure.name in summary
    ]
    return [*tables, Table(f"All samples, in %, protocol {results['protocol']}", ["", "value", "low", "high"], rows)]


def _number(value: float | None, unit: Unit) -> str:
    if value is None:
        return NOTHING
    return f"{100 * value:.2f}" if unit == "percent" else FORMATS[unit](value)
