"""The practical alternative to learning from audio and video: sound tag -> class -> image. No training.

YAMNet says which of AudioSet's classes is heard, EfficientNet-lite0 where ImageNet's classes of the same name are seen.
Two objects of one class have equal maps: it cannot find which of them sounds.
"""

import re

import torch
from torch import Tensor
from typing_extensions import override

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.untrained import Untrained
from tavlo_pl.nn.pretrained.class_activation import ClassActivation, image_classes
from tavlo_pl.nn.pretrained.yamnet import YAMNet, sound_classes


class SoundTag(Untrained):
    """Map of a segment: Σ_k p_k P_k(cell), over the classes k that both networks have.

    p_k is YAMNet's score of a class of sounds, P_k(cell) ImageNet's probability, at a cell, of the classes of images
    that `same_names` finds for it. Where no class is shared, the map is 0.

    Args:
        image_weights: path of the released weights of EfficientNet-lite0 (``.safetensors``).
        sound_weights: path of those of YAMNet.

    Raises:
        ConfigError: one of them is not given.
        CheckpointError: the weights cannot be read or do not fit.
    """

    pairs: Tensor

    def __init__(self, image_weights: str = "none", sound_weights: str = "none") -> None:
        super().__init__()
        if "none" in (image_weights, sound_weights):
            raise ConfigError(
                "SoundTag needs both files of weights: --model.init_args.image_weights efficientnet_lite0.safetensors "
                "--model.init_args.sound_weights yamnet.safetensors"
            )
        self.images = ClassActivation(image_weights)
        self.sounds = YAMNet(sound_weights)
        self.register_buffer("pairs", same_names(sound_classes(), image_classes()), persistent=False)

    @override
    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, H / 32, W / 32) scores in [0, 1]; the audio is a waveform in columns."""
        batch, segments = frames.shape[:2]
        heard = self.sounds.classify(self.sounds(spectrogram, segments)) @ self.pairs  # (B, T, 1000)
        seen = self.images(frames.flatten(0, 1)).unflatten(0, (batch, segments))
        return torch.einsum("btc,btchw->bthw", heard, seen).clamp(0, 1)


def same_names(sounds: tuple[str, ...], images: list[str]) -> Tensor:
    """(S, I) float, 1 where a class of sounds and one of images have the same name.

    A name of a class of sounds is a list of phrases ("Violin, fiddle"). It stands for the classes of images with one of
    them as their name; if there are none, for those with the same last word ("Dog": "Maltese dog").
    """
    found = torch.zeros(len(sounds), len(images))
    lower = [name.lower() for name in images]
    last_words = [_last_word(name) for name in lower]
    for row, name in enumerate(sounds):
        phrases = [phrase.strip(" )").lower() for phrase in re.split(r"[,(]", name)]
        nouns = {_last_word(phrase) for phrase in phrases} - {""}
        chosen = [n for n, image in enumerate(lower) if image in phrases]
        found[row, chosen or [n for n, word in enumerate(last_words) if word in nouns]] = 1
    return found


def _last_word(phrase: str) -> str:
    words: list[str] = re.findall(r"[a-z]+", phrase)
    return words[-1].removesuffix("s") if words else ""
