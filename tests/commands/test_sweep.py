"""``tavlo sweep``: finished, interrupted, changed and failed runs; the table and the plots."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tavlo_pl.commands import sweep
from tavlo_pl.run.sweep import SweepRun
from tests.helpers.cli import tavlo
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Runs the commands of a sweep in this process, and records those that train and test."""
    recorded: list[list[str]] = []
    real_run = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "tavlo_pl" not in command:  # the provenance file asks git for the revision
            return real_run(command, **options)
        words = command[command.index("tavlo_pl") + 1 :]
        if not words[-1].startswith("--print_config"):
            recorded.append(words)
        outcome = tavlo(*words)
        return subprocess.CompletedProcess(command, outcome.code, outcome.out, outcome.err)

    monkeypatch.setattr(sweep.subprocess, "run", run)
    return recorded


@pytest.fixture
def variants(tmp_path: Path) -> Path:
    folder = tmp_path / "variants"
    folder.mkdir()
    for width in (2, 4):
        (folder / f"width_{width}.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"width": width}}}))
    return folder


@pytest.mark.slow
def test_sweep_writes_one_table_and_keeps_finished_runs(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out = tiny_config(world, tmp_path), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/*.yaml']", "--out", out]
    first = tavlo(*words, "--seeds", "[0]", "--settings", "['--trainer.max_epochs=1']")
    assert first.code == 0, first.err
    assert [c[0] for c in commands] == ["fit", "test"] * 2
    assert yaml.safe_load((out / "width_2/0/config.yaml").read_text())["trainer"]["max_epochs"] == 1
    commands.clear()
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: out -->\n<!-- end -->\nafter\n")
    second = tavlo(*words, "--seeds", "[0,1]", "--settings", "['--trainer.max_epochs=1']", "--page", page)
    assert second.code == 0, second.err
    assert [c[0] for c in commands] == ["fit", "test"] * 2  # seed 1 only
    figures = json.loads((out / "sweep.json").read_text())
    assert set(figures) == {"width_2", "width_4"}
    row = figures["width_4"]
    assert row["seeds"] == [0, 1]
    by_seed = [
        json.loads((out / f"width_4/{seed}/test/results.json").read_text())["metrics"]["scenarios"]["on_screen"][
            "rows"
        ]["model"]["universal:0.9"]["ciou_mean"]
        for seed in (0, 1)
    ]
    assert row["ciou_mean"]["on_screen"]["by_seed"] == pytest.approx(by_seed, abs=1e-4)
    assert row["ciou_mean"]["on_screen"]["value"] == pytest.approx(sum(by_seed) / 2, abs=1e-4)
    assert row["parameters"] == 848 and len(row["fit_s"]) == len(row["inference_s"]) == 2
    assert min(row["fit_s"] + row["inference_s"]) > 0
    table = (out / "table.md").read_text()
    assert page.read_text() == f"before\n<!-- table: out -->\n{table}<!-- end -->\nafter\n"
    assert "width_4" in second.out and "width_4" in table and "Pointing in %" in table
    assert "<svg" in (out / "plot.svg").read_text()
    assert "val/ciou_mean" in (out / "curves.svg").read_text()


@pytest.mark.slow
def test_sweep_resumes_interrupted_and_reports_failed_runs(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out = tiny_config(world, tmp_path), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--out", out, "--seeds", "[0]"]
    assert tavlo(*words).code == 0
    (out / "width_2/0/test/results.json").unlink()
    (out / "records/width_2/0.json").unlink()
    commands.clear()
    assert tavlo(*words).code == 0
    assert commands[0][:3] == ["fit", "--ckpt_path", "last"]
    (world_copy := tmp_path / "moved").mkdir()
    failed = tavlo(*words[:-2], "--seeds", "[5]", "--settings", f"['--data.train.init_args.root={world_copy}']")
    assert failed.code == 1
    assert "width_2 with seed 5: fit failed with exit code 2" in failed.err


@pytest.mark.slow
def test_sweep_reports_a_rejected_configuration(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out = tiny_config(world, tmp_path, max_epochs=1), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/*.yaml']", "--out", out, "--seeds", "[0]"]
    assert tavlo(*words).code == 0
    commands.clear()
    (variants / "width_2.yaml").write_text("model: {init_args: {no_such_option: 1}}")
    rejected = tavlo(*words)
    assert rejected.code == 1 and not commands
    assert "width_2 with seed 0: its configuration is rejected: tavlo fit:" in rejected.err
    assert "no_such_option" in rejected.err
    assert list(json.loads((out / "sweep.json").read_text())) == ["width_4"]  # no results of the earlier configuration


@pytest.mark.slow
def test_sweep_makes_a_run_again_if_its_configuration_changed(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out = tiny_config(world, tmp_path, max_epochs=1), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/*.yaml']", "--out", out, "--seeds", "[0]"]
    assert tavlo(*words).code == 0
    made = {name: (out / name / "0/test/results.json").read_bytes() for name in ("width_2", "width_4")}
    commands.clear()

    (variants / "width_2.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"width": 3}}}))  # the variant
    changed = tavlo(*words)
    assert changed.code == 0, changed.err
    assert [c[0] for c in commands] == ["fit", "test"] and str(out / "width_2/0") in commands[0]
    assert "--ckpt_path" not in commands[0]  # trained from the beginning
    assert "width_2 with seed 0 is made again: changed configuration: model.init_args.width\n" in changed.out
    assert "width_4 with seed 0" not in changed.out
    assert (out / "width_2/0/test/results.json").read_bytes() != made["width_2"]
    assert (out / "width_4/0/test/results.json").read_bytes() == made["width_4"]
    assert json.loads((out / "sweep.json").read_text())["width_2"]["parameters"] != 848
    commands.clear()

    settings = ["--settings", "['--data.batch_size=3','--trainer.enable_progress_bar=true']"]
    words[4] = f"['{variants}/width_2.yaml']"
    changed = tavlo(*words, *settings)
    assert changed.code == 0, changed.err
    assert "is made again: changed configuration: data.batch_size\n" in changed.out
    assert tavlo(*words, *settings).code == 0  # kept
    assert [c[0] for c in commands] == ["fit", "test"]
    commands.clear()

    tiny_config(world, tmp_path, max_epochs=1, gradient_clip_val=0.5)  # the base
    changed = tavlo(*words, *settings)
    assert "is made again: changed configuration: trainer.gradient_clip_val\n" in changed.out
    assert [c[0] for c in commands] == ["fit", "test"]


@pytest.mark.slow
def test_sweep_makes_a_run_without_stored_configuration_again(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out = tiny_config(world, tmp_path, max_epochs=1), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--out", out, "--seeds", "[0]"]
    assert tavlo(*words).code == 0
    (out / "width_2/0.config.json").unlink()
    (out / "width_2/0/test/results.json").unlink()  # neither finished nor resumable
    (out / "records/width_2/0.json").unlink()
    commands.clear()
    again = tavlo(*words)
    assert again.code == 0, again.err
    assert "width_2 with seed 0 is made again: the configuration it was made with is not stored" in again.out
    assert [c[0] for c in commands] == ["fit", "test"] and "--ckpt_path" not in commands[0]


def test_sweep_keeps_a_run_whose_record_is_all_that_is_left(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, records = tiny_config(world, tmp_path, max_epochs=1), tmp_path / "records"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--records", records]
    assert tavlo(*words, "--out", tmp_path / "one", "--seeds", "[0]").code == 0
    commands.clear()
    again = tavlo(*words, "--out", tmp_path / "other", "--seeds", "[0]")  # as on another machine
    assert again.code == 0 and not commands
    tables = [(tmp_path / folder / "table.md").read_text() for folder in ("one", "other")]
    assert tables[0] == tables[1] and "Pointing in %" in tables[0]

    path = records / "width_2/0.json"
    record = json.loads(path.read_text())
    del record["config"]["data"]["augment"]["segment_s"]  # as if the option, at its default, were newer
    path.write_text(json.dumps(record))
    assert tavlo(*words, "--out", tmp_path / "other", "--seeds", "[0]").code == 0 and not commands
    del record["config"]["model"]["init_args"]["width"]  # not at its default
    path.write_text(json.dumps(record))
    again = tavlo(*words, "--out", tmp_path / "one", "--seeds", "[0]")
    assert again.code == 0 and not commands  # the record is made from the results that are still there
    assert json.loads(path.read_text())["config"]["model"]["init_args"]["width"] == 2
    again = tavlo(*words, "--out", tmp_path / "other", "--seeds", "[0]")
    assert again.code == 0 and not commands


def test_sweep_scores_saved_heatmaps(world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]) -> None:
    base, out = tiny_config(world, tmp_path, max_epochs=1), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--seeds", "[0]", "--out", out]
    annotations = world / "test"
    sources = [path for path in (annotations / "metadata").iterdir() if any(path.glob("*.json"))]
    for path in sources:
        (tmp_path / "maps/constant").mkdir(parents=True, exist_ok=True)
        np.savez(tmp_path / f"maps/constant/{path.name}.npz", heatmap=np.eye(4, dtype=np.float32)[None])
    done = tavlo(*words, "--predictions", f"['{tmp_path}/maps/*']", "--annotations", annotations)
    assert done.code == 0, done.err
    row = json.loads((out / "sweep.json").read_text())["constant"]
    assert (
        row["parameters"] is None and row["mismatched_falls_by"] == [] and row["ciou_mean"]["on_screen"]["value"] >= 0
    )
    missing = tavlo(*words, "--predictions", f"['{tmp_path}/maps/*']")
    assert missing.code == 2 and "--annotations" in missing.err


def test_a_run_is_tested_with_its_own_configuration(tmp_path: Path) -> None:
    one = SweepRun("wide", Path("wide.yaml"), 3, tmp_path / "3", tmp_path / "3.json")
    words = sweep.Commands("base.yaml", ["--data.batch_size=2"], None, {}).test(one)
    options = [
        "-c",
        "base.yaml",
        "-c",
        "wide.yaml",
        "--seed_everything",
        "3",
        "--data.seed",
        "3",
        "--data.batch_size=2",
    ]
    assert words[:12] == ["test", *options, "--ckpt_path", str(one.best)]


def test_defaults_of_a_variant_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(commands: sweep.Commands, run: SweepRun, *, explicit: bool = False) -> dict[str, Any]:
        assert explicit
        resolved.append(run.name)
        return {"data": {"seed": 0}}

    resolved: list[str] = []
    monkeypatch.setattr(sweep.Commands, "resolve", resolve)
    commands = sweep.Commands("base.yaml", [], None, {})
    for seed in (0, 1):
        run = SweepRun("wide", Path("wide.yaml"), seed, tmp_path / str(seed), tmp_path / f"{seed}.json")
        config = {"seed_everything": seed, "trainer": {}, "data": {"seed": seed}}
        assert commands.changes(run, config, config | {"model": {"width": 2}}) == []  # an added option at its default
        assert commands.changes(run, config | {"monitor": "a"}, config | {"monitor": "b"}) == ["monitor"]
    assert resolved == ["wide"]


def test_sweep_help_explains_when_a_run_is_kept() -> None:
    words = " ".join(tavlo("sweep", "--help").out.split())
    assert "A finished run is kept if its resolved configuration" in words


@pytest.mark.slow
def test_sweep_tests_an_untrained_model_once(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out, untrained = tiny_config(world, tmp_path), tmp_path / "out", tmp_path / "motion.yaml"
    untrained.write_text(yaml.safe_dump({"model": {"class_path": "tavlo_pl.models.untrained.Motion"}}))
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--out", out]
    for seeds in ("[0]", "[0,1]"):
        outcome = tavlo(
            *words, "--untrained", f"['{untrained}']", "--seeds", seeds, "--settings", "['--trainer.max_epochs=1']"
        )
        assert outcome.code == 0, outcome.err
    assert [c[0] for c in commands] == ["test", "fit", "test", "fit", "test"]
    figures = json.loads((out / "sweep.json").read_text())
    assert figures["motion"]["seeds"] == [0] and figures["motion"]["parameters"] == 0
    assert figures["motion"]["fit_s"] == [] and figures["width_2"]["seeds"] == [0, 1]
    missing = tavlo(*words, "--untrained", "['nowhere.yaml']")
    assert missing.code == 2 and "--untrained: no such configuration: nowhere.yaml" in missing.err


@pytest.mark.parametrize(
    ("base", "variant", "message"),
    [("nowhere.yaml", "v.yaml", "--base nowhere.yaml: no such"), ("v.yaml", "nowhere.yaml", "--variants: no such")],
)
def test_sweep_names_missing_files(tmp_path: Path, base: str, variant: str, message: str) -> None:
    (tmp_path / "v.yaml").write_text("model: {}")
    paths = [
        str(tmp_path / base) if base == "v.yaml" else base,
        str(tmp_path / variant) if variant == "v.yaml" else variant,
    ]
    outcome = tavlo("sweep", "--base", paths[0], "--variants", f"['{paths[1]}']", "--out", tmp_path / "out")
    assert outcome.code == 2 and message in outcome.err


def test_sweep_rejects_a_page_without_the_table(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    words = ["sweep", "--base", tiny_config(world, tmp_path), "--variants", f"['{variants}/*.yaml']"]
    for page in (tmp_path / "none.md", tiny_config(world, tmp_path)):
        rejected = tavlo(*words, "--out", tmp_path / "out", "--page", page)
        assert rejected.code == 2 and f"--page {page}: no page with a line <!-- table: out -->" in rejected.err
    assert not commands
