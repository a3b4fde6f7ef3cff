"""``tavlo diagnose`` on the command line: selection of clips, written files, and the verdict on trained models."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from markupsafe import escape

from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.dataset import AnnotatedSample, Entry
from tavlo_pl.diagnose import run as diagnose_run
from tavlo_pl.diagnose.page import diagnosis_page
from tavlo_pl.diagnose.perturbations import Maps
from tavlo_pl.diagnose.probes import diagnose
from tavlo_pl.diagnose.run import choose
from tavlo_pl.types import Scenario
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.run import tiny_config
from tests.helpers.tiny import Tiny
from tests.helpers.trees import sample_of

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def checkpoint(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a model trained for one step."""
    folder = tmp_path_factory.mktemp("run")
    outcome = tavlo("fit", "-c", tiny_config(world, folder, max_steps=1), "--out", folder / "out")
    assert outcome.code == 0, outcome.err
    return folder / "out" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def diagnosed(checkpoint: Path) -> Outcome:
    """Outcome of the command; its files are beside the folder of the checkpoint."""
    outcome = tavlo("diagnose", "--ckpt_path", checkpoint)
    assert outcome.code == 0, outcome.err
    return outcome


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "diagnose.json").read_text())


def test_diagnose_needs_a_checkpoint_alone(checkpoint: Path, diagnosed: Outcome) -> None:
    folder = checkpoint.parent.parent / "diagnose"
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "run.json", "diagnose.json", "diagnose.html"}
    found = read(folder)
    assert found["verdict"] in diagnosed.out
    assert found["checkpoint"]["path"] == str(checkpoint) and len(found["checkpoint"]["sha256"]) == 64
    assert found["clips"] == len(found["sample_ids"]) > 3
    for name, probe in found["probes"].items():
        assert probe["sentence"] in diagnosed.out and name in diagnosed.out
        assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in probe["figures"].values())
    deciding = [probe["passed"] for probe in found["probes"].values() if probe["decisive"]]
    assert len(deciding) == 3 and found["depends_on_audio"] == all(deciding)


@pytest.mark.usefixtures("diagnosed")
def test_page_contains_plots_images_and_questions(checkpoint: Path) -> None:
    folder = checkpoint.parent.parent / "diagnose"
    page, found = (folder / "diagnose.html").read_text(), read(folder)
    assert page.count("<svg") == len(found["probes"])
    assert (
        page.count("<img") == page.count('<img src="data:image/png;base64,') == 8 + 1
    )  # one per perturbation, and the mean map
    assert all(str(escape(probe["question"])) in page for probe in found["probes"].values())


@pytest.mark.usefixtures("diagnosed")
def test_page_links_its_sections_and_has_no_other_links(checkpoint: Path) -> None:
    page = (checkpoint.parent.parent / "diagnose" / "diagnose.html").read_text()
    assert re.findall(r'<a href="#(.*?)">', page) == re.findall(r'<section id="(.*?)">', page) != []
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "checkpoint sha256" in page


def test_page_escapes_hostile_provenance() -> None:
    hostile = "<script>alert('1')</script>\" {{ 7 * 7 }}"
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = Maps(maps, maps[:, None], maps[:, None], {"silence": maps}, maps, maps, maps, torch.zeros(2, 3, dtype=bool))
    clips: Any = {"frames": torch.zeros(2, 3, 3, 8, 8, dtype=torch.uint8)}
    page = diagnosis_page(clips, found, diagnose(found, None), {"data": hostile, "checkpoint": {hostile: 1}})
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&#34; {{ 7 * 7 }}") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("diagnosed")
def test_diagnose_is_reproducible(checkpoint: Path, tmp_path: Path) -> None:
    assert tavlo("diagnose", "--ckpt_path", checkpoint, "--data.batch_size", 3, "--out", tmp_path).code == 0
    first, again = (read(folder)["probes"] for folder in (checkpoint.parent.parent / "diagnose", tmp_path))
    for name, probe in first.items():
        assert probe["sentence"] == again[name]["sentence"]
        for key, figure in probe["figures"].items():
            assert figure == pytest.approx(again[name]["figures"][key], abs=1e-4), f"{name}: {key}"


