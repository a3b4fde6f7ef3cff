"""YAMNet: an AudioSet tagger (521 classes, Apache-2.0) as a time-aligned audio encoder, in plain PyTorch.

MobileNet-v1 (Howard et al., arXiv 1704.04861) on log-mel patches of 0.975 s. The released network takes a patch every
0.48 s from the start of the audio; here a segment's patches are centred in the segment.
"""

import math
from functools import cache
from importlib.resources import files
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from tavlo_pl.nn.audio import AudioEncoder
from tavlo_pl.nn.loudness import check_pieces, with_loudness
from tavlo_pl.nn.pretrained.cache import FeatureCache
from tavlo_pl.nn.pretrained.files import load_weights
from tavlo_pl.nn.pretrained.same_padding import SameConv2d, normalised
from tavlo_pl.nn.pretrained.training import PartlyTrained, Trained
from tavlo_pl.nn.waveform import from_columns

SAMPLE_RATE_HZ = 16_000
WINDOW, HOP, FFT, BANDS, FRAMES = 400, 160, 512, 64, 96
PATCH = (FRAMES - 1) * HOP + WINDOW
"""Samples that a patch sees: 15,600, which is 0.975 s."""

CLASSES = 521
LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and stride of each depthwise-separable block."""

EMBEDDING = LAYERS[-1][0]


class LogMelPatches(nn.Module):
    """YAMNet's own front end: (N, 15600) samples to (N, 96, 64) log-mel.

    Periodic Hann window of 25 ms every 10 ms, magnitudes, 64 bands on the HTK mel scale from 125 to 7500 Hz,
    log(x + 0.001). The triangles of TensorFlow's bands are linear in mel, those of torchaudio in Hz.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        edges = torch.linspace(_mel(125.0), _mel(7500.0), BANDS + 2)
        bins = torch.tensor([_mel(k * SAMPLE_RATE_HZ / FFT) for k in range(FFT // 2 + 1)])[:, None]
        rising, falling = (bins - edges[:-2]) / edges.diff()[:-1], (edges[2:] - bins) / edges.diff()[1:]
        self.register_buffer("filters", torch.minimum(rising, falling).clamp(min=0), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(..., L) samples in [-1, 1] to (..., F, 64), F = 1 + (L - 400) // 160."""
        spectrum = torch.fft.rfft(waveform.unfold(-1, WINDOW, HOP) * self.window, n=FFT).abs()
        log_mel: Tensor = (spectrum @ self.filters + 0.001).log()
        return log_mel


class YAMNet(AudioEncoder):
    """YAMNet's embedding of each segment, D_a = 1024 and ``loudness``; needs ``data.clip.frequencies: none``.

    A segment of up to 0.96 s has one patch of 0.975 s around its centre, a longer one has several at equal distances,
    whose embeddings are averaged. Feature t sees no sample outside of these patches; beyond the clip's ends is silence.

    Args:
        weights: path of a ``.safetensors`` file with the released weights, or ``none`` for random ones.
        trained: ``none`` keeps the network as it is, ``all`` trains it, a number N trains its last N of 14 layers.
        cache: folder in which the features of a frozen encoder are stored and found again (`cache`); None stores none.
        loudness: pieces of each segment whose loudness is appended to the embedding (`nn.loudness`); 0 for none.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
        ConfigError: ``loudness`` is negative.
    """

    takes: Literal["waveform"] = "waveform"
    tells_classes: Tensor
    """Scalar bool: whether the last layer is a trained one; it is part of a checkpoint."""

    def __init__(
        self, weights: str = "none", trained: Trained = "none", cache: str | None = None, loudness: int = 0
    ) -> None:
        super().__init__(width=EMBEDDING + check_pieces(loudness))
        self.loudness = loudness
        self.patches = LogMelPatches()
        self.c0, self.b0 = SameConv2d(1, 32, 3, 2), _norm(32)
        inputs = (32, *(channels for channels, _ in LAYERS[:-1]))
        dw = [SameConv2d(n, n, 3, stride, groups=n) for n, (_, stride) in zip(inputs, LAYERS, strict=True)]
        pw = [SameConv2d(n, channels, 1) for n, (channels, _) in zip(inputs, LAYERS, strict=True)]
        bd, bp = [_norm(n) for n in inputs], [_norm(channels) for channels, _ in LAYERS]
        self.layers = list(zip(dw, bd, pw, bp, strict=True))
        self.dw, self.bd, self.pw, self.bp = (nn.ModuleList(parts) for parts in (dw, bd, pw, bp))
        self.fc = nn.Linear(EMBEDDING, CLASSES)
        if weights != "none":
            load_weights(self, weights, renamed=str)
        self.register_buffer("tells_classes", torch.tensor(weights != "none"))
        layers = [nn.ModuleList(parts) for parts in self.layers]
        self.fc.requires_grad_(requires_grad=False)
        parts = nn.ModuleList([self.c0, self.b0, self.dw, self.bd, self.pw, self.bp])
        self.cache = FeatureCache(cache, trained)
        self.partly = PartlyTrained(parts, [nn.ModuleList([self.c0, self.b0]), *layers], trained, weights)

    def train(self, mode: bool = True) -> "YAMNet":
        """As in ``nn.Module``; frozen layers stay in evaluation."""
        super().train(mode)
        self.partly.apply_mode(mode)
        return self

    def embed(self, patches: Tensor) -> Tensor:
        """(N, 96, 64) log-mel patches to (N, 1024) embeddings, at least 0."""
        features = relu(normalised(self.c0, self.b0, patches[:, None]), inplace=True)
        for dw, bd, pw, bp in self.layers:
            features = relu(normalised(dw, bd, features), inplace=True)
            features = relu(normalised(pw, bp, features), inplace=True)
        return features.mean((-2, -1))

    @property
    def class_names(self) -> tuple[str, ...]:
        """AudioSet's classes in the order of the scores; empty while the weights are random."""
        return sound_classes() if self.tells_classes else ()

    def classify(self, features: Tensor) -> Tensor:
        """(B, T, 521) scores of AudioSet's classes, each in 0..1; with random weights (B, T, 0)."""
        if not self.tells_classes:
            return super().classify(features)
        scores: Tensor = self.fc(features[..., :EMBEDDING]).sigmoid()
        return scores

    def forward(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, 1, L / T, T) waveform in columns to (B, T, D_a) features; see the base class."""
        waveform = from_columns(spectrogram, segments)
        starts = patch_starts(spectrogram.shape[-2], segments).to(waveform.device)  # (T, P)
        samples = starts[..., None] + torch.arange(PATCH, 2 * PATCH, device=waveform.device)
        pieces = pad(waveform, (PATCH, PATCH))[:, samples]  # (B, T, P, 15600)
        self.cache.open(self, "")
        embedding = self.cache.get(pieces.flatten(0, 2), lambda found: self.embed(self.patches(found)))
        return with_loudness(embedding.view(*pieces.shape[:3], -1).mean(2), spectrogram, self.loudness)


def patch_starts(length: int, segments: int) -> Tensor:
    """(T, P) int64: first samples of the patches of each of T segments of `length` samples; negative before the clip.

    A tensor, so that an exported model accepts every T; whole numbers, since MPS has no float64.
    """
    count = math.ceil(length / (FRAMES * HOP))
    centres = 2 * (count * torch.arange(segments)[:, None] + torch.arange(count)) + 1  # in halves of their distance
    return (centres * length + count) // (2 * count) - PATCH // 2


@cache
def sound_classes() -> tuple[str, ...]:
    """The 521 names of AudioSet's classes that YAMNet scores."""
    return tuple((files(__package__) / "yamnet_classes.txt").read_text(encoding="utf-8").splitlines())


def _mel(frequency_hz: float) -> float:
    return 1127.0 * math.log1p(frequency_hz / 700.0)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-4)
