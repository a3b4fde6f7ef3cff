"""``tavlo sweep``: trains and tests variants of an experiment under equal conditions; tables and plots.

Each run consists of two processes, with the commands that a user would type::

    tavlo fit -c BASE -c VARIANT --seed_everything S --data.seed S SETTINGS --out OUT/<variant>/<seed>
    tavlo test -c BASE -c VARIANT … --ckpt_path OUT/<variant>/<seed>/checkpoints/best.ckpt

Models without parameters are tested once, without training::

    tavlo test -c BASE -c VARIANT --allow_untrained … --out OUT/<variant>/<seed>/test

and so are folders of saved heatmaps::

    tavlo score --dataset avatar --annotations ANNOTATIONS --predictions FOLDER --out OUT/<folder>/0/test/results.json

The resolved configuration of each variant comes from the same command with ``--print_config``. It is stored beside the
run folder (`tavlo_pl.run.sweep`). After an interruption, the same command keeps finished runs and resumes the others,
as long as the stored configuration is the same; otherwise the run is made again. Options that a later version of the
program added do not count while they have their default.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonargparse import auto_cli
from tqdm import tqdm

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.config import packaged
from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.run.directory import LAST
from tavlo_pl.run.sweep import SweepRun, changed_keys, comparable, describe, only_added
from tavlo_pl.viz.table import with_table

if TYPE_CHECKING:
    from tavlo_pl.report.records import RunRecord

NO_BARS = ("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false")


def sweep(
    base: str,
    variants: list[str],
    out: str,
    seeds: Sequence[int] = (0, 1, 2),
    jobs: int = 1,
    settings: Sequence[str] = (),
    untrained: Sequence[str] = (),
    predictions: Sequence[str] = (),
    annotations: str | None = None,
    page: str | None = None,
    records: str | None = None,
    quick: bool = False,
) -> None:
    """Trains and tests variants of an experiment with several seeds each, and writes tables and plots.

    Writes OUT/sweep.json, table.md, plot.svg, pointing.svg and curves.svg beside the runs, and a small record of each
    finished run, from which the tables are made. Variants named audio_minus<n> and audio_plus<n> are also plotted over
    the number of pieces of the audio, in misalignment.svg.

    Args:
        base: configuration of the experiment.
        variants: configurations that are merged over the base, one per variant; patterns such as
            'configs/ablation/*.yaml' are allowed.
        out: folder of all runs. A finished run is kept if its resolved configuration (base, variant, settings and seed,
            without output paths) equals the stored one. Otherwise it is made again, and the command prints its name
            and the options that changed.
        records: folder of the records, <variant>/<seed>.json; by default OUT/records. A run with a record of the same
            configuration is finished, also if it was made on another machine.
        seeds: each variant is trained with each seed.
        jobs: number of runs at a time; each gets an equal number of CPU threads.
        settings: further options of every fit, such as --trainer.max_epochs=2, and of the test of untrained models.
        untrained: configurations of models without parameters, merged over the base; patterns are allowed.
        predictions: folders of saved heatmaps that are scored beside the runs (tavlo score); patterns are allowed.
        annotations: AVATAR's root or its metadata, for --predictions.
        page: Markdown page whose table is replaced, between <!-- table: NAME --> and <!-- end -->, where NAME is the
            last part of OUT.
        quick: train one epoch with the first seed only, for a first look at the results.
    """
    if quick:
        seeds, settings = seeds[:1], [*settings, "--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1"]
    base = packaged.find(base)
    runs = _make_runs(base, variants, untrained, Path(out), seeds, Path(records or f"{out}/records"))
    runs += _scored_runs(predictions, annotations, Path(out), Path(records or f"{out}/records"))
    if page is not None:
        with_table(Path(page), Path(out).name, "")  # raises before the first run if the page has no such table
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    commands = Commands(base, settings, annotations, os.environ | {"OMP_NUM_THREADS": threads})
    with ThreadPoolExecutor(jobs) as pool:
        variant_runs = {run.name: run for run in reversed(runs)}  # the first run of each variant
        resolved = dict(zip(variant_runs, pool.map(commands.resolve, variant_runs.values()), strict=True))
        todo, problems = _runs_to_do(runs, resolved, commands)
        with tqdm(total=len(runs), initial=len(runs) - len(todo), unit="run") as bar:

            def finish(run: SweepRun) -> str | None:
                problem = commands.run(run)
                bar.update()
                bar.set_postfix_str(f"{run.name}/{run.seed}")
                return problem

            problems += [problem for problem in pool.map(finish, todo) if problem]
    accepted = {run: comparable(found, run.seed) for run in runs if not isinstance(found := resolved[run.name], str)}
    done = [record for run, config in accepted.items() if (record := commands.record(run, config)) is not None]
    if done:
        from tavlo_pl.report.sweep import write_sweep  # imports torch, which --help does not need

        Path(out).mkdir(parents=True, exist_ok=True)
        tables = write_sweep(done, list(accepted), Path(out))
        print("\n" + "\n\n".join(table.to_text() for table in tables))
        if page is not None:
            text = "\n".join(table.to_markdown() for table in tables)
            write_text_atomic(Path(page), with_table(Path(page), Path(out).name, text))
    if problems:
        raise RunFailedError(f"{len(problems)} of {len(runs)} runs failed: {'; '.join(problems)}")


def _make_runs(
    base: str, variants: Sequence[str], untrained: Sequence[str], out: Path, seeds: Sequence[int], records: Path
) -> list[SweepRun]:
    """Returns all runs, ordered by seed: every variant is trained once before a second seed starts.

    Raises:
        ConfigError: a configuration does not exist, or two variants have the same name.
    """
    if not Path(base).is_file():
        raise ConfigError(f"--base {base}: no such configuration")
    trained_files, untrained_files = _files("--variants", variants), _files("--untrained", untrained)
    files = trained_files + untrained_files
    if not files:
        raise ConfigError("--variants: no such configuration: none given")
    duplicates = {file.stem for file in files if sum(other.stem == file.stem for other in files) > 1}
    if duplicates:
        raise ConfigError(
            f"--variants: several files are named {', '.join(sorted(duplicates))}; "
            "the name of a variant is that of its file"
        )

    def run(file: Path, seed: int, *, trained: bool) -> SweepRun:
        name = file.stem
        return SweepRun(name, file, seed, out / name / str(seed), records / name / f"{seed}.json", trained)

    once = [run(file, seeds[0], trained=False) for file in untrained_files]
    return once + [run(file, seed, trained=True) for seed in seeds for file in trained_files]


def _scored_runs(patterns: Sequence[str], annotations: str | None, out: Path, records: Path) -> list[SweepRun]:
    """Returns one run for each folder of saved heatmaps.

    Raises:
        ConfigError: there are no annotations, or a folder does not exist.
    """
    folders = [Path(found) for pattern in patterns for found in sorted(glob(pattern)) or [pattern]]
    if folders and annotations is None:
        raise ConfigError("--predictions needs --annotations: AVATAR's root or its metadata")
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        raise ConfigError(f"--predictions: no such folder: {', '.join(missing)}")
    return [
        SweepRun(folder.name, folder, 0, out / folder.name / "0", records / folder.name / "0.json", trained=False)
        for folder in folders
    ]


def _files(option: str, patterns: Sequence[str]) -> list[Path]:
    """Returns the configurations that match the patterns of an option.

    Raises:
        ConfigError: one of them does not exist.
    """
    files = [Path(file) for pattern in patterns for file in sorted(glob(packaged.pattern(pattern))) or [pattern]]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise ConfigError(f"{option}: no such configuration: {', '.join(missing)}")
    return files


def _runs_to_do(
    runs: Sequence[SweepRun], resolved: dict[str, dict[str, Any] | str], commands: "Commands"
) -> tuple[list[SweepRun], list[str]]:
    """Stores the configuration of each run; discards and prints runs that were made with another configuration.

    Args:
        runs: all runs of the sweep.
        resolved: variant -> what `Commands.resolve` returned.
        commands: compares configurations.

    Returns:
        The runs that are not finished, and a message for each run whose configuration was rejected.
    """
    todo, problems = [], []
    for run in runs:
        found = resolved[run.name]
        if isinstance(found, str):
            problems.append(f"{run.name} with seed {run.seed}: {found}")
            continue
        config = comparable(found, run.seed)
        if commands.record(run, config) is not None:
            continue
        before = run.stored_config()
        changes = commands.changes(run, before, config) if before is not None else []
        if before is None or changes:
            reason = describe(changes) if changes else "the configuration it was made with is not stored"
            if run.is_started or run.record.is_file():
                print(f"{run.name} with seed {run.seed} is made again: {reason}", flush=True)
            run.discard()
        run.store_config(config)
        todo.append(run)
    return todo, problems


@dataclass(frozen=True)
class Commands:
    """The command lines of all runs of a sweep, each executed in a process.

    Attributes:
        base: configuration of the experiment.
        settings: further options of every run.
        annotations: ground truth of saved heatmaps.
        environment: environment variables of the processes.
        explicit: variant -> its configuration without the options that have their default, once it was needed.
    """

    base: str
    settings: Sequence[str]
    annotations: str | None
    environment: dict[str, str]
    explicit: dict[str, dict[str, Any] | str] = field(default_factory=dict)

    def options(self, run: SweepRun) -> list[str]:
        """Returns the configuration files, seeds and settings of a run as options."""
        seed = str(run.seed)
        files = ["-c", self.base, "-c", str(run.config)]
        return [*files, "--seed_everything", seed, "--data.seed", seed, *self.settings]

    def fit(self, run: SweepRun) -> list[str]:
        """Returns the command that trains a run, or resumes its training."""
        if run.last.is_file():
            return ["fit", "--ckpt_path", LAST, "--out", str(run.folder), *NO_BARS]
        return ["fit", *self.options(run), "--out", str(run.folder), "--overwrite", *NO_BARS]

    def test(self, run: SweepRun) -> list[str]:
        """Returns the command that tests the best checkpoint of a run, or a model without parameters."""
        if run.config.is_dir():
            files = ["--predictions", str(run.config), "--out", str(run.test_folder / "results.json")]
            return ["score", "--dataset", "avatar", "--annotations", str(self.annotations), *files]
        if run.trained:
            return ["test", *self.options(run), "--ckpt_path", str(run.best), *NO_BARS]  # a checkpoint stores no paths
        return ["test", *self.options(run), "--allow_untrained", "--out", str(run.test_folder), *NO_BARS]

    def resolve(self, run: SweepRun, *, explicit: bool = False) -> dict[str, Any] | str:
        """Returns the resolved configuration of a run, or a message if it is rejected.

        Args:
            run: to be resolved.
            explicit: leave out the options that have their default.
        """
        if run.config.is_dir():
            return {"predictions": str(run.config), "files": _fingerprint(run.config), "annotations": self.annotations}
        untrained = [] if run.trained else ["--allow_untrained"]
        how = "--print_config=skip_default" if explicit else "--print_config"
        arguments = ["fit" if run.trained else "test", *self.options(run), *untrained, how]
        done = subprocess.run(_process(arguments), capture_output=True, text=True, env=self.environment, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            return f"its configuration is rejected: {reason}"
        config: dict[str, Any] = yaml.safe_load(done.stdout)
        return config

    def changes(self, run: SweepRun, before: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
        """Returns the options that decide the results and changed since a run was made (`changed_keys`).

        Args:
            run: the run.
            before: its stored configuration.
            config: its configuration now, from `comparable`.
        """
        if not only_added(before, config):  # the defaults decide nothing
            return changed_keys(before, config)
        if run.name not in self.explicit:
            self.explicit[run.name] = self.resolve(run, explicit=True)
        found = self.explicit[run.name]
        return changed_keys(before, config, None if isinstance(found, str) else comparable(found, run.seed))

    def record(self, run: SweepRun, config: Mapping[str, Any]) -> "RunRecord | None":
        """Returns the record of a run if it belongs to a configuration; None if it must be made."""
        from tavlo_pl.report.records import RunRecord

        record = RunRecord.read(run.record)
        return None if record is None or self.changes(run, record.config, config) else record

    def run(self, run: SweepRun) -> str | None:
        """Trains and tests one run and writes its record; returns a message if a process failed."""
        steps = [self.fit(run), self.test(run)] if run.trained else [self.test(run)]
        for arguments in [] if run.is_tested else steps:
            run.log.parent.mkdir(parents=True, exist_ok=True)
            timed = run.timed_fit("--ckpt_path" in arguments) if arguments[0] == "fit" else nullcontext()
            with timed, run.log.open("a") as log:
                code = subprocess.run(
                    _process(arguments), stdout=log, stderr=subprocess.STDOUT, env=self.environment, check=False
                ).returncode
            if code:
                return f"{run.name} with seed {run.seed}: {arguments[0]} failed with exit code {code} (see {run.log})"
        from tavlo_pl.report.records import RunRecord

        config = run.stored_config() or {}
        RunRecord.of_test(run.name, run.seed, config, run.test_folder, run.fit_s()).write(run.record)
        return None


def _fingerprint(folder: Path) -> str:
    """Returns the sha256 of the names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _process(arguments: Sequence[str]) -> list[str]:
    """Returns the command line of a process that runs ``tavlo`` with arguments."""
    return [sys.executable, "-m", "tavlo_pl", *arguments]


def main(args: list[str]) -> int:
    """Runs ``tavlo sweep …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo sweep``.
    """
    settings: dict[str, Any] = {"prog": "tavlo sweep", "parser_class": ShortErrors}
    return to_exit_code("sweep", lambda: auto_cli(sweep, args=args, as_positional=False, **settings))
