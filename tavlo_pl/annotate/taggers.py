"""Audio taggers that name the sound around a frame, behind one interface."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tavlo_pl.annotate.project import Tag
from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.pretrained.transformers_models import read_pretrained
from tavlo_pl.nn.pretrained.yamnet import PATCH, YAMNet

NONE = "none"
YAMNET = "yamnet"
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
        weights: a ``.safetensors`` file with the released weights.

    Raises:
        ConfigError: the weights are ``none``.
        CheckpointError: they cannot be read.
    """

    name = YAMNET

    def __init__(self, weights: str) -> None:
        if weights == NONE:
            raise ConfigError("--tagger yamnet needs its weights: give --tagger_weights yamnet.safetensors")
        self.model = YAMNet(weights).eval()

    @torch.inference_mode()
    def tag(self, waveform: NDArray[np.float32], most: int) -> list[Tag]:
        """See `Tagger`."""
        samples = torch.from_numpy(waveform[:PATCH].copy())
        samples = torch.nn.functional.pad(samples, (0, PATCH - len(samples)))
        scores = self.model.fc(self.model.embed(self.model.patches(samples[None])))[0].sigmoid()
        return _highest(self.model.class_names, scores, most)


class TransformersTagger:
    """An audio classification model of transformers by name or folder (extra ``[transformers]``).

    Args:
        name: of a model on the hub, or a folder with its files.

    Raises:
        ConfigError: transformers is not installed.
        CheckpointError: the model cannot be read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        classes = ("AutoFeatureExtractor", "AutoModelForAudioClassification")
        self.extractor, self.model = read_pretrained("--tagger", name, *classes)
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


def make_tagger(name: str, weights: str) -> Tagger:
    """Makes a tagger by name: ``none``, ``yamnet``, or a model of transformers.

    Args:
        name: of the tagger.
        weights: see `YAMNetTagger`.
    """
    if name == NONE:
        return NoTagger()
    return YAMNetTagger(weights) if name == YAMNET else TransformersTagger(name)


def _highest(names: Sequence[str], scores: torch.Tensor, most: int) -> list[Tag]:
    best = scores.topk(min(most, len(names)))
    return [(names[n], round(float(score), 4)) for n, score in zip(best.indices.tolist(), best.values, strict=True)]
