"""``tavlo sweep``: variants of an experiment, trained and tested under equal conditions, in one table and one plot.

Each run is a process of its own, exactly the two commands that a user would type::

    tavlo fit -c BASE -c VARIANT --seed_everything S --data.seed S --out OUT/<variant>/<seed>
    tavlo test --ckpt_path OUT/<variant>/<seed>/checkpoints/best.ckpt

Models that need no training are tested once, as they are::

    tavlo test -c BASE -c VARIANT --allow_untrained --out OUT/<variant>/<seed>/test

What is there already is kept: after an interruption, the same command goes on where it stopped.
"""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jsonargparse import auto_cli
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tqdm import tqdm

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.config import packaged
from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.run.directory import CHECKPOINTS, LAST
from tavlo_pl.types import Scenario
from tavlo_pl.viz.plots import Interval, interval_plot, step_curves
from tavlo_pl.viz.table import NOTHING, PLACE, Table

RULE = "top_tenth"
MISMATCHED = "mismatched_audio"
CURVES = ("train/retrieval", "val/ciou_mean")
GROUPS = ("single_sound", "mixed_sound", "multi_entity", "cross_event", "on_screen")
COSTS = ("parameters", "fit, s", "clip, ms")
BEST = Path(CHECKPOINTS, "best.ckpt")


class Run(NamedTuple):
    """One variant with one seed.

    Attributes:
        name: of the variant, the stem of its file.
        config: its file, laid over the base.
        seed: of weights, draws and order.
        folder: the run folder.
        trained: whether there is anything to train.
    """

    name: str
    config: Path
    seed: int
    folder: Path
    trained: bool = True

    @property
    def fit_times(self) -> Path:
        """A file beside the run folder: seconds of each process that trained it, in lines."""
        return self.folder.with_name(f"{self.folder.name}.fit_s")

    @property
    def tested(self) -> bool:
        """Whether its results are there."""
        return (self.folder / "test" / "results.json").is_file()


def sweep(
    base: str,
    variants: list[str],
    out: str,
    seeds: Sequence[int] = (0, 1, 2),
    jobs: int = 1,
    settings: Sequence[str] = (),
    untrained: Sequence[str] = (),
    page: str | None = None,
    quick: bool = False,
) -> None:
    """Trains and tests variants of an experiment with several seeds each, and writes a table and a plot.

    Leaves OUT/compare.json, table.md, plot.svg and curves.svg beside the runs; a run that is there is not made again.

    Args:
        base: configuration of the experiment.
        variants: configurations that are laid over it, one a variant; patterns such as 'configs/ablation/*.yaml'.
        out: folder of all runs.
        seeds: each variant is trained with each of them.
        jobs: runs at a time; the processors are shared out among them.
        settings: further options of every fit, such as --trainer.max_epochs=2, and of the test of what is not trained.
        untrained: configurations of models that need no training, laid over the base, with patterns too.
        page: Markdown page that shows the table too, between <!-- table: NAME --> and <!-- end -->, NAME being the
            last part of OUT.
        quick: one epoch with the first seed, to see that all runs through and about where it goes.
    """
    if quick:
        seeds, settings = seeds[:1], [*settings, "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1"]
    base = packaged.find(base)
    runs = _plan(base, variants, untrained, Path(out), seeds)
    if page is not None:
        _shown_in(Path(page), Path(out).name, "")  # a page without the place is a mistake to be told before the work
    waiting = [run for run in runs if not run.tested]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(runs), initial=len(runs) - len(waiting), unit="run") as bar:

        def finish(run: Run) -> str | None:
            problem = _make(run, base, settings, environment)
            bar.update()
            bar.set_postfix_str(f"{run.name}/{run.seed}")
            return problem

        problems = [problem for problem in pool.map(finish, waiting) if problem]
    done = [run for run in runs if run.tested]
    if done:
        table = _write(done, Path(out))
        if page is not None:
            write_text_atomic(Path(page), _shown_in(Path(page), Path(out).name, table))
    if problems:
        raise RunFailedError(f"{len(problems)} of {len(runs)} runs failed: {'; '.join(problems)}")


def _plan(base: str, variants: Sequence[str], untrained: Sequence[str], out: Path, seeds: Sequence[int]) -> list[Run]:
    """All runs, seed by seed, so that an interrupted comparison has every variant before it has a second seed."""
    if not Path(base).is_file():
        raise ConfigError(f"--base {base}: no such configuration")
    trained, as_they_are = _files("--variants", variants), _files("--untrained", untrained)
    files = trained + as_they_are
    if not files:
        raise ConfigError("--variants: no such configuration: none given")
    doubled = {file.stem for file in files if sum(other.stem == file.stem for other in files) > 1}
    if doubled:
        raise ConfigError(
            f"--variants: two files are named {', '.join(sorted(doubled))}; a variant's name is its file's"
        )
    once = [Run(file.stem, file, seeds[0], out / file.stem / str(seeds[0]), trained=False) for file in as_they_are]
    return once + [Run(file.stem, file, seed, out / file.stem / str(seed)) for seed in seeds for file in trained]


