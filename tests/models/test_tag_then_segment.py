"""The baseline sound tag -> text -> image, with small random models of transformers."""

from pathlib import Path

import pytest
import torch

from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.models.tag_then_segment import CELLS, TagThenSegment
from tests.helpers.cli import tavlo
from tests.helpers.pretrained import audio_classifier, text_segmenter

SEGMENTS = 4
NAMES = ["dog", "violin, fiddle", "speech"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return audio_classifier(folder, NAMES), text_segmenter(folder)


@pytest.fixture(scope="module")
def model(folders: tuple[Path, Path]) -> TagThenSegment:
    return TagThenSegment(str(folders[0]), str(folders[1]), context_s=0.8, classes=2).train()


def test_the_map_is_the_highest_of_the_classes_that_are_heard(
    model: TagThenSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any(module.training for module in model.modules())
    heard = torch.tensor([[[0.1, 0.8, 0.6], [0.0, 0.0, 0.5]]])
    places = {name: n for n, name in enumerate(NAMES)}

    def segment(frame: torch.Tensor, names: list[str]) -> torch.Tensor:
        masks = torch.zeros(len(names), CELLS, CELLS)
        for row, name in enumerate(names):
            masks[row, places[name]] = float(frame.float().mean())
        return masks

    monkeypatch.setattr(model, "tag", lambda *_: heard)
    monkeypatch.setattr(model, "segment", segment)
    frames = torch.ones(1, 2, 3, 8, 8, dtype=torch.uint8)
    maps = model.localize(frames, torch.zeros(1, 1, 16, 2))
    rows = maps[0, :, :3, 0]
    torch.testing.assert_close(rows, torch.tensor([[0.0, 0.8, 0.6], [0.0, 0.0, 0.5]]))  # two classes of each segment
    assert not maps[0, :, 3:].any()


@torch.no_grad()
def test_classes_follow_the_sound_and_masks_the_text(model: TagThenSegment) -> None:
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, 32_000)
    changed = waveform.clone()
    changed[:, :5600] = 0  # the context of segment 1 is 0.35 to 1.15 s
    changed[:, 18_400:] = 0
    before, after = (model.tag(WaveformColumns(SEGMENTS)(each), SEGMENTS) for each in (waveform, changed))
    assert before.shape == (2, SEGMENTS, len(NAMES)) and before.min() >= 0 and before.max() <= 1
    torch.testing.assert_close(before[:, 1], after[:, 1], atol=1e-5, rtol=0)
    assert (before[:, 3] - after[:, 3]).abs().max() > 1e-4
    frame = torch.randint(0, 256, (3, 48, 64), dtype=torch.uint8)
    masks = model.segment(frame, ["dog", "speech"])
    assert masks.shape == (2, CELLS, CELLS) and masks.min() >= 0 and masks.max() <= 1
    assert (masks[0] - masks[1]).abs().max() > 1e-4 and masks[0].std() > 0
    torch.testing.assert_close(model.segment(frame, ["speech"])[0], masks[1], atol=1e-5, rtol=0)
    maps = model.localize(frame.expand(2, SEGMENTS, -1, -1, -1), WaveformColumns(SEGMENTS)(waveform))
    assert maps.shape == (2, SEGMENTS, CELLS, CELLS) and maps.min() >= 0 and maps.max() <= 1


def test_it_runs_by_configuration(folders: tuple[Path, Path], world: Path, tmp_path: Path) -> None:
    options = ["--data.test", "tavlo_pl.data.datasets.AVATAR", "--data.test.root", world / "test"]
    options += [
        "--data.clip",
        '{"segments": 2, "duration_s": 2.0, "image_size": 64, "frequencies": none}',
        "--data.num_workers",
        0,
    ]
    given = ["--model.init_args.tagger", folders[0], "--model.init_args.segmenter", folders[1]]
    config = Path(__file__).parents[2] / "configs" / "untrained" / "tag_then_segment.yaml"
    outcome = tavlo("test", "-c", config, *given, *options, "--allow_untrained", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "results.json").is_file()


def test_errors_are_one_sentence(folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="both must be positive"):
        TagThenSegment("any", "any", context_s=0)
    with pytest.raises(CheckpointError, match=r"model.init_args.tagger .*missing: transformers cannot read it"):
        TagThenSegment(str(tmp_path / "missing"), str(folders[1]))
    with pytest.raises(CheckpointError, match=r"model.init_args.segmenter .*"):
        TagThenSegment(str(folders[0]), str(folders[0]))
