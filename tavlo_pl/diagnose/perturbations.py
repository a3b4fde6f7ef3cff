"""Perturbations of clips: the audio or the frames are changed in one way at a time, and the model's maps are stored.

The probes need only the map of a model, ``localize(frames, spectrogram)``, so every model can be diagnosed.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from tavlo_pl.diagnose.synthetic_audio import synthetic_audio
from tavlo_pl.errors import RunFailedError
from tavlo_pl.nn.negatives import shift, silent_segments

Localize = Callable[[Tensor, Tensor], Tensor]
"""(B, T, 3, H, W) uint8 frames and (B, 1, F, W) spectrogram to (B, T, h, w) maps, as ``AVLocalizer.localize``."""

MISMATCHED = 7
"""Number of other clips whose audio each clip is combined with; the chance level of retrieval is then 1/8."""


class Maps(NamedTuple):
    """The maps of N clips under every perturbation, on the CPU.

    Attributes:
        own: (N, T, h, w) with the audio of the clip.
        mismatched: (N, K, T, h, w); map k has the audio of clip (n + 1 + k) mod N.
        shifted: (N, D, T, h, w); map d has the clip's audio delayed by 1 + d segments, circularly.
        synthetic: (N, T, h, w) by the name of the synthetic audio.
        shuffled: (N, T, h, w) with permuted frames; the maps are in the original order of the frames.
        frozen: (N, T, h, w) with the middle frame in all segments.
        mirrored: (N, T, h, w) with horizontally mirrored frames; the maps are not mirrored back.
        silent: (N, T) bool, no maps: segments in which the clip's audio is silent.
    """

    own: Tensor
    mismatched: Tensor
    shifted: Tensor
    synthetic: dict[str, Tensor]
    shuffled: Tensor
    frozen: Tensor
    mirrored: Tensor
    silent: Tensor


class Perturbation(NamedTuple):
    """One way to change the clips.

    Attributes:
        frames: maps (B, T, 3, H, W) frames to changed frames.
        spectrogram: (N, 1, F, W), the audio of all N clips.
    """

    frames: Callable[[Tensor], Tensor]
    spectrogram: Tensor


def perturbed_maps(
    localize: Localize,
    frames: Tensor,
    waveform: Tensor,
    audio_transform: Callable[[Tensor], Tensor],
    sample_rate_hz: int,
    batch_size: int,
) -> Maps:
    """Computes the maps of all clips under all perturbations, with a progress bar.

    Args:
        localize: the model.
        frames: (N, T, 3, H, W) uint8, N >= 2.
        waveform: (N, L) audio of the clips.
        audio_transform: (B, L) waveform to (B, 1, F, W) spectrogram.
        sample_rate_hz: of the waveforms.
        batch_size: number of clips in a forward pass.

    Raises:
        RunFailedError: a score is NaN or infinite.
    """
    clips, segments = frames.shape[:2]
    order = shuffled_order(segments)
    own = audio_transform(waveform)
    same = Perturbation(lambda images: images, own)
    mismatched = [same._replace(spectrogram=own.roll(-k, 0)) for k in range(1, min(MISMATCHED, clips - 1) + 1)]
    shifted = [same._replace(spectrogram=shift(own, segments, d)) for d in range(1, segments // 2 + 1)]
    synthetic = {name: audio_transform(audio) for name, audio in synthetic_audio(waveform, sample_rate_hz).items()}
    perturbations = [
        same,
        *mismatched,
        *shifted,
        *(same._replace(spectrogram=spectrogram) for spectrogram in synthetic.values()),
        same._replace(frames=lambda images: images[:, order]),
        same._replace(frames=lambda images: images[:, segments // 2, None].expand_as(images)),
        same._replace(frames=lambda images: images.flip(-1)),
    ]
    batches = []
    with tqdm(total=-(-clips // batch_size) * len(perturbations), desc="diagnose", unit="batch") as bar:
        for start in range(0, clips, batch_size):
            part = slice(start, start + batch_size)
            batch = []
            for each in perturbations:
                batch.append(localize(each.frames(frames[part]), each.spectrogram[part]).float().cpu())
                bar.update()
            batches.append(torch.stack(batch, 1))
    maps = torch.cat(batches)  # (N, perturbations, T, h, w)
    if not maps.isfinite().all():
        raise RunFailedError("The maps contain NaN or infinity: the training has diverged; use an earlier checkpoint.")
    counts = [1, len(mismatched), len(shifted), *[1] * len(synthetic), 1, 1, 1]
    first, others, delayed, *rest = torch.split_with_sizes(maps, counts, 1)
    *of_synthetic, permuted, frozen, mirrored = (one[:, 0] for one in rest)
    return Maps(
        own=first[:, 0],
        mismatched=others,
        shifted=delayed,
        synthetic=dict(zip(synthetic, of_synthetic, strict=True)),
        shuffled=permuted[:, order.argsort()],
        frozen=frozen,
        mirrored=mirrored,
        silent=silent_segments(own, segments).cpu(),
    )


def shuffled_order(segments: int) -> Tensor:
    """(T,) int64: the first random permutation without a fixed point; the identity for a single segment."""
    draw = torch.Generator().manual_seed(0)
    order = identity = torch.arange(segments)
    while segments > 1 and (order == identity).any():
        order = torch.randperm(segments, generator=draw)
    return order
