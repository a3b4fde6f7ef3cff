"""Decodes audio packets to a mono waveform at 16 kHz, placed on the clip's clock by the stream's timestamps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from tavlo_pl.data.media.container import MediaFile, to_seconds
from tavlo_pl.data.media.limits import MAX_SAMPLE_RATE_HZ
from tavlo_pl.data.media.timeline import Track
from tavlo_pl.errors import CorruptMediaError

SAMPLE_RATE_HZ = 16_000

# Gain of each surround channel in the mean of the stereo downmix (ITU-R BS.775, not normalised). Speech in the centre
# channel alone is 3 dB quieter in it, and would be 16 dB quieter in the mean of six channels. Channels that are not
# listed, such as the low-frequency effects (LFE), are left out, as in players.
_DOWNMIX_GAIN = {"FL": 0.5, "FR": 0.5, "FC": 0.5**0.5} | dict.fromkeys(["BL", "BR", "SL", "SR"], 0.5**1.5) | {"BC": 0.5}

# Audio decoded before and after the span: codecs need preceding packets, and the resampler needs adjacent samples.
AUDIO_MARGIN_S = 0.25
# Blocks whose timestamps differ by less are contiguous. Matroska rounds timestamps to milliseconds; a lost AAC packet
# is at least 20 ms.
MAX_TIMESTAMP_ERROR_S = 0.01
# Packets at the start of a part that may be incomplete.
_CUT_PACKETS = 2
# A sample rate or channel layout that holds for a shorter time is a damaged header.
_MIN_FORMAT_S = 0.1
# Full scale is 1. Floating-point files may hold any value; the power of larger values overflows.
_MAX_AMPLITUDE = 1e6


def audio_packets(track: Track, start_s: float, duration_s: float) -> NDArray[np.int64]:
    """Numbers of the packets that decoding a span needs, ascending."""
    begin_s, end_s = track.time_s, track.time_s + track.packets.duration_s
    needed = np.flatnonzero(
        (end_s >= start_s - 2 * AUDIO_MARGIN_S) & (begin_s <= start_s + duration_s + AUDIO_MARGIN_S) & ~track.stray
    )
    return np.arange(needed[0], needed[-1] + 1) if len(needed) else needed


@dataclass
class _Run:
    """Contiguous decoded audio of one format.

    Attributes:
        begin_s: time of the first sample on the clip's clock.
        form: sample rate, layout and sample format.
        rate_hz: sample rate.
        queue: the samples.
    """

    begin_s: float
    form: tuple[int, str, str]
    rate_hz: int
    queue: AudioFifo = field(default_factory=AudioFifo)

    @property
    def end_s(self) -> float:
        """Time after the last sample, until the samples are read."""
        return self.begin_s + self.queue.samples / self.rate_hz


def decode_audio(
    audio: AudioStream,
    track: Track,
    packets: Mapping[int, Packet[Stream]],
    start_s: float,
    duration_s: float,
    path: MediaFile,
) -> np.ndarray:
    """Decodes the audio of a span.

    The decoded blocks are placed on a track at the file's sample rate by their timestamps, and the track is resampled.
    The track begins at a whole second, where a sample of every sample rate lies. Audio of several sample rates has a
    track for each, which are added.

    Args:
        audio: the stream of the packets.
        track: its packets on the clip's clock.
        packets: packets of the track by number, ascending; see `audio_packets`.
        start_s: start of the span in seconds on the clip's clock.
        duration_s: length of the span in seconds.
        path: the file, for messages.

    Returns:
        (L,) float32, mono at 16 kHz, L = round(duration_s * 16000); 0 where the stream has no audio.

    Raises:
        CorruptMediaError: the audio is damaged or holds invalid samples.
    """
    base_s = math.floor(start_s - AUDIO_MARGIN_S) if start_s > 0 else math.floor(start_s)
    length_s = start_s + duration_s + AUDIO_MARGIN_S - base_s
    mixed: dict[int, np.ndarray] = {}
    filled_s = -math.inf  # where runs overlap, the earlier one is kept
    for run in _runs(audio, track, packets, path):
        block = run.queue.read()
        if block is None:
            continue
        target = mixed.setdefault(run.rate_hz, np.zeros(math.ceil(length_s * run.rate_hz), np.float32))
        samples, first = _mono(block), round((run.begin_s - base_s) * run.rate_hz)
        filled = round((max(filled_s, base_s) - base_s) * run.rate_hz)
        begin, end = max(first, filled), min(first + len(samples), len(target))
        if begin < end:
            target[begin:end] = samples[begin - first : end - first]
        filled_s = max(filled_s, run.begin_s + len(samples) / run.rate_hz)
    waveform = np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)
    for rate_hz, samples in mixed.items():
        if not (np.abs(samples) <= _MAX_AMPLITUDE).all():  # False for NaN
            raise CorruptMediaError(
                f"{path}: its audio holds invalid samples (NaN, infinite or above {_MAX_AMPLITUDE:g}); leave it out"
            )
        first = round((start_s - base_s) * SAMPLE_RATE_HZ)
        piece = _resample(samples, rate_hz)[first : first + len(waveform)]
        waveform[: len(piece)] += piece
    return waveform


class BlockDecoder:
    """Decodes the packets of an audio track one by one; the decoder is flushed between the parts of a file.

    Args:
        audio: the stream of the packets.
        track: its packets on the clip's clock.
        path: the file, for messages.
    """

    def __init__(self, audio: AudioStream, track: Track, path: MediaFile) -> None:
        self._audio, self._track, self._path = audio, track, path
        self._damaged = track.damaged
        self._part = -1

    def decode(self, number: int, packet: Packet[Stream]) -> Iterator[tuple[float | None, AudioFrame]]:
        """Decodes a packet.

        Args:
            number: its number in the track; packets are decoded in ascending order.
            packet: the packet.

        Yields:
            Time on the clip's clock in seconds, None for a block that follows the one before; and the block.

        Raises:
            CorruptMediaError: the audio is damaged.
        """
        if self._part >= 0 and self._track.part[number] != self._part:
            yield from self.flush()
            self._audio.codec_context.flush_buffers()
        self._part = int(self._track.part[number])
        if self._damaged[number]:
            raise self._damage()
        if self._track.stray[number]:
            packet.pts = None
        try:
            frames = self._audio.codec_context.decode(packet)
        except av.InvalidDataError:
            if number - int(np.searchsorted(self._track.part, self._part)) >= _CUT_PACKETS:
                raise
            return  # a recording that was cut begins in the middle of a block
        for frame in frames:
            yield self._timed(frame)

    def flush(self) -> Iterator[tuple[float | None, AudioFrame]]:
        """Yields what the decoder still holds."""
        if self._part >= 0:
            for frame in self._audio.codec_context.decode(None):
                yield self._timed(frame)

    def _timed(self, frame: AudioFrame) -> tuple[float | None, AudioFrame]:
        if frame.is_corrupt or not 0 < frame.sample_rate <= MAX_SAMPLE_RATE_HZ:
            raise self._damage()
        if frame.pts is None:
            return None, frame
        return float(to_seconds(np.int64(frame.pts), self._audio)) + float(self._track.shift_s[self._part]), frame

    def _damage(self) -> CorruptMediaError:
        return CorruptMediaError(f"{self._path}: its audio is damaged; fetch the file again or leave it out")


def _runs(audio: AudioStream, track: Track, packets: Mapping[int, Packet[Stream]], path: MediaFile) -> list[_Run]:
    """Decodes packets to contiguous runs.

    Raises:
        CorruptMediaError: the audio is damaged.
    """
    runs: list[_Run] = []
    decoder = BlockDecoder(audio, track, path)
    decoded = (block for number, packet in packets.items() for block in decoder.decode(number, packet))
    for time_s, frame in chain(decoded, decoder.flush()):
        form = frame.sample_rate, frame.layout.name, frame.format.name
        expected_s = runs[-1].end_s if runs else 0.0
        is_same = bool(runs) and runs[-1].form == form
        is_next = time_s is None or abs(time_s - expected_s) <= MAX_TIMESTAMP_ERROR_S
        if not is_same or not is_next:
            runs.append(_Run(expected_s if time_s is None else time_s, form, frame.sample_rate))
        frame.pts = None  # AudioFifo raises an error for timestamps that differ from its own count
        runs[-1].queue.write(frame)
    for before, run, after in zip(runs, runs[1:], runs[2:], strict=False):
        if before.form == after.form != run.form and run.end_s - run.begin_s < _MIN_FORMAT_S:
            raise CorruptMediaError(f"{path}: its audio is damaged; fetch the file again or leave it out")
    return runs


def _mono(frame: AudioFrame) -> np.ndarray:
    """Converts a decoded block of any sample format to mono.

    Returns:
        (samples,) float32: the mean of the channels, in [-1, 1]; for surround sound the mean of its stereo downmix,
        which may exceed that range slightly.
    """
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = samples / np.float32(128) - 1
    elif np.issubdtype(samples.dtype, np.integer):
        samples = samples / np.float32(2 ** (8 * samples.itemsize - 1))
    names = [channel.name for channel in frame.layout.channels]
    if len(names) > 2 and "FL" in names:
        return np.array([_DOWNMIX_GAIN.get(name, 0.0) for name in names], np.float32) @ samples.astype(np.float32)
    mean: np.ndarray = samples.mean(0, dtype=np.float32)
    return mean


def _resample(track: np.ndarray, rate_hz: int) -> np.ndarray:
    """Resamples (samples,) float32 to 16 kHz; sample 0 stays at time 0."""
    if rate_hz == SAMPLE_RATE_HZ:
        return track
    frame = AudioFrame.from_ndarray(track[None], format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ)
    blocks = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([block.to_ndarray()[0] for block in blocks])
