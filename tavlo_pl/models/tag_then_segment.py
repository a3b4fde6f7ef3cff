"""Sound tag -> text -> image, with models of transformers by name (extra ``[transformers]``). No training.

An audio classifier names the sound of each segment, and CLIPSeg (Lüddecke and Ecker, CVPR 2022) segments what the
names say. As in `sound_tag`, two objects of one class have equal maps.
"""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torchaudio.functional import resample
from typing_extensions import override

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.untrained import Untrained
from tavlo_pl.nn.pretrained.transformers_audio import SAMPLE_RATE_HZ, segment_windows
from tavlo_pl.nn.pretrained.transformers_models import read_pretrained
from tavlo_pl.nn.waveform import from_columns

CELLS = 44
"""Side length of the map; CLIPSeg's 352 x 352 pixels are averaged."""


class TagThenSegment(Untrained):
    """Map of a segment: max_k p_k M_k(cell), over the classes k with the highest probabilities.

    p_k is the probability of a class of sounds, M_k(cell) that of CLIPSeg for a cell with the name of the class as its
    text. Needs ``data.clip.frequencies: none``.

    Args:
        tagger: an audio classifier on the hub, such as ``MIT/ast-finetuned-audioset-10-10-0.4593``, or a folder.
        segmenter: a CLIPSeg on the hub, such as ``CIDAS/clipseg-rd64-refined``, or a folder.
        context_s: seconds of sound around the centre of a segment that are classified.
        classes: number of classes of a segment that are segmented.

    Raises:
        ConfigError: transformers is not installed, or a number is not positive.
        CheckpointError: a model cannot be read.
    """

    def __init__(self, tagger: str, segmenter: str, context_s: float = 2.0, classes: int = 3) -> None:
        super().__init__()
        if context_s <= 0 or classes < 1:
            raise ConfigError(f"context_s is {context_s} and classes is {classes}; both must be positive")
        names = ("AutoFeatureExtractor", "AutoModelForAudioClassification")
        self.extractor, self.tagger = read_pretrained("model.init_args.tagger", tagger, *names)
        names = ("CLIPSegProcessor", "CLIPSegForImageSegmentation")
        self.processor, self.segmenter = read_pretrained("model.init_args.segmenter", segmenter, *names)
        self.requires_grad_(requires_grad=False)
        self.context_s, self.classes = context_s, classes

    @override
    def train(self, mode: bool = True) -> "TagThenSegment":  # always in evaluation
        """Stays in evaluation."""
        return super().train(mode=False)

    @override
    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """(B, T, 44, 44) scores in [0, 1]; the audio is a waveform in columns."""
        batch, segments = frames.shape[:2]
        best = self.tag(spectrogram, segments).topk(min(self.classes, self.tagger.config.num_labels))
        names = self.tagger.config.id2label
        maps = [
            (scores[:, None, None] * self.segment(frame, [names[number] for number in numbers.tolist()])).amax(0)
            for frame, scores, numbers in zip(
                frames.flatten(0, 1), best.values.flatten(0, 1), best.indices.flatten(0, 1), strict=True
            )
        ]
        found: Tensor = torch.stack(maps).unflatten(0, (batch, segments))
        return found

    def tag(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, 1, L / T, T) waveform in columns to (B, T, C) probabilities of the classes of sounds."""
        windows = segment_windows(from_columns(spectrogram, segments), segments, self.context_s)
        rate = int(self.extractor.sampling_rate)
        pieces = resample(windows.flatten(0, 1).float(), SAMPLE_RATE_HZ, rate).cpu().numpy()
        inputs = self.extractor(list(pieces), sampling_rate=rate, return_tensors="pt").to(windows.device)
        logits: Tensor = self.tagger(**inputs).logits.unflatten(0, windows.shape[:2])
        has_several = self.tagger.config.problem_type == "multi_label_classification"
        return logits.sigmoid() if has_several else logits.softmax(-1)

    def segment(self, frame: Tensor, names: list[str]) -> Tensor:
        """(3, H, W) uint8 and K names to (K, 44, 44) probabilities."""
        images = [frame.cpu()] * len(names)
        inputs = self.processor(text=names, images=images, padding=True, truncation=True, return_tensors="pt").to(
            frame.device
        )
        logits: Tensor = self.segmenter(**inputs).logits
        return adaptive_avg_pool2d(logits.reshape(len(names), *logits.shape[-2:]).sigmoid(), CELLS)
