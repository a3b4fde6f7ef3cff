"""``tavlo sweep``: equal runs, what is there is kept, one table and one plot."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tavlo_pl.commands import sweep
from tests.helpers.cli import tavlo
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Runs the processes of a comparison in this one, and keeps what they were told."""
    told: list[list[str]] = []
    really = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "tavlo_pl" not in command:  # git is asked for the revision
            return really(command, **options)
        words = command[command.index("tavlo_pl") + 1 :]
        told.append(words)
        outcome = tavlo(*words)
        return subprocess.CompletedProcess(command, outcome.code, outcome.out, outcome.err)

    monkeypatch.setattr(sweep.subprocess, "run", run)
    return told


@pytest.fixture
def variants(tmp_path: Path) -> Path:
    folder = tmp_path / "variants"
    folder.mkdir()
    for width in (2, 4):
        (folder / f"width_{width}.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"width": width}}}))
    return folder


def test_all_variants_and_seeds_in_one_table_and_nothing_is_done_twice(
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
    assert [c[0] for c in commands] == ["fit", "test"] * 2  # seed 1 alone
    figures = json.loads((out / "compare.json").read_text())
    assert set(figures) == {"width_2", "width_4"}
    row = figures["width_4"]
    assert row["seeds"] == [0, 1]
    by_seed = [
        json.loads((out / f"width_4/{seed}/test/results.json").read_text())["metrics"]["scenarios"]["on_screen"][
            "rows"
        ]["model"]["top_tenth"]["ciou_mean"]
        for seed in (0, 1)
    ]
    assert row["ciou_mean"]["on_screen"]["by_seed"] == pytest.approx(by_seed)
    assert row["ciou_mean"]["on_screen"]["value"] == pytest.approx(sum(by_seed) / 2)
    assert row["parameters"] == 848 and len(row["fit_s"]) == len(row["inference_s"]) == 2
    assert min(row["fit_s"] + row["inference_s"]) > 0
    table = (out / "table.md").read_text()
    assert page.read_text() == f"before\n<!-- table: out -->\n{table}<!-- end -->\nafter\n"
    assert "width_4" in second.out and "width_4" in table and "A centred disk: single_sound" in table
    assert "<svg" in (out / "plot.svg").read_text()
    assert "val/ciou_mean" in (out / "curves.svg").read_text()


def test_an_interrupted_run_goes_on_and_a_failed_one_is_named(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out = tiny_config(world, tmp_path), tmp_path / "out"
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--out", out, "--seeds", "[0]"]
    assert tavlo(*words).code == 0
    (out / "width_2/0/test/results.json").unlink()
    commands.clear()
    assert tavlo(*words).code == 0
    assert commands[0][:3] == ["fit", "--ckpt_path", "last"]
    (variants / "width_2.yaml").write_text("model: {init_args: {no_such_option: 1}}")
    failed = tavlo(*words[:-2], "--seeds", "[5]")
    assert failed.code == 1
    assert "width_2 with seed 5: fit ended with exit code 2" in failed.err


def test_a_model_without_weights_is_tested_once_beside_the_others(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    base, out, still = tiny_config(world, tmp_path), tmp_path / "out", tmp_path / "motion.yaml"
    still.write_text(yaml.safe_dump({"model": {"class_path": "tavlo_pl.models.untrained.Motion"}}))
    words = ["sweep", "--base", base, "--variants", f"['{variants}/width_2.yaml']", "--out", out]
    for seeds in ("[0]", "[0,1]"):
        outcome = tavlo(
            *words, "--untrained", f"['{still}']", "--seeds", seeds, "--settings", "['--trainer.max_epochs=1']"
        )
        assert outcome.code == 0, outcome.err
    assert [c[0] for c in commands] == ["test", "fit", "test", "fit", "test"]
    figures = json.loads((out / "compare.json").read_text())
    assert figures["motion"]["seeds"] == [0] and figures["motion"]["parameters"] == 0
    assert figures["motion"]["fit_s"] == [] and figures["width_2"]["seeds"] == [0, 1]
    missing = tavlo(*words, "--untrained", "['nowhere.yaml']")
    assert missing.code == 2 and "--untrained: no such configuration: nowhere.yaml" in missing.err


@pytest.mark.parametrize(
    ("base", "variant", "sentence"),
    [("nowhere.yaml", "v.yaml", "--base nowhere.yaml: no such"), ("v.yaml", "nowhere.yaml", "--variants: no such")],
)
def test_missing_files_are_named(tmp_path: Path, base: str, variant: str, sentence: str) -> None:
    (tmp_path / "v.yaml").write_text("model: {}")
    paths = [
        str(tmp_path / base) if base == "v.yaml" else base,
        str(tmp_path / variant) if variant == "v.yaml" else variant,
    ]
    outcome = tavlo("sweep", "--base", paths[0], "--variants", f"['{paths[1]}']", "--out", tmp_path / "out")
    assert outcome.code == 2 and sentence in outcome.err


def test_a_page_without_the_place_is_a_mistake_before_anything_is_done(
    world: Path, tmp_path: Path, variants: Path, commands: list[list[str]]
) -> None:
    words = ["sweep", "--base", tiny_config(world, tmp_path), "--variants", f"['{variants}/*.yaml']"]
    for page in (tmp_path / "none.md", tiny_config(world, tmp_path)):
        refused = tavlo(*words, "--out", tmp_path / "out", "--page", page)
        assert refused.code == 2 and f"--page {page}: no page with a line <!-- table: out -->" in refused.err
    assert not commands
