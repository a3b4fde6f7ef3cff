"""The order of clips: reproducible from (seed, epoch), shared by processes, resumable in the middle of an epoch."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Sampler

from tavlo_pl.data.dataset import Item

log = logging.getLogger(__name__)


class TrainBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) of the clips of one process, in an order drawn from (seed, epoch) only.

    Each process takes every ``world``-th clip of the common order; clips that do not fill a batch on every process
    are dropped. The length is that of a whole epoch, also after resuming in the middle of one, because Lightning
    counts batches from the start of the epoch.

    Args:
        groups: (number of clips, clips of a batch on one process) of consecutive clips; a batch has clips of one group.
            Batches of several groups come in random order.
        rank: of this process.
        world: number of processes.
        seed: of the order.
        start: (epoch, batch) of the first iteration.
        epoch: returns the current epoch; called at the start of each iteration.
    """

    def __init__(
        self,
        groups: Sequence[tuple[int, int]],
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        start: tuple[int, int] = (0, 0),
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.groups = groups
        self.rank = rank
        self.world = world
        self.seed = seed
        self.start = start
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(clips // (self.world * size) for clips, size in self.groups)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        # Lightning starts its first iteration before it increments the epoch of a checkpoint from an epoch's end
        first_epoch, first_batch = self.start
        epoch = max(self.epoch(), first_epoch)
        rng = np.random.default_rng((self.seed, epoch))
        batches: list[list[tuple[int, int]]] = []
        offset = 0
        for clips, size in self.groups:
            order = offset + rng.permutation(clips)[self.rank :: self.world]
            whole = clips // (self.world * size)
            batches += [[(epoch, int(index)) for index in order[at * size : (at + 1) * size]] for at in range(whole)]
            offset += clips
        if len(self.groups) > 1:
            batches = [batches[number] for number in rng.permutation(len(batches))]
        return iter(batches[first_batch if epoch == first_epoch else 0 :])


class ResumableLoader(DataLoader[Item]):
    """A loader that Lightning accepts for resuming in the middle of an epoch.

    The position comes from the Trainer's counters (``resume_position``), which are right even if a batch was
    interrupted after it was fetched. The state only records whether that position still means the same clips.

    Args:
        layout: number of clips, batch size, processes and seed.
        kwargs: of ``DataLoader``.
    """

    def __init__(self, layout: dict[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layout = layout

    def state_dict(self) -> dict[str, int]:
        """Returns the layout, for the checkpoint."""
        return self.layout

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Warns if the interrupted epoch cannot be continued exactly."""
        if state != self.layout:
            log.warning(
                "The interrupted epoch had %s and resumes with %s: some clips come twice or not at all.",
                state,
                self.layout,
            )


def resume_position(trainer: Trainer) -> tuple[int, int]:
    """(epoch, batch) of the next training batch, from the Trainer's progress.

    It is read after a checkpoint was restored and before the loops reset their counters (Lightning 2.6.6):
    ``processed`` is the number of finished epochs, and of batches whose step is done.
    """
    epoch: Any = trainer.fit_loop.epoch_progress.current  # Any: Lightning annotates the counters' base class
    batch: Any = trainer.fit_loop.epoch_loop.batch_progress
    if epoch.started == epoch.processed:  # between epochs, where the batch counters are those of the last one
        return epoch.processed, 0
    if batch.is_last_batch and batch.current.processed == batch.current.ready:
        return epoch.processed + 1, 0
    return epoch.processed, batch.current.processed


def evaluation_order(clips: int, rank: int, world: int) -> list[int]:
    """Indices of one process: every ``world``-th one, continued from index 0 until all processes have equally many."""
    padded = -(-clips // world) * world
    return [position % clips for position in range(rank, padded, world)]
