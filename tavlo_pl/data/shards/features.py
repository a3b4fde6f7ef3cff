"""Computes the features of frozen encoders for all that training shows of shards, before the training.

The encoders store their features themselves (``nn/pretrained/cache.py``), by the content of frames and audio; here they
are called once with every stored frame and every part of the audio.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from tavlo_pl.data.shards.source import Shards
from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError
from tavlo_pl.io.workers import exit_with_parent

CLIPS_PER_TASK = 8


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
    root: str, make: Callable[[], Encoders], segments: int | None, part: tuple[int, int], workers: int
) -> tuple[int, int]:
    """Computes and stores the features of one part of the clips; stored ones are found again and not computed.

    Args:
        root: folder of the shards, complete.
        make: makes the encoders; it is called in every process.
        segments: of a training item (``data.augment.segments``); None for whole clips.
        part: (i, n): every n-th clip from the i-th on.
        workers: number of processes; they share the cores.

    Returns:
        Number of clips, and of those that cannot be read.

    Raises:
        ConfigError: see `ClipEncoder`.
        DatasetNotFoundError: the shards are not complete.
        RunFailedError: a process died.
    """
    positions = range(len(Shards(root).clips()))[part[0] :: part[1]]
    threads = max(1, torch.get_num_threads() // workers)
    results = _results((root, make, segments, threads), positions, workers)
    read = sum(tqdm(results, total=len(positions), desc="features", unit="clip", smoothing=0.02))
    return len(positions), len(positions) - read


def _results(
    arguments: tuple[str, Callable[[], Encoders], int | None, int], positions: Sequence[int], workers: int
) -> Iterator[bool]:
    if workers == 1:
        yield from map(ClipEncoder(*arguments), positions)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, arguments) as pool:
        try:
            yield from pool.map(_encode, positions, chunksize=CLIPS_PER_TASK)
        except BrokenProcessPool as error:
            raise RunFailedError(
                "a process that computes features ended; run the same command again to continue, with --workers 1 to "
                "see its error"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_own: list[ClipEncoder] = []
"""The encoder of a worker process."""


def _start(*arguments: object) -> None:
    exit_with_parent()
    _own.append(ClipEncoder(*arguments))  # type: ignore[arg-type]  # those of `_results`


def _encode(position: int) -> bool:
    return _own[0](position)
