"""From sound packets to a mono waveform at 16 kHz, laid onto the clip's clock by its own timestamps."""

import math

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

from tavlo_pl.data.media.container import MediaFile, to_ticks
from tavlo_pl.errors import CorruptMediaError, NoAudioError

SAMPLE_RATE_HZ = 16_000

# How loud a channel of surround sound is in the mean of its stereo mix (ITU-R BS.775, not scaled down): a voice that
# only the centre has is 3 dB quieter then, and 16 dB in the mean of six channels. Channels that are not named here, the
# deep effects (LFE) among them, are left out, as players do.
_IN_STEREO_MIX = (
    {"FL": 0.5, "FR": 0.5, "FC": 0.5**0.5} | dict.fromkeys(["BL", "BR", "SL", "SR"], 0.5**1.5) | {"BC": 0.5}
)

# Sound decoded on both sides of the span: codecs need packets to settle, the resampler needs neighbours.
AUDIO_MARGIN_S = 0.25
# Blocks of sound follow each other without a gap unless the timestamps say otherwise by more than their
# rounding (Matroska keeps milliseconds); a lost AAC packet is 20 ms and more.
_AUDIO_JUMP_S = 0.01
# Full scale is 1. Files of floats may hold more, and anything at all; the power of what is louder is infinite.
_LOUDEST = 1e6


def decode_audio(
    audio: AudioStream,
    packets: list[Packet],
    origin: float,
    start_s: float,
    duration_s: float,
    path: MediaFile,
) -> np.ndarray:
    """(L,) float32 at 16 kHz: blocks laid onto a track at the file's rate by timestamp, then resampled.

    The track begins at a whole second, where the grids of every two sample rates meet.
    """
    if not packets:
        raise NoAudioError(f"{path}: its audio stream is empty; leave the file out or give it sound")
    base_s = math.floor(start_s - AUDIO_MARGIN_S) if start_s > 0 else math.floor(start_s)
    rate_hz = audio.codec_context.sample_rate
    samples_a_tick = rate_hz / to_ticks(1.0, audio)
    runs: list[tuple[int, AudioFifo]] = []  # pieces without a gap: first sample on the track, samples
    for packet in [*packets, None]:
        for frame in audio.codec_context.decode(packet):
            if frame.is_corrupt or frame.sample_rate != rate_hz or (packet is not None and packet.is_corrupt):
                raise CorruptMediaError(f"{path}: its sound is damaged; fetch the file again or leave it out")
            follows = runs[-1][0] + runs[-1][1].samples if runs else 0
            stated = follows if frame.pts is None else frame.pts * samples_a_tick - (origin + base_s) * rate_hz
            if not runs or abs(stated - follows) > _AUDIO_JUMP_S * rate_hz:
                runs.append((round(stated), AudioFifo()))
            frame.pts = None  # the queue would insist on its own count
            try:
                runs[-1][1].write(frame)
            except ValueError as error:
                raise CorruptMediaError(
                    f"{path}: its sound changes its format half-way; convert the file to H.264 and AAC"
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
    if not (np.abs(track) <= _LOUDEST).all():  # False for NaN
        raise CorruptMediaError(
            f"{path}: its sound holds values that are no loudness (NaN, infinite or above {_LOUDEST:g}); leave it out"
        )
    sound = _resample(track, rate_hz)
    first = round((start_s - base_s) * SAMPLE_RATE_HZ)
    waveform = np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.float32)
    piece = sound[first : first + len(waveform)]
    waveform[: len(piece)] = piece
    return waveform


def _mono(frame: AudioFrame) -> np.ndarray:
    """(samples,) float32 of a decoded block of any sample format: the mean of its channels, in [-1, 1].

    Surround sound is mixed to stereo first, whose mean can exceed that range slightly.
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
        return np.array([_IN_STEREO_MIX.get(name, 0.0) for name in names], np.float32) @ samples.astype(np.float32)
    mono: np.ndarray = samples.mean(0, dtype=np.float32)
    return mono


def _resample(track: np.ndarray, rate_hz: int) -> np.ndarray:
    """(samples,) float32 at 16 kHz; sample 0 stays at time 0."""
    if rate_hz == SAMPLE_RATE_HZ:
        return track
    frame = AudioFrame.from_ndarray(track[None], format="fltp", layout="mono")
    frame.sample_rate = rate_hz
    resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ)
    blocks = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([block.to_ndarray()[0] for block in blocks])
