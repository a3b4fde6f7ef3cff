"""``tavlo diagnose`` from outside: which clips are shown, what is left, and the verdict on trained models."""

import json
from html import escape
from pathlib import Path
from typing import Any

import pytest
import torch

from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.dataset import AnnotatedSample, Entry
from tavlo_pl.diagnose import run as diagnose_run
from tavlo_pl.diagnose.run import choose
from tavlo_pl.types import Scenario
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.run import tiny_config
from tests.helpers.tiny import Tiny

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def checkpoint(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model trained for one step."""
    folder = tmp_path_factory.mktemp("run")
    outcome = tavlo("fit", "-c", tiny_config(world, folder, max_steps=1), "--out", folder / "out")
    assert outcome.code == 0, outcome.err
    return folder / "out" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def diagnosed(checkpoint: Path) -> Outcome:
    """What the command answered; it wrote beside the checkpoint's folder."""
    outcome = tavlo("diagnose", "--ckpt_path", checkpoint)
    assert outcome.code == 0, outcome.err
    return outcome


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "diagnose.json").read_text())


def test_a_checkpoint_alone_is_enough(checkpoint: Path, diagnosed: Outcome) -> None:
    folder = checkpoint.parent.parent / "diagnose"
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "run.json", "diagnose.json", "diagnose.html"}
    found = read(folder)
    assert found["verdict"] in diagnosed.out
    assert found["checkpoint"]["path"] == str(checkpoint) and len(found["checkpoint"]["sha256"]) == 64
    assert found["clips"] == len(found["shown"]) > 3
    for name, probe in found["probes"].items():
        assert probe["sentence"] in diagnosed.out and name in diagnosed.out
        assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in probe["figures"].values())
    deciding = [probe["passed"] for probe in found["probes"].values() if probe["decides"]]
    assert len(deciding) == 3 and found["listens"] == all(deciding)


@pytest.mark.usefixtures("diagnosed")
def test_the_page_has_all_in_it(checkpoint: Path) -> None:
    folder = checkpoint.parent.parent / "diagnose"
    page, found = (folder / "diagnose.html").read_text(), read(folder)
    assert page.count("<svg") == len(found["probes"])
    assert (
        page.count("<img") == page.count('<img src="data:image/png;base64,') == 8 + 1
    )  # a column a trial; the mean map
    assert all(escape(probe["question"]) in page for probe in found["probes"].values())


@pytest.mark.usefixtures("diagnosed")
def test_the_figures_are_the_same_again(checkpoint: Path, tmp_path: Path) -> None:
    assert tavlo("diagnose", "--ckpt_path", checkpoint, "--data.batch_size", 3, "--out", tmp_path).code == 0
    first, again = (read(folder)["probes"] for folder in (checkpoint.parent.parent / "diagnose", tmp_path))
    for name, probe in first.items():
        assert probe["sentence"] == again[name]["sentence"]
        for key, figure in probe["figures"].items():
            assert figure == pytest.approx(again[name]["figures"][key], abs=1e-4), f"{name}: {key}"


def test_a_model_is_not_diagnosed_without_weights(world: Path, tmp_path: Path) -> None:
    outcome = tavlo("diagnose", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "--ckpt_path" in outcome.err


def test_one_clip_is_too_few(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose_run, "CLIPS", 1)
    outcome = tavlo("diagnose", "--ckpt_path", checkpoint, "--out", tmp_path)
    assert outcome.code == 2
    assert "two or more" in outcome.err.splitlines()[-1]


def test_a_model_that_has_diverged_is_not_judged(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiny, "localize", lambda self, frames, _: torch.full((*frames.shape[:2], 4, 4), torch.nan))
    outcome = tavlo("diagnose", "--ckpt_path", checkpoint, "--out", tmp_path)
    assert outcome.code == 1
    assert "diverged" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "diagnose.json").exists()


def entry(number: int, *scenarios: Scenario) -> Entry:
    frame = AnnotatedFrame(0, "00000", 4, 4, ())
    samples = tuple(AnnotatedSample(0, 0, frame, scenario) for scenario in scenarios)
    return Entry(Clip(Path("x.mp4"), str(number)), number, samples=samples)


def test_a_clip_is_shown_once_and_only_if_its_source_can_be_seen() -> None:
    seen, unseen = Scenario.SINGLE_SOUND, Scenario.OFF_SCREEN
    entries = [entry(0, seen), entry(1, unseen), entry(2, seen, unseen), entry(2, seen), entry(3)]
    chosen = choose(entries, seed=0)
    assert sorted(entries[index].number for index in chosen) == [0, 2, 3]
    many = [entry(number) for number in range(2 * diagnose_run.CLIPS)]
    assert len(set(choose(many, seed=0))) == diagnose_run.CLIPS


PUBLISHED = (
    "--model.cross_modal true --model.layer_scale null --model.positive_pool max --model.negative_pool mean "
    "--model.temperature 0.03"
)


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320 training clips and 80 test clips, 96 pixels a side."""
    folder = tmp_path_factory.mktemp("data") / "world"
    sizes = "--train_clips 320 --clips_per_scenario 16 --val_clips_per_scenario 1"
    look = "--difficulty easy --frame_rate 12 --width 96 --height 96"
    outcome = tavlo("data", "synth", "--out", folder, *sizes.split(), *look.split())
    assert outcome.code == 0, outcome.err
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "epochs", "listens"), [("", 6, True), (PUBLISHED, 2, False)], ids=["recommended", "published"]
)
def test_the_published_form_leaks_and_the_recommended_one_listens(
    small_world: Path, tmp_path: Path, form: str, epochs: int, listens: bool
) -> None:
    clips = f"--data.train.init_args.root {small_world / 'train'} --data.test.init_args.root {small_world / 'test'}"
    options = f"--data.val null --data.batch_size 16 --data.num_workers 0 --trainer.max_epochs {epochs} {form}"
    config = Path(__file__).parents[2] / "configs" / "exp" / "demo.yaml"
    trained = tavlo("fit", "-c", config, *clips.split(), *options.split(), "--out", tmp_path)
    assert trained.code == 0, trained.err
    outcome = tavlo("diagnose", "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt")
    assert outcome.code == 0, outcome.err
    found = read(tmp_path / "diagnose")
    assert found["listens"] == listens, outcome.out
    assert [found["probes"][name]["passed"] for name in ("mismatched", "pairs", "variance")] == [listens] * 3, (
        outcome.out
    )
