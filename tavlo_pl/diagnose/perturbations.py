"""What a model is shown: clips as they are, and with sound or picture changed in one way at a time.

Nothing is asked of the model but its map, ``localize(frames, spectrogram)``; so every model can be tried.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from tavlo_pl.diagnose.synthetic_audio import made_up
from tavlo_pl.errors import RunFailedError
from tavlo_pl.nn.negatives import shift, silent_segments

Localize = Callable[[Tensor, Tensor], Tensor]
"""(B, T, 3, H, W) uint8 frames and (B, 1, F, W) spectrogram to (B, T, h, w) maps, as ``AVLocalizer.localize``."""

WRONG_SOUNDS = 7
"""Sounds of other clips that every clip is shown with. Enough to tell chance, 1 in 8, from better."""


class Maps(NamedTuple):
    """The maps of N clips in every trial, on the CPU.

    Attributes:
        own: (N, T, h, w) with the clip's own sound.
        wrong: (N, K, T, h, w), map k with the sound of clip n + 1 + k, counted round.
        shifted: (N, D, T, h, w), map d with the own sound 1 + d segments late, its end brought to the front.
        made_up: (N, T, h, w) by the name of a sound that no picture makes.
        shuffled: (N, T, h, w) with the frames in another order, each map back at its frame's place.
        frozen: (N, T, h, w) with the middle frame shown all the time.
        flipped: (N, T, h, w) with the picture mirrored left to right; not mirrored back.
        pause: (N, T) bool, no map: where the own sound is silent.
    """

    own: Tensor
    wrong: Tensor
    shifted: Tensor
    made_up: dict[str, Tensor]
    shuffled: Tensor
    frozen: Tensor
    flipped: Tensor
    pause: Tensor


class Trial(NamedTuple):
    """One way of showing the clips.

    Attributes:
        frames: changes (B, T, 3, H, W) frames.
        spectrogram: (N, 1, F, W), the sounds that all N clips are shown with.
    """

    frames: Callable[[Tensor], Tensor]
    spectrogram: Tensor


def try_out(
    localize: Localize,
    frames: Tensor,
    waveform: Tensor,
    log_mel: Callable[[Tensor], Tensor],
    sample_rate_hz: int,
    batch_size: int,
) -> Maps:
    """Shows all clips in all ways, with a progress bar.

    Args:
        localize: the model.
        frames: (N, T, 3, H, W) uint8, N >= 2.
        waveform: (N, L) their sounds.
        log_mel: (B, L) waveform to (B, 1, F, W) spectrogram.
        sample_rate_hz: of the waveforms.
        batch_size: clips that the model is given at once.

    Raises:
        RunFailedError: a score is NaN or infinite.
    """
    clips, segments = frames.shape[:2]
    order = shuffled_order(segments)
    own = log_mel(waveform)
    same = Trial(lambda shown: shown, own)
    wrong = [same._replace(spectrogram=own.roll(-k, 0)) for k in range(1, min(WRONG_SOUNDS, clips - 1) + 1)]
    shifted = [same._replace(spectrogram=shift(own, segments, d)) for d in range(1, segments // 2 + 1)]
    sounds = {name: log_mel(sound) for name, sound in made_up(waveform, sample_rate_hz).items()}
    trials = [
        same,
        *wrong,
        *shifted,
        *(same._replace(spectrogram=sound) for sound in sounds.values()),
        same._replace(frames=lambda shown: shown[:, order]),
        same._replace(frames=lambda shown: shown[:, segments // 2, None].expand_as(shown)),
        same._replace(frames=lambda shown: shown.flip(-1)),
    ]
    batches = []
    with tqdm(total=-(-clips // batch_size) * len(trials), desc="diagnose", unit="batch") as bar:
        for part in torch.arange(clips).split(batch_size):
            batch = []
            for trial in trials:
                batch.append(localize(trial.frames(frames[part]), trial.spectrogram[part]).float().cpu())
                bar.update()
            batches.append(torch.stack(batch, 1))
    maps = torch.cat(batches)  # (N, trials, T, h, w)
    if not maps.isfinite().all():
        raise RunFailedError("The maps hold NaN or infinity: the training has diverged; use an earlier checkpoint.")
    counts = [1, len(wrong), len(shifted), *[1] * len(sounds), 1, 1, 1]
    first, others, later, *rest = maps.split(counts, 1)
    *heard, mixed, frozen, flipped = (one[:, 0] for one in rest)
    return Maps(
        own=first[:, 0],
        wrong=others,
        shifted=later,
        made_up=dict(zip(sounds, heard, strict=True)),
        shuffled=mixed[:, order.argsort()],
        frozen=frozen,
        flipped=flipped,
        pause=silent_segments(own, segments).cpu(),
    )


def shuffled_order(segments: int) -> Tensor:
    """(T,) int64: the first random order in which no segment stands where it stood; a single one has to."""
    draw = torch.Generator().manual_seed(0)
    order = place = torch.arange(segments)
    while segments > 1 and (order == place).any():
        order = torch.randperm(segments, generator=draw)
    return order
