"""Waveform and spectrogram of a clip for the page, in numpy: the server starts without torch."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tavlo_pl.types import FLOOR_DB, MEAN_DB, SPREAD_DB
from tavlo_pl.viz.overlay import spectrogram_strip

COLUMNS = 800
"""Columns of the waveform and of the spectrogram of a clip."""

WINDOW_SAMPLES = 512
SPECTROGRAM_PX = 64


def peaks(waveform: NDArray[np.float32]) -> list[float]:
    """The largest absolute sample of each of `COLUMNS` parts of (L,) samples, divided by the largest of all."""
    columns = [float(part.max(initial=0.0)) for part in np.array_split(np.abs(waveform), COLUMNS)]
    loudest = max([1e-9, *columns])
    return [round(peak / loudest, 3) for peak in columns]


def spectrogram_png(waveform: NDArray[np.float32]) -> bytes:
    """The spectrogram of (L,) samples as a PNG file: `COLUMNS` columns, linear frequency, low ones at the bottom."""
    half = WINDOW_SAMPLES // 2
    padded = np.pad(waveform, half)
    centres = ((np.arange(COLUMNS) + 0.5) * len(waveform) / COLUMNS).astype(int)
    window = np.hanning(WINDOW_SAMPLES)
    pieces = padded[centres[:, None] + np.arange(WINDOW_SAMPLES)] * (window / window.sum())
    power = np.abs(np.fft.rfft(pieces)[:, 1:]) ** 2  # (columns, half)
    bands = power.reshape(COLUMNS, SPECTROGRAM_PX, -1).mean(2).T
    decibel = 10 * np.log10(bands + 10 ** (FLOOR_DB / 10))
    file = io.BytesIO()
    Image.fromarray(spectrogram_strip((decibel - MEAN_DB) / SPREAD_DB, (SPECTROGRAM_PX, COLUMNS))).save(file, "png")
    return file.getvalue()
