"""SAM 2 (Ravi et al. 2024) through transformers: masks of clicks and boxes, and masks carried through a video."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tavlo_pl.annotate.flow import LEAST_CONFIDENCE, Carried, Mask, is_cut
from tavlo_pl.annotate.segmenters import Prompt
from tavlo_pl.annotate.sharpness import LUMA
from tavlo_pl.nn.pretrained.transformers_models import read_pretrained

SAM2 = "sam2"


class Sam2Segmenter:
    """A mask of clicks or a box. The features of the last frame are kept: a second click in it takes less time.

    Args:
        name: of a SAM 2 model on the hub, ``facebook/sam2.1-hiera-tiny`` for example, or a folder with its files.

    Raises:
        ConfigError: transformers is not installed.
        CheckpointError: the model cannot be read.
    """

    name = SAM2

    def __init__(self, name: str) -> None:
        self.processor, self.model = read_pretrained("--segmenter", name, "Sam2Processor", "Sam2Model")
        self._frame: NDArray[np.uint8] | None = None
        self._features: list[torch.Tensor] = []

    @torch.inference_mode()
    def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> tuple[Mask, float] | None:
        """See `Segmenter`."""
        size = list(frame.shape[:2])
        if self._frame is None or not np.array_equal(frame, self._frame):
            pixels = self.processor(images=frame, return_tensors="pt")["pixel_values"]
            self._features, self._frame = self.model.get_image_embeddings(pixels), frame.copy()
        asked: dict[str, list[object]] = {}
        if prompt.clicks:
            asked["input_points"] = [[[[x, y] for x, y, _ in prompt.clicks]]]
            asked["input_labels"] = [[[int(is_on) for _, _, is_on in prompt.clicks]]]
        if prompt.box is not None:
            left, top, width, height = prompt.box
            asked["input_boxes"] = [[[left, top, left + width, top + height]]]
        inputs = self.processor(original_sizes=[size], return_tensors="pt", **asked)
        del inputs["original_sizes"]
        is_ambiguous = len(prompt.clicks) == 1 and prompt.box is None  # a part or the whole: the best of three masks
        found = self.model(image_embeddings=self._features, multimask_output=is_ambiguous, **inputs)
        scores = found.iou_scores[0, 0]
        best = int(scores.argmax())
        (masks,) = self.processor.post_process_masks(found.pred_masks[:, 0, best][:, None, None], [size])
        mask: Mask = masks[0, 0].numpy()
        return (mask, round(min(1.0, max(0.0, float(scores[best]))), 4)) if mask.any() else None


class Sam2Tracker:
    """Carries a mask by the memory of SAM 2; the confidence is the lowest probability so far that the object is there.

    Args:
        name: as for `Sam2Segmenter`.

    Raises:
        ConfigError: transformers is not installed.
        CheckpointError: the model cannot be read.
    """

    name = SAM2
    steps_per_s = 4.0  # each frame takes 13 MB, and the model needs no small steps

    def __init__(self, name: str) -> None:
        self.processor, self.model = read_pretrained("--tracker", name, "Sam2VideoProcessor", "Sam2VideoModel")

    @torch.inference_mode()
    def carry(self, frames: NDArray[np.uint8], mask: Mask) -> Iterator[Carried]:
        """See `Tracker`."""
        grey = (frames @ LUMA).astype(np.uint8)
        cuts = (n for n in range(1, len(frames)) if is_cut(grey[n - 1], grey[n]))
        shown = frames[: next(cuts, len(frames))]
        session = self.processor.init_video_session(video=list(shown))
        self.processor.process_new_mask_for_video_frame(session, frame_idx=0, obj_ids=[1], input_masks=[mask])
        confidence = 1.0
        for found in self.model.propagate_in_video_iterator(session, start_frame_idx=0):
            if found.frame_idx == 0:
                continue
            confidence = min(confidence, float(found.object_score_logits.sigmoid().min()))
            (masks,) = self.processor.post_process_masks([found.pred_masks], [list(mask.shape)])
            carried: Mask = masks[0, 0].numpy()
            if confidence < LEAST_CONFIDENCE or not carried.any():
                return
            yield Carried(found.frame_idx, carried, confidence)
