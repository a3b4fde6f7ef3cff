"""YAMNet: golden values, exact alignment of its features, and frozen layers."""

import numpy as np
import pytest
import torch

from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.nn.pretrained import YAMNet
from tavlo_pl.nn.pretrained.yamnet import FRAMES, HOP, PATCH, patch_starts, sound_classes
from tests.helpers.shared import shared_file

SEGMENTS, SAMPLES = 4, 32_000


@pytest.fixture(scope="module")
def yamnet() -> YAMNet:
    torch.manual_seed(0)
    return YAMNet().eval()


def columns(waveform: torch.Tensor) -> torch.Tensor:
    return WaveformColumns(SEGMENTS)(waveform)


def test_golden_values() -> None:
    golden = np.load(shared_file("weights", "yamnet_golden.npz"))
    network = YAMNet(str(shared_file("weights", "yamnet.safetensors"))).eval()
    count = len(golden["embedding"])
    waveform = torch.zeros((count - 1) * FRAMES * HOP // 2 + PATCH)
    waveform[: len(golden["waveform"])] = torch.from_numpy(golden["waveform"])
    patches = torch.stack([waveform[n * FRAMES * HOP // 2 :][:PATCH] for n in range(count)])
    with torch.no_grad():
        log_mel = network.patches(waveform)
        embedding = network.embed(network.patches(patches))
        scores = network.fc(embedding).sigmoid()
    for found, name in ((log_mel, "log_mel"), (embedding, "embedding"), (scores, "scores")):
        assert np.abs(found.numpy() - golden[name]).max() < 1e-4 * np.abs(golden[name]).max(), name


def test_classes_are_told_with_trained_weights_alone(yamnet: YAMNet) -> None:
    audio = columns(torch.zeros(1, SAMPLES))
    assert yamnet.class_names == ()
    assert yamnet.classify(yamnet(audio, SEGMENTS)).shape == (1, SEGMENTS, 0)
    network = YAMNet(str(shared_file("weights", "yamnet.safetensors"))).eval()
    yamnet.load_state_dict(network.state_dict())
    with torch.no_grad():
        scores = yamnet.classify(yamnet(audio, SEGMENTS))
    assert scores.shape == (1, SEGMENTS, len(yamnet.class_names))
    assert {yamnet.class_names[k] for k in scores[0].argmax(1)} == {"Silence"}
    assert yamnet.class_names[0] == "Speech" and len(set(yamnet.class_names)) == len(sound_classes()) == 521
    yamnet.tells_classes.fill_(value=False)


@pytest.mark.parametrize("segment", range(SEGMENTS))
def test_a_feature_sees_its_patches_alone(yamnet: YAMNet, segment: int) -> None:
    quiet = 0.01 * torch.randn(1, SAMPLES, generator=torch.Generator().manual_seed(0))
    (start,) = patch_starts(SAMPLES // SEGMENTS, SEGMENTS)[segment].tolist()
    changed = quiet.clone()
    changed[:, : max(0, start)] += 0.5
    changed[:, start + PATCH :] -= 0.5
    with torch.no_grad():
        before, after = (yamnet(columns(audio), SEGMENTS)[0] for audio in (quiet, changed))
    assert torch.equal(before[segment], after[segment])
    others = [other for other in range(SEGMENTS) if other != segment]
    assert (before[others] - after[others]).abs().amax(1).min() > 0


@pytest.mark.parametrize(("segments", "patches"), [(4, 1), (2, 2), (1, 3)])
def test_patches_cover_their_segment_and_are_centred(segments: int, patches: int) -> None:
    for segment, starts in enumerate(patch_starts(SAMPLES // segments, segments).tolist()):
        assert len(starts) == patches
        first, last = segment * SAMPLES / segments, (segment + 1) * SAMPLES / segments
        assert starts[0] <= first and starts[-1] + PATCH >= last
        assert starts[0] - first == pytest.approx(last - starts[-1] - PATCH, abs=2)


def test_frozen_layers_have_no_gradient_and_stay_in_evaluation() -> None:
    network = YAMNet(trained=2).train()
    trained = {name.split(".")[0] + name.split(".")[1] for name, p in network.named_parameters() if p.requires_grad}
    assert trained == {"dw11", "dw12", "bd11", "bd12", "pw11", "pw12", "bp11", "bp12"}
    assert not network.b0.training and not network.bp[10].training and network.bp[11].training
    assert not any(p.requires_grad for p in YAMNet().parameters())


def test_a_spectrogram_and_other_weights_are_refused(yamnet: YAMNet, tmp_path: object) -> None:
    with pytest.raises(ConfigError, match="frequencies to none"):
        yamnet(torch.zeros(1, 1, 64, 80), SEGMENTS)
    with pytest.raises(CheckpointError, match="No such file"):
        YAMNet(f"{tmp_path}/missing.safetensors")
    with pytest.raises(ConfigError, match="1 to 14"):
        YAMNet(trained=15)
