"""Items of the dataset as one batch."""

from collections.abc import Sequence

import torch

from tavlo_pl.data.dataset import Item
from tavlo_pl.types import Batch, Targets


def collate(items: Sequence[Item]) -> Batch:
    """Stacks items; ``targets`` and ``mismatched_waveform`` only where the stage has them."""
    batch = Batch(
        # channels-last in memory, as decoded; the copy to channels-first is cheaper on the model's device
        frames=torch.stack([item.frames.permute(0, 2, 3, 1) for item in items]).permute(0, 1, 4, 2, 3),
        waveform=torch.stack([item.waveform for item in items]),
        frame_time=torch.stack([item.frame_time for item in items]),
        index=torch.tensor([item.index for item in items]),
        sample_id=[item.clip.sample_id for item in items],
        path=[str(item.clip.path) for item in items],
        bad_clips=[bad for item in items for bad in item.bad_clips],
    )
    targets = [item.targets for item in items if item.targets is not None]
    if targets:
        batch["targets"] = _join(targets)
    mismatched = [item.mismatched_waveform for item in items if item.mismatched_waveform is not None]
    if mismatched:
        batch["mismatched_waveform"] = torch.stack(mismatched)
    return batch


def _join(targets: Sequence[Targets]) -> Targets:
    """One ``Targets`` for a batch: row n is the n-th item."""
    counts = torch.tensor([len(part.index) for part in targets])
    return Targets(
        mask=torch.cat([part.mask for part in targets]),
        row=torch.repeat_interleave(torch.arange(len(targets)), counts),
        segment=torch.cat([part.segment for part in targets]),
        next_segment=torch.cat([part.next_segment for part in targets]),
        blend=torch.cat([part.blend for part in targets]),
        index=torch.cat([part.index for part in targets]),
        clip=torch.cat([part.clip for part in targets]),
        scenarios=torch.cat([part.scenarios for part in targets]),
        cross_event=torch.cat([part.cross_event for part in targets]),
        time_s=torch.cat([part.time_s for part in targets]),
        sources=torch.cat([part.sources for part in targets]),
        sample_id=[name for part in targets for name in part.sample_id],
        category=[name for part in targets for name in part.category],
        cue=[name for part in targets for name in part.cue],
    )