def _files(option: str, patterns: Sequence[str]) -> list[Path]:
    """The configurations that an option names.

    Raises:
        ConfigError: one of them is not there.
    """
    files = [Path(file) for pattern in patterns for file in sorted(glob(packaged.pattern(pattern))) or [pattern]]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise ConfigError(f"{option}: no such configuration: {', '.join(missing)}")
    return files


def _make(run: Run, base: str, settings: Sequence[str], environment: dict[str, str]) -> str | None:
    """Trains and tests one run, in processes of their own; returns what went wrong, in a few words."""
    seed = ["--seed_everything", str(run.seed), "--data.seed", str(run.seed)]
    fresh = ["fit", "-c", base, "-c", str(run.config), *seed, *settings, "--out", str(run.folder)]
    last = run.folder / CHECKPOINTS / f"{LAST}.ckpt"
    fit = ["fit", "--ckpt_path", LAST, "--out", str(run.folder)] if last.is_file() else [*fresh, "--overwrite"]
    steps = [fit, ["test", "--ckpt_path", str(run.folder / BEST)]]
    if not run.trained:
        layers = ["-c", base, "-c", str(run.config), *seed, *settings]
        steps = [["test", *layers, "--allow_untrained", "--out", str(run.folder / "test")]]
    log = run.folder.with_name(f"{run.folder.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    for words in steps:
        quiet = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
        with log.open("a") as text:
            command = [sys.executable, "-m", "tavlo_pl", *words, *quiet]
            started_s = time.monotonic()
            code = subprocess.run(
                command, stdout=text, stderr=subprocess.STDOUT, env=environment, check=False
            ).returncode
        if words is fit:
            with run.fit_times.open("a" if words[1] == "--ckpt_path" else "w") as times:
                times.write(f"{time.monotonic() - started_s:.1f}\n")
        if code:
            return f"{run.name} with seed {run.seed}: {words[0]} ended with exit code {code} (see {log})"
    return None


def _shown_in(page: Path, name: str, table: str) -> str:
    """The text of a page with a table in the place of that name.

    Raises:
        ConfigError: there is no page, or no such place in it.
    """
    text = page.read_text() if page.is_file() else ""
    if name not in {found[2] for found in PLACE.finditer(text)}:
        raise ConfigError(f"--page {page}: no page with a line <!-- table: {name} --> and a line <!-- end --> below it")
    return PLACE.sub(lambda found: found[1] + table + found[3] if found[2] == name else found[0], text)


def _write(runs: Sequence[Run], out: Path) -> str:
    """The comparison as numbers, as a table and as a plot; the table, in Markdown, also on the screen as text."""
    names = list(dict.fromkeys(run.name for run in runs))
    figures = {name: _figures([run for run in runs if run.name == name]) for name in names}
    write_text_atomic(out / "compare.json", json.dumps(figures, indent=2) + "\n")
    disk = {group: _mean([_samples(runs[0])], group, f"centred_disk/{RULE}")["value"] for group in GROUPS}
    table = _table(figures, disk)
    markdown = table.to_markdown()
    write_text_atomic(out / "table.md", markdown)
    intervals = {
        name: {group: Interval(*(row["ciou_mean"][group][key] for key in Interval._fields)) for group in GROUPS}
        for name, row in figures.items()
    }
    write_text_atomic(out / "plot.svg", interval_plot(intervals, f"ciou_mean, rule {RULE}, mean of the seeds"))
    write_text_atomic(out / "curves.svg", step_curves({scalar: _curves(runs, scalar) for scalar in CURVES}))
    print("\n" + table.to_text())
    return markdown


def _curves(runs: Sequence[Run], scalar: str) -> dict[str, list[np.ndarray]]:
    """Variant -> (N, 2) steps and values of a logged scalar, one array a seed."""
    curves: dict[str, list[np.ndarray]] = {}
    for run in runs:
        events = EventAccumulator(str(run.folder)).Reload()
        if scalar in events.Tags()["scalars"]:
            curves.setdefault(run.name, []).append(np.array([(e.step, e.value) for e in events.Scalars(scalar)]))
    return curves


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Figures of one variant: means over its seeds, with intervals by video of that mean."""
    samples = [_samples(run) for run in runs]
    results = [json.loads((run.folder / "test" / "results.json").read_text()) for run in runs]
    ciou = {group: _mean(samples, group, f"model/{RULE}") for group in GROUPS}
    mismatched = _mean(samples, "on_screen", f"{MISMATCHED}/{RULE}")
    return {
        "seeds": [run.seed for run in runs],
        "ciou_mean": ciou,
        "mismatched_falls_by": [
            1 - other / own if own else None
            for own, other in zip(ciou["on_screen"]["by_seed"], mismatched["by_seed"], strict=True)
        ],
        "mismatched_ciou_mean": mismatched,
        "tn_rate": [
            r["metrics"]["scenarios"][Scenario.OFF_SCREEN]["rows"]["model"][r["metrics"]["off_screen_rule"]]["tn_rate"]
            for r in results
        ],
        "parameters": results[0].get("parameters"),
        "fit_s": [sum(map(float, r.fit_times.read_text().split())) for r in runs if r.fit_times.is_file()],
        "inference_s": [r["inference_s"] for r in results if r.get("inference_s") is not None],
    }


def _samples(run: Run) -> list[dict[str, str]]:
    with (run.folder / "test" / "per_sample.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def _chosen(rows: Sequence[dict[str, str]], group: str) -> list[dict[str, str]]:
    """On-screen samples of a scenario, of cross-event clips, or all."""
    if group == "on_screen":
        return [row for row in rows if row["scenario"] != Scenario.OFF_SCREEN]
    if group == "cross_event":
        return [r for r in rows if r["scenario"] != Scenario.OFF_SCREEN and r["cross_event"] in ("1", "True")]
    return [row for row in rows if row["scenario"] == group]


def _mean(samples: Sequence[Sequence[dict[str, str]]], group: str, column: str) -> dict[str, Any]:
    """Mean over seeds and samples, its 95 % interval by video, and the mean of each seed."""
    chosen = [_chosen(rows, group) for rows in samples]
    values = np.array([[float(row[column]) for row in rows] for rows in chosen])  # (seeds, samples)
    clips = np.unique([row["clip"] for row in chosen[0]], return_inverse=True)[1]
    low, high = bootstrap_interval(values.mean(0)[:, None], clips)[:, 0]
    return {
        "value": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "by_seed": [float(value) for value in values.mean(1)],
    }


def _table(figures: dict[str, dict[str, Any]], disk: dict[str, float]) -> Table:
    seeds = sorted({seed for row in figures.values() for seed in row["seeds"]})

    def cell(figure: dict[str, Any]) -> str:
        return f"{100 * figure['value']:.1f} ±{50 * (figure['high'] - figure['low']):.1f}"

    def spread(values: Sequence[float | None]) -> str:
        known = [value for value in values if value is not None]
        return f"{100 * np.mean(known):.1f} ({100 * min(known):.1f}-{100 * max(known):.1f})" if known else NOTHING

    def mean(values: Sequence[float], unit: float) -> str:
        return f"{np.mean(values) / unit:.3g}" if values else NOTHING

    return Table(
        title=f"ciou_mean in %, rule {RULE}; mean of the seeds {', '.join(map(str, seeds))}",
        header=["variant", "seeds", *GROUPS, "mismatched: falls by", "off_screen tn_rate", *COSTS],
        rows=[
            [
                name,
                str(len(row["seeds"])),
                *(cell(row["ciou_mean"][group]) for group in GROUPS),
                spread(row["mismatched_falls_by"]),
                spread(row["tn_rate"]),
                NOTHING if row["parameters"] is None else f"{row['parameters']:,}",
                mean(row["fit_s"], 1),
                mean(row["inference_s"], 1e-3),
            ]
            for name, row in figures.items()
        ],
        notes=[
            "±: half the 95 % interval by video of the mean over seeds. In brackets: lowest and highest seed.",
            "A centred disk: " + ", ".join(f"{group} {100 * value:.1f}" for group, value in disk.items()) + ".",
            "fit: wall time of training with its validation; clip: to localize one, without reading it. Both as the "
            "machine was, mean of the seeds.",
            "mismatched: by how much ciou_mean over all on-screen samples falls with the audio of another clip.",
        ],
    )


def main(args: list[str]) -> int:
    """Runs ``tavlo sweep …`` and returns the exit code."""
    settings: dict[str, Any] = {"prog": "tavlo sweep", "parser_class": ShortErrors}
    return to_exit_code("sweep", lambda: auto_cli(sweep, args=args, as_positional=False, **settings))