def test_diagnose_without_a_checkpoint_is_an_error(world: Path, tmp_path: Path) -> None:
    outcome = tavlo("diagnose", "-c", tiny_config(world, tmp_path), "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "--ckpt_path" in outcome.err


def test_diagnose_of_one_clip_is_an_error(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnose_run, "MAX_CLIPS", 1)
    outcome = tavlo("diagnose", "--ckpt_path", checkpoint, "--out", tmp_path)
    assert outcome.code == 2
    assert "two or more" in outcome.err.splitlines()[-1]


def test_diagnose_of_a_diverged_model_is_an_error(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tiny, "localize", lambda self, frames, _: torch.full((*frames.shape[:2], 4, 4), torch.nan))
    outcome = tavlo("diagnose", "--ckpt_path", checkpoint, "--out", tmp_path)
    assert outcome.code == 1
    assert "diverged" in outcome.err.splitlines()[-1]
    assert not (tmp_path / "diagnose.json").exists()


def entry(number: int, *scenarios: Scenario) -> Entry:
    frame = AnnotatedFrame(0, "00000", 4, 4, ())
    samples = tuple(AnnotatedSample(0, 0, 0.0, sample_of(frame, scenario)) for scenario in scenarios)
    return Entry(Clip(Path("x.mp4"), str(number)), number, samples=samples)


def test_choose_takes_each_on_screen_clip_once() -> None:
    on, off = Scenario.SINGLE_SOUND, Scenario.OFF_SCREEN
    entries = [entry(0, on), entry(1, off), entry(2, on, off), entry(2, on), entry(3)]
    chosen = choose(entries, seed=0)
    assert sorted(entries[index].number for index in chosen) == [0, 2, 3]
    many = [entry(number) for number in range(2 * diagnose_run.MAX_CLIPS)]
    assert len(set(choose(many, seed=0))) == diagnose_run.MAX_CLIPS


CONFIGS = Path(__file__).parents[2] / "configs"
PUBLISHED = f"-c {CONFIGS / 'search' / 'a_published.yaml'}"


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """320 training clips and 80 test clips of 96 x 96 pixels."""
    folder = tmp_path_factory.mktemp("data") / "world"
    sizes = "--train_clips 320 --clips_per_scenario 16 --val_clips_per_scenario 1"
    video = "--difficulty easy --frame_rate 12 --width 96 --height 96"
    outcome = tavlo("data", "synth", "--out", folder, *sizes.split(), *video.split())
    assert outcome.code == 0, outcome.err
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "epochs", "passes"), [("", 6, True), (PUBLISHED, 2, False)], ids=["recommended", "published"]
)
def test_published_objective_fails_and_recommended_passes(
    small_world: Path, tmp_path: Path, objective: str, epochs: int, passes: bool
) -> None:
    clips = f"--data.train.init_args.root {small_world / 'train'} --data.test.init_args.root {small_world / 'test'}"
    options = f"--data.val null --data.batch_size 16 --data.num_workers 0 --trainer.max_epochs {epochs} {objective}"
    trained = tavlo("fit", "-c", CONFIGS / "exp" / "demo.yaml", *clips.split(), *options.split(), "--out", tmp_path)
    assert trained.code == 0, trained.err
    outcome = tavlo("diagnose", "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt")
    assert outcome.code == 0, outcome.err
    found = read(tmp_path / "diagnose")
    assert found["depends_on_audio"] == passes, outcome.out
    assert [found["probes"][name]["passed"] for name in ("mismatched_audio", "retrieval", "variance")] == [
        passes
    ] * 3, outcome.out
