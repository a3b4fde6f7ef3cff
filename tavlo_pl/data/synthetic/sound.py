"""Sounds of the procedural classes: timbre and rhythm identify the class, pitch does not.

Pitch, rhythm and brightness are drawn from wide ranges that overlap between classes, so that no single frequency
identifies a class.
"""

from collections.abc import Callable

import numpy as np

SAMPLE_RATE_HZ = 16_000
"""Sample rate of synthesis and encoding."""

Waveform = np.ndarray
Voice = Callable[[int, np.random.Generator], Waveform]


def _time(samples: int) -> Waveform:
    return np.arange(samples) / SAMPLE_RATE_HZ


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _phase(frequency_hz: Waveform) -> Waveform:
    return 2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE_HZ


def _harmonics(phase: Waveform, amplitudes: np.ndarray) -> Waveform:
    return sum((a * np.sin((k + 1) * phase) for k, a in enumerate(amplitudes) if a), np.zeros_like(phase))


def _band_noise(samples: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> Waveform:
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    spectrum *= np.exp(
        -0.5 * ((np.log(frequency + 1) - np.log(np.sqrt(low_hz * high_hz))) / np.log(high_hz / low_hz)) ** 2
    )
    noise = np.fft.irfft(spectrum, samples)
    wave: np.ndarray = noise / (np.abs(noise).max() + 1e-9)
    return wave


def _struck(samples: int, per_second: float, decay_s: float, rng: np.random.Generator, note: Voice) -> Waveform:
    """Notes of exponentially falling loudness, struck ``per_second`` times a second, slightly out of step."""
    out = np.zeros(samples)
    step = SAMPLE_RATE_HZ / per_second
    for start in np.arange(0, samples, step):
        begin = int(max(0, start + rng.normal(0, 0.03) * step))
        length = min(samples - begin, int(6 * decay_s * SAMPLE_RATE_HZ))
        if length > 32:
            out[begin : begin + length] += note(length, rng) * np.exp(-_time(length) / decay_s)
    return out


def bell(samples: int, rng: np.random.Generator) -> Waveform:
    """Struck metal: inharmonic partials, long decay."""
    pitch = _log_uniform(rng, 300, 900)
    partials = ((1.0, 1.0), (2.76, 0.6), (5.4, 0.35), (8.9, 0.2))
    return _struck(
        samples, rng.uniform(1.5, 3), 0.35, rng,
        lambda n, _: sum((a * np.sin(2 * np.pi * pitch * r * _time(n)) for r, a in partials), np.zeros(n)),
    )  # fmt: skip


def flute(samples: int, rng: np.random.Generator) -> Waveform:
    """A breathy, nearly pure tone with slow vibrato."""
    pitch = _log_uniform(rng, 300, 1000)
    vibrato = pitch * (1 + 0.012 * np.sin(2 * np.pi * rng.uniform(4, 6) * _time(samples)))
    return _harmonics(_phase(vibrato), np.array([1, 0.15, 0.05])) + 0.12 * _band_noise(samples, 1000, 4000, rng)


def buzz(samples: int, rng: np.random.Generator) -> Waveform:
    """A steady sawtooth, all harmonics."""
    pitch = _log_uniform(rng, 110, 260)
    drift = pitch * (1 + 0.02 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * _time(samples)))
    return _harmonics(_phase(drift), 1 / np.arange(1, 24))


def drum(samples: int, rng: np.random.Generator) -> Waveform:
    """Low strokes whose pitch falls, with a thud of noise."""
    top = rng.uniform(120, 220)

    def stroke(n: int, draw: np.random.Generator) -> Waveform:
        fall = 50 + top * np.exp(-_time(n) / 0.03)
        wave: np.ndarray = np.sin(_phase(fall)) + 0.3 * draw.standard_normal(n) * np.exp(-_time(n) / 0.01)
        return wave

    return _struck(samples, rng.uniform(2.5, 4.5), 0.12, rng, stroke)


def siren(samples: int, rng: np.random.Generator) -> Waveform:
    """A tone that sweeps up and down over an octave."""
    low = _log_uniform(rng, 350, 700)
    sweep = low * 2 ** (0.5 - 0.5 * np.cos(2 * np.pi * rng.uniform(0.8, 1.6) * _time(samples)))
    return _harmonics(_phase(sweep), np.array([1, 0, 0.4, 0, 0.2]))


def rattle(samples: int, rng: np.random.Generator) -> Waveform:
    """Fast bursts of bright noise."""
    return _struck(samples, rng.uniform(8, 12), 0.03, rng, lambda n, draw: _band_noise(n, 3000, 7500, draw))


def wind(samples: int, rng: np.random.Generator) -> Waveform:
    """Dark noise that swells and falls."""
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.7, 1.5) * _time(samples) + rng.uniform(0, 6))
    return _band_noise(samples, 250, 900, rng) * swell


