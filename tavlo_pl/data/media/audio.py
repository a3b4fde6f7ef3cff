"""Decodes audio packets to a mono waveform at 16 kHz, placed on the clip's clock by the stream's timestamps."""

from __future__ import annotations

import math

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from tavlo_pl.data.media.container import MediaFile, to_ticks
from tavlo_pl.errors import CorruptMediaError, NoAudioError

SAMPLE_RATE_HZ = 16_000

# Gain of each surround channel in the mean of the stereo downmix (ITU-R BS.775, not normalised). Speech in the centre
# channel alone is 3 dB quieter in it, and would be 16 dB quieter in the mean of six channels. Channels that are not
# listed, such as the low-frequency effects (LFE), are left out, as in players.
_DOWNMIX_GAIN = {"FL": 0.5, "FR": 0.5, "FC": 0.5**0.5} | dict.fromkeys(["BL", "BR", "SL", "SR"], 0.5**1.5) | {"BC": 0.5}

# Audio decoded before and after the span: codecs need preceding packets, and the resampler needs adjacent samples.
AUDIO_MARGIN_S = 0.25
# Blocks whose timestamps differ by less are contiguous. Matroska rounds timestamps to milliseconds; a lost AAC packet
# is at least 20 ms.
_MAX_TIMESTAMP_ERROR_S = 0.01
# Full scale is 1. Floating-point files may hold any value; the power of larger values overflows.
_MAX_AMPLITUDE = 1e6


def decode_audio(
    audio: AudioStream,
    packets: list[Packet[Stream]],
    origin: float,
    start_s: float,
    duration_s: float,
    path: MediaFile,
) -> np.ndarray:
    """Decodes the audio of a span.

    The decoded blocks are placed on a track at the file's sample rate by their timestamps, and the track is resampled.
    The track begins at a whole second, where a sample of every sample rate lies.

    Args:
        audio: the stream of the packets.
        packets: its packets in decoding order.
        origin: time 0 of the clip's clock, in seconds on the file's clock.
        start_s: start of the span in seconds on the clip's clock.
        duration_s: length of the span in seconds.
        path: the file, for messages.

    Returns:
        (L,) float32, mono at 16 kHz, L = round(duration_s * 16000); 0 where the stream has no audio.

    Raises:
        NoAudioError: there are no packets.
        CorruptMediaError: the audio is damaged, changes its format or holds invalid samples.
    """
    if not packets:
        raise NoAudioError(f"{path}: its audio stream is empty; leave the file out or add audio to it")
    base_s = math.floor(start_s - AUDIO_MARGIN_S) if start_s > 0 else math.floor(start_s)
    rate_hz = audio.codec_context.sample_rate
    samples_per_tick = rate_hz / to_ticks(1.0, audio)
    runs: list[tuple[int, AudioFifo]] = []  # contiguous runs: first sample on the track, samples
    for packet in [*packets, None]:
        for frame in audio.codec_context.decode(packet):
            if frame.is_corrupt or frame.sample_rate != rate_hz or (packet is not None and packet.is_corrupt):
                raise CorruptMediaError(f"{path}: its audio is damaged; fetch the file again or leave it out")
            expected = runs[-1][0] + runs[-1][1].samples if runs else 0
            stated = expected if frame.pts is None else frame.pts * samples_per_tick - (origin + base_s) * rate_hz
            if not runs or abs(stated - expected) > _MAX_TIMESTAMP_ERROR_S * rate_hz:
                runs.append((round(stated), AudioFifo()))
            frame.pts = None  # AudioFifo raises an error for timestamps that differ from its own count
            try:
                runs[-1][1].write(frame)
            except ValueError as error:
                raise CorruptMediaError(
                    f"{path}: its audio format changes within the file; convert the file to H.264 and AAC"
                ) from error
    track = np.zeros(math.ceil((start_s + duration_s + AUDIO_MARGIN_S - base_s) * rate_hz), np.float32)
    for first, queue in runs:
        block = queue.read()
        if block is None:
            continue
        run = _mono(block)
        begin, end = max(first, 0), min(first + len(run), len(track))
        if begin < end:
            track[begin:end] = run[begin - first : end - first]
    if not (np.abs(track) <= _MAX_AMPLITUDE).all():  # False for NaN
        raise CorruptMediaError(
            f"{path}: its audio holds invalid samples (NaN, infinite or above {_MAX_AMPLITUDE:g}); leave it out"
        )
    resampled = _resample(track, rate_hz)
    first = round((start_s - base_s) * SAMPLE_RATE_HZ)
    waveform = np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)
    piece = resampled[first : first + len(waveform)]
    waveform[: len(piece)] = piece
    return waveform


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
