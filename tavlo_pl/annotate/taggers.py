"""Audio taggers that name the sound around a frame, behind one interface."""

import csv
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tavlo_pl.annotate.project import Tag
from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.errors import AnnotationError, CheckpointError, ConfigError
from tavlo_pl.io.parsing import read_text
from tavlo_pl.nn.pretrained.extras import require
from tavlo_pl.nn.pretrained.yamnet import CLASSES, PATCH, YAMNet

NONE = "none"
YAMNET = "yamnet"
CLASSES_FILE = "yamnet_classes.csv"
WINDOW_S = PATCH / SAMPLE_RATE_HZ
"""Length of the audio around a frame that is tagged: one patch of YAMNet."""


class Tagger(Protocol):
    """Names sounds."""

    name: str

    def tag(self, waveform: NDArray[np.float32], most: int) -> list[Tag]:
        """The classes with the highest scores of (L,) samples at 16 kHz, in descending order."""


class NoTagger:
    """Names nothing."""

    name = NONE

    def tag(self, waveform: NDArray[np.float32], most: int) -> list[Tag]:
        """An empty list."""
        del waveform, most
        return []


class YAMNetTagger:
    """AudioSet's classes by YAMNet.

    Args:
        weights: a ``.safetensors`` file with the released weights, or ``none`` for random ones.
        classes: file of the names of the 521 classes, one row ``index,name`` or ``index,mid,name`` each; None for
            ``yamnet_classes.csv`` beside the weights.

    Raises:
        CheckpointError: the weights cannot be read.
        AnnotationError: the names cannot be read.
    """

    name = YAMNET

    def __init__(self, weights: str, classes: str | None) -> None:
        self.model = YAMNet(weights).eval()
        self.names = read_classes(Path(classes) if classes is not None else Path(weights).with_name(CLASSES_FILE))

    @torch.inference_mode()
    def tag(self, waveform: NDArray[np.float32], most: int) -> list[Tag]:
        """See `Tagger`."""
        samples = torch.from_numpy(waveform[:PATCH].copy())
        samples = torch.nn.functional.pad(samples, (0, PATCH - len(samples)))
        scores = self.model.fc(self.model.embed(self.model.patches(samples[None])))[0].sigmoid()
        return _highest(self.names, scores, most)


class TransformersTagger:
    """An audio classification model of transformers by name or folder (extra ``[transformers]``).

    Args:
        name: of a model on the hub, or a folder with its files.

    Raises:
        ConfigError: transformers is not installed.
        CheckpointError: the model cannot be read.
    """

    def __init__(self, name: str) -> None:
        transformers = require("transformers", "transformers")
        self.name = name
        try:
            self.extractor = transformers.AutoFeatureExtractor.from_pretrained(name)
            self.model = transformers.AutoModelForAudioClassification.from_pretrained(name).eval()
        except (OSError, ValueError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(f"--tagger {name}: transformers cannot read it (no network?): {reason}") from error
        if self.extractor.sampling_rate != SAMPLE_RATE_HZ:
            raise ConfigError(f"--tagger {name}: it takes {self.extractor.sampling_rate} Hz; use a model of 16 kHz")

    @torch.inference_mode()
    def tag(self, waveform: NDArray[np.float32], most: int) -> list[Tag]:
        """See `Tagger`."""
        inputs = self.extractor(waveform, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        config = self.model.config
        logits = self.model(**inputs).logits[0]
        several = config.problem_type == "multi_label_classification"
        scores = logits.sigmoid() if several else logits.softmax(0)
        return _highest([config.id2label[n] for n in range(len(scores))], scores, most)


def make_tagger(name: str, weights: str, classes: str | None) -> Tagger:
    """Makes a tagger by name: ``none``, ``yamnet``, or a model of transformers.

    Args:
        name: of the tagger.
        weights: see `YAMNetTagger`.
        classes: see `YAMNetTagger`.
    """
    if name == NONE:
        return NoTagger()
    return YAMNetTagger(weights, classes) if name == YAMNET else TransformersTagger(name)


def read_classes(path: Path) -> list[str]:
    """The names of YAMNet's classes by index.

    Raises:
        AnnotationError: the file is missing, or has not one name for each class.
    """
    if not path.is_file():
        raise AnnotationError(
            f"{path}: no such file; it must have a row index,name for each of YAMNet's {CLASSES} classes "
            "(--tagger_classes)."
        )
    rows = [row for row in csv.reader(read_text(path).splitlines()) if row and row[0].isdecimal()]
    names = {int(row[0]): row[-1] for row in rows}
    if names.keys() != set(range(CLASSES)):
        raise AnnotationError(f"{path}: it must have a row index,name for each of YAMNet's {CLASSES} classes.")
    return [names[number] for number in range(CLASSES)]


def _highest(names: list[str], scores: torch.Tensor, most: int) -> list[Tag]:
    best = scores.topk(min(most, len(names)))
    return [(names[n], round(float(score), 4)) for n, score in zip(best.indices.tolist(), best.values, strict=True)]
