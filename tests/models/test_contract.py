"""Contract of all models, tested with every file of ``configs/model``."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor

from tavlo_pl.models.base import AVLocalizer
from tests.helpers.pretrained import audio_model

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "model").glob("*.yaml"))
CLIPS, SEGMENTS, PIXELS, SAMPLES = 3, 4, 64, 16_000


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda file: file.stem)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AVLocalizer:
    parser = ArgumentParser()
    parser.add_subclass_arguments(AVLocalizer, "model")
    parsed = parser.parse_object({"model": str(request.param)})
    for encoder in ("visual", "audio"):
        if "weights" in parsed.model.init_args.get(encoder, {}).get("init_args", {}):
            parsed.model.init_args[encoder].init_args.weights = "none"  # tests download nothing
    if "TimmEncoder" in str(parsed.model):
        parsed.model.init_args.visual.init_args.name = "test_vit3"
        parsed.model.init_args.visual.init_args.image_size = PIXELS
    if "TransformersAudioEncoder" in str(parsed.model):
        parsed.model.init_args.audio.init_args.name = str(audio_model(tmp_path_factory.mktemp("audio"), "ast"))
    torch.manual_seed(0)
    made = parser.instantiate(parsed).model
    assert isinstance(made, AVLocalizer)
    return made


@pytest.fixture(scope="module")
def clips(model: AVLocalizer) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (CLIPS, SEGMENTS, 3, PIXELS, PIXELS), dtype=torch.uint8, generator=draw)
    takes_waveform = getattr(getattr(model, "audio", None), "takes", "spectrogram") == "waveform"
    audio = (0.1, SAMPLES // SEGMENTS, SEGMENTS) if takes_waveform else (1.0, 64, SEGMENTS * 20)
    return frames, audio[0] * torch.randn(CLIPS, 1, *audio[1:], generator=draw)


@pytest.fixture(scope="module")
def heatmap(model: AVLocalizer, clips: tuple[Tensor, Tensor]) -> Tensor:
    with torch.no_grad():
        return model.eval().localize(*clips)


def test_map_has_scores_in_range_for_all_cells(heatmap: Tensor) -> None:
    assert heatmap.shape[:2] == (CLIPS, SEGMENTS) and heatmap.ndim == 4
    assert heatmap.dtype == torch.float32
    assert heatmap.abs().max() <= 1 + 1e-5


def test_map_is_deterministic(model: AVLocalizer, clips: tuple[Tensor, Tensor], heatmap: Tensor) -> None:
    with torch.no_grad():
        assert torch.equal(model.eval().localize(*clips), heatmap)


def test_map_does_not_depend_on_the_batch(model: AVLocalizer, clips: tuple[Tensor, Tensor], heatmap: Tensor) -> None:
    with torch.no_grad():
        alone = model.eval().localize(clips[0][1:2], clips[1][1:2])
    assert torch.allclose(alone[0], heatmap[1], atol=1e-5)


def test_mismatched_audio_changes_the_map(model: AVLocalizer, clips: tuple[Tensor, Tensor], heatmap: Tensor) -> None:
    with torch.no_grad():
        mismatched = model.eval().localize(clips[0], clips[1].roll(1, 0))
    assert (mismatched - heatmap).abs().amax((1, 2, 3)).min() > 1e-4


def test_every_trainable_parameter_gets_a_gradient(model: AVLocalizer, clips: tuple[Tensor, Tensor]) -> None:
    model.train().zero_grad()
    model.training_loss(*clips)["loss"].backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not without


def test_training_step_depends_on_seed_step_and_micro_batch(
    model: AVLocalizer, clips: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(seed: int, step: int, micro_batch: int) -> Tensor:
        monkeypatch.setattr(type(model), "global_step", step)
        monkeypatch.setattr(type(model), "trainer", SimpleNamespace(world_size=1))
        monkeypatch.setattr(type(model), "log", lambda *_, **__: None)
        batch = {"frames": clips[0], "spectrogram": clips[1], "index": torch.arange(CLIPS)}
        copy = deepcopy(model).train()
        copy.run_seed = seed
        return copy.training_step(batch, micro_batch)

    torch.manual_seed(5)  # the state of the global generator has no influence
    first = loss(0, 7, 0)
    assert torch.equal(loss(0, 7, 0), first)
    if any(isinstance(part, torch.nn.Dropout) for part in model.modules()):
        assert not any(torch.equal(loss(*numbers), first) for numbers in ((1, 7, 0), (0, 8, 0), (0, 7, 1)))
