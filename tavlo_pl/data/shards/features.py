"""Computes the features of frozen encoders for all that training shows of shards, before the training.

The encoders store their features themselves (``nn/pretrained/cache.py``), by the content of frames and audio; here they
are called once with every stored frame and every part of the audio.
"""

from collections.abc import Callable
from functools import partial
from secrets import token_hex
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from tavlo_pl.data.shards.source import Shards
from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.engine.base import Engine
from tavlo_pl.errors import ConfigError, MediaError


class Encoders(NamedTuple):
    """What stores features.

    Attributes:
        frames: of (N, 3, H, W) uint8 frames; None for an encoder without stored features.
        audio: of (B, 1, L / T, T) waveforms in columns of T segments; None likewise.
    """

    frames: Callable[[Tensor], object] | None
    audio: Callable[[Tensor, int], object] | None


class ClipEncoder:
    """Computes the features of one clip of shards.

    Args:
        root: folder of the shards.
        make: makes the encoders, in the process that uses them.
        segments: of a training item, at most those of a clip; None for whole clips.
        threads: of torch.

    Raises:
        ConfigError: training cuts other parts out of these frames at every step, or ``segments`` is out of range.
    """

    def __init__(self, root: str, make: Callable[[], Encoders], segments: int | None, threads: int) -> None:
        self.clips, self.encoders = Shards(root).clips(), make()
        self.spec = self.clips.store.spec
        self.segments = self.spec.segments if segments is None else segments
        size = self.spec.square
        if size is None:
            raise ConfigError("features are of whole frames: write shards with --image_size, not --longest_side")
        self.size = size
        if not 1 <= self.segments <= self.spec.segments:
            raise ConfigError(f"--augment_segments is {segments}; give 1 to {self.spec.segments}, the clips' segments")
        torch.set_num_threads(threads)

    @torch.inference_mode()
    def __call__(self, position: int) -> bool:
        """Returns whether the clip could be read."""
        clip, spec = self.clips[position], self.spec
        length_s = self.segments * spec.duration_s / spec.segments
        parts = [clip.part(n * spec.duration_s / spec.segments) for n in range(spec.segments - self.segments + 1)]
        try:
            if self.encoders.frames is not None:
                frames = clip.read((clip.start_s + spec.times_s()).tolist(), self.size, spec.duration_s).frames
                self.encoders.frames(torch.from_numpy(frames).permute(0, 3, 1, 2))
            if self.encoders.audio is not None:
                waveforms = np.stack([part.read_waveform(length_s) for part in parts])
                self.encoders.audio(WaveformColumns(self.segments)(torch.from_numpy(waveforms)), self.segments)
        except MediaError:
            return False  # training reports it
        return True


def compute_features(
    root: str, make: Callable[[], Encoders], segments: int | None, engine: Engine, threads: int
) -> tuple[int, int]:
    """Computes and stores the features of the clips; stored ones are found again and not computed.

    Args:
        root: folder of the shards, complete.
        make: makes the encoders; it is called in every process.
        segments: of a training item (``data.augment.segments``); None for whole clips.
        engine: calls the encoders.
        threads: of torch in each process.

    Returns:
        Number of clips, and of those that cannot be read.

    Raises:
        ConfigError: see `ClipEncoder`.
        DatasetNotFoundError: the shards are not complete.
        RunFailedError: a process died.
    """
    positions = range(len(Shards(root).clips()))
    encode = partial(_encode, token_hex(8), (root, make, segments, threads))
    results = engine.map(encode, positions, in_order=False)
    read = sum(tqdm(results, total=len(positions), desc="features", unit="clip", smoothing=0.02))
    return len(positions), len(positions) - read


_own: dict[str, ClipEncoder] = {}
"""The encoder of this process, by the call of `compute_features`."""


def _encode(call: str, arguments: tuple[str, Callable[[], Encoders], int | None, int], position: int) -> bool:
    """Computes the features of a clip; the encoders are made once in a process."""
    if call not in _own:
        _own.clear()
        _own[call] = ClipEncoder(*arguments)
    return _own[call](position)