def chirp(samples: int, rng: np.random.Generator) -> Waveform:
    """Quick rising whistles, one after another."""
    low = _log_uniform(rng, 1500, 2500)

    def note(n: int, _: np.random.Generator) -> Waveform:
        wave: np.ndarray = np.sin(_phase(low * (1 + np.minimum(_time(n) / 0.08, 1.2)))) * np.minimum(_time(n) / 0.01, 1)
        return wave

    return _struck(samples, rng.uniform(3, 6), 0.05, rng, note)


def organ(samples: int, rng: np.random.Generator) -> Waveform:
    """A held chord of odd harmonics."""
    root = _log_uniform(rng, 160, 400)
    odd = np.array([1, 0, 0.6, 0, 0.45, 0, 0.3])
    return sum((_harmonics(_phase(np.full(samples, root * r)), odd) for r in (1, 1.26, 1.5)), np.zeros(samples))


def motor(samples: int, rng: np.random.Generator) -> Waveform:
    """Pulses at 18-40 Hz."""
    rate = rng.uniform(18, 40) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 1) * _time(samples)))
    gate = np.maximum(np.sin(_phase(rate)), 0) ** 4
    wave: np.ndarray = gate * (_band_noise(samples, 150, 1200, rng) + 0.5 * np.sin(_phase(rate * 8)))
    return wave


def pluck(samples: int, rng: np.random.Generator) -> Waveform:
    """Plucked strings, every note at another pitch."""
    root = _log_uniform(rng, 200, 420)

    def note(n: int, draw: np.random.Generator) -> Waveform:
        pitch = root * 2 ** (draw.choice([0, 2, 4, 7, 9, 12]) / 12)
        overtones = (np.exp(-_time(n) * 6 * k) * np.sin(2 * np.pi * pitch * k * _time(n)) / k for k in range(1, 9))
        return sum(overtones, np.zeros(n))

    return _struck(samples, rng.uniform(3, 5), 0.15, rng, note)


def clicks(samples: int, rng: np.random.Generator) -> Waveform:
    """Dry wooden clicks in strict time."""
    pitch = _log_uniform(rng, 900, 2000)

    def note(n: int, draw: np.random.Generator) -> Waveform:
        return np.sin(2 * np.pi * pitch * _time(n)) + 0.5 * draw.standard_normal(n)

    return _struck(samples, rng.uniform(4, 7), 0.012, rng, note)


def shared_tone(samples: int, rng: np.random.Generator) -> Waveform:
    """The ringing tone that all classes share: a few harmonics of a random pitch."""
    pitch = _log_uniform(rng, 250, 500)
    return _harmonics(_phase(np.full(samples, pitch)), np.array([1, 0.5, 0.25]))


VOICES: dict[str, Voice] = {
    voice.__name__: voice
    for voice in (
        bell, flute, buzz, drum, siren, rattle, wind, chirp, organ, motor, pluck, clicks,
    )
}  # fmt: skip


def loudness(waveform: Waveform, times_s: np.ndarray, release_s: float = 0.15) -> np.ndarray:
    """Loudness of a sound at given times, with a slow release.

    Args:
        waveform: (L,) samples at ``SAMPLE_RATE_HZ``.
        times_s: (N,) ascending times in seconds.
        release_s: time in which the value falls to 1/e after the sound has stopped.

    Returns:
        (N,) values in [0, 1], relative to the maximum of the waveform.
    """
    step = SAMPLE_RATE_HZ // 100
    blocks = waveform[: len(waveform) // step * step].reshape(-1, step)
    level = np.sqrt((blocks**2).mean(axis=1))
    fall = np.exp(-0.01 / release_s)
    held = np.empty_like(level)
    needle = 0.0
    for i, value in enumerate(level):
        needle = max(float(value), needle * fall)
        held[i] = needle
    return np.asarray(np.interp(times_s, (np.arange(len(held)) + 0.5) * 0.01, held / (held.max() + 1e-9)))


FFT_MULTIPLE = 4096
"""Convolutions are computed at a multiple of this length: at lengths with a large prime factor, FFTs take longer."""


def reverberate(waveform: Waveform, decay_s: float, wet: float, rng: np.random.Generator) -> Waveform:
    """Adds reverberation: the sound convolved with exponentially decaying noise.

    Args:
        waveform: (L,) samples.
        decay_s: time in which the reverberation falls by 60 dB.
        wet: share of the reverberation, 0..1.
        rng: generator of the noise.
    """
    length = int(decay_s * SAMPLE_RATE_HZ)
    room = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    room /= np.sqrt((room**2).sum())
    size = -(-(len(waveform) + length) // FFT_MULTIPLE) * FFT_MULTIPLE
    tail = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(room, size), size)[: len(waveform)]
    return np.asarray((1 - wet) * waveform + wet * tail)
