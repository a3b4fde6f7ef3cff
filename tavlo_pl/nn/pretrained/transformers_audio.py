"""Audio encoders of Hugging Face transformers by name (extra ``[transformers]``)."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torchaudio.functional import resample

from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io.extras import require
from tavlo_pl.nn.audio import AudioEncoder
from tavlo_pl.nn.loudness import check_pieces, with_loudness
from tavlo_pl.nn.pretrained.cache import FeatureCache
from tavlo_pl.nn.pretrained.training import PartlyTrained, Trained
from tavlo_pl.nn.waveform import from_columns

SAMPLE_RATE_HZ = 16_000
"""Of the batch."""


class TransformersAudioEncoder(AudioEncoder):
    """The mean hidden state of a transformers audio model over a window around each segment; needs the waveform.

    The model gets `context_s` seconds around the centre of a segment and nothing else, so that feature t sees this
    context only, whatever the attention of the model spans. Its own feature extractor computes its input (sample rate,
    mel bands, normalisation). Audio Spectrogram Transformer, CLAP (audio part), wav2vec 2.0, HuBERT, WavLM and
    Whisper work.

    Args:
        name: of a model on the hub, for example ``MIT/ast-finetuned-audioset-10-10-0.4593``, or a folder with
            ``config.json`` and ``preprocessor_config.json``.
        context_s: seconds around the centre of a segment; None for the length of the segment.
        weights: ``hub`` downloads the weights, or reads them from the folder; ``none`` keeps random ones.
        trained: ``none`` keeps the model as it is, ``all`` trains it, a number N its last N layers.
        cache: folder in which the features of a frozen encoder are stored and found again (`cache`); None stores none.
        only_local: read only what is on this machine, for example from an earlier download; checkpoints set it.
        loudness: pieces of each segment whose loudness is appended to the hidden state (`nn.loudness`); 0 for none.

    Raises:
        ConfigError: transformers is not installed, the model has no hidden states of audio, or ``loudness`` is
            negative.
        CheckpointError: the model cannot be read.
    """

    takes: Literal["waveform"] = "waveform"

    def __init__(
        self,
        name: str,
        context_s: float | None = None,
        weights: Literal["hub", "none"] = "none",
        trained: Trained = "none",
        cache: str | None = None,
        only_local: bool = False,
        loudness: int = 0,
    ) -> None:
        transformers = require("transformers", "transformers", "this encoder")
        if context_s is not None and context_s <= 0:
            raise ConfigError(f"context_s of {name} is {context_s}; it must be positive")
        try:
            source: dict[str, Any] = {"local_files_only": only_local, "trust_remote_code": False}
            extractor = transformers.AutoFeatureExtractor.from_pretrained(name, **source)
            config = transformers.AutoConfig.from_pretrained(name, **source)
            config = getattr(config, "audio_config", config)  # CLAP has a part for audio
            model_class = transformers.AutoModel
            if config.model_type == "clap_audio_model":
                model_class = transformers.ClapAudioModel
            if weights == "hub":
                model = model_class.from_pretrained(name, **source)
            elif model_class is transformers.AutoModel:
                model = model_class.from_config(config)
            else:
                model = model_class(config)
        except (OSError, ValueError, KeyError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300]
            remedy = (
                "a checkpoint downloads nothing: set only_local of the encoder to false"
                if only_local
                else "no network?"
            )
            raise CheckpointError(f"{name}: transformers cannot read it ({remedy}): {reason}") from error
        width = getattr(config, "hidden_size", None)
        if not isinstance(width, int):
            raise ConfigError(f"{name}: its configuration has no hidden_size, so it is no encoder of audio")
        super().__init__(width + check_pieces(loudness))
        self.loudness = loudness
        self.extractor = extractor
        self.model = getattr(model, "encoder", model) if config.model_type == "whisper" else model
        self.name, self.context_s = name, context_s
        self.cache = FeatureCache(cache, trained)
        self.partly = PartlyTrained(self.model, _layers(self.model), trained, weights)

    def train(self, mode: bool = True) -> "TransformersAudioEncoder":
        """As in ``nn.Module``; frozen layers stay in evaluation."""
        super().train(mode)
        self.partly.apply_mode(mode)
        return self

    def forward(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, 1, L / T, T) waveform in columns to (B, T, D_a); see the base class."""
        waveform = from_columns(spectrogram, segments)
        windows = segment_windows(waveform, segments, self.context_s)  # (B, T, C)
        self.cache.open(self, f"{self.name} {self.context_s}")
        features: Tensor = self.cache.get(windows.flatten(0, 1).float(), self._encode).unflatten(0, windows.shape[:2])
        return with_loudness(features, spectrogram, self.loudness)

    def _encode(self, windows: Tensor) -> Tensor:
        """(N, C) windows to (N, D_a)."""
        rate = int(self.extractor.sampling_rate)
        pieces = resample(windows, SAMPLE_RATE_HZ, rate)
        inputs: dict[str, Any] = self.extractor(list(pieces.cpu().numpy()), sampling_rate=rate, return_tensors="pt")
        names = {"input_values", "input_features", "is_longer"}
        given = {name: value.to(windows.device) for name, value in inputs.items() if name in names}
        hidden: Tensor = self.model(**given).last_hidden_state  # (BT, ..., D) or (BT, D, h, w)
        if hidden.dim() == 4:
            hidden = hidden.flatten(2).mT
        features: Tensor = hidden.mean(1)
        return features


def segment_windows(waveform: Tensor, segments: int, context_s: float | None) -> Tensor:
    """(B, L) to (B, T, C) samples around the centre of each segment; silence beyond the clip's ends.

    Args:
        waveform: 16 kHz.
        segments: T.
        context_s: C in seconds; None for the length of a segment.
    """
    each = waveform.shape[-1] // segments
    length = each if context_s is None else round(context_s * SAMPLE_RATE_HZ)
    starts = torch.arange(segments, device=waveform.device) * each + (each - length) // 2 + length
    windows: Tensor = pad(waveform, (length, length)).unfold(-1, length, 1)[:, starts]
    return windows


def _layers(model: nn.Module) -> list[nn.Module]:
    """The longest list of layers of the model."""
    lists = [list(part) for part in model.modules() if isinstance(part, nn.ModuleList)]
    return max(lists, key=len, default=[])
