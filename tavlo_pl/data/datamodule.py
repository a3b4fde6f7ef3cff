"""Clips for the Trainer: loaders, the order of clips, spectrograms, and what becomes of unreadable clips.

The Trainer must run with ``use_distributed_sampler=False``: the order of clips is this module's own, so that
it is exact after an interruption and the same for any number of workers.
"""

import csv
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from tavlo_pl.data.clip import ClipSource, LazyClips, fingerprint
from tavlo_pl.data.dataset import ClipDataset, Item, Stage, collate
from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.data.leakage import refuse_overlap
from tavlo_pl.data.media import SAMPLE_RATE_HZ, USUAL, Limits, set_limits
from tavlo_pl.data.spectrogram import WINDOW_SAMPLES, Frequencies, LogMel
from tavlo_pl.data.transforms import NOTHING, Augment
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError, TavloError
from tavlo_pl.types import BadClip, Batch

STAGES: dict[str, tuple[Stage, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
}

log = logging.getLogger(__name__)


class TrainSampler(Sampler[tuple[int, int]]):
    """(epoch, index) of the clips of one process, in an order drawn from (seed, epoch) alone.

    Each process takes every ``world``-th clip of the common order; what does not fill a batch on every
    process is dropped. The length is always that of a whole epoch, as Lightning counts batches from the
    epoch's beginning, also after resuming in the middle.

    Args:
        clips: number of clips.
        batch_size: clips of a batch on one process.
        rank: of this process.
        world: number of processes.
        seed: of the order.
        start: (epoch, batch) to begin with.
        epoch: the epoch now; asked whenever an iteration begins.
    """

    def __init__(
        self,
        clips: int,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
        start: tuple[int, int] = (0, 0),
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self.clips = clips
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.seed = seed
        self.start = start
        self.epoch = epoch

    def __len__(self) -> int:
        return self.clips // (self.world * self.batch_size) * self.batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        # Lightning begins its first iteration before it counts on from a checkpoint that closed an epoch
        first_epoch, first_batch = self.start
        epoch = max(self.epoch(), first_epoch)
        skipped = first_batch * self.batch_size if epoch == first_epoch else 0
        order = np.random.default_rng((self.seed, epoch)).permutation(self.clips)[self.rank :: self.world]
        return iter([(epoch, int(index)) for index in order[skipped : len(self)]])


class ResumableLoader(DataLoader[Item]):
    """A loader that Lightning accepts for going on in the middle of an epoch.

    The position comes from the Trainer's own counters (``resume_position``), which are right even if a batch
    was interrupted after it was fetched. What is kept here only tells whether that position still means the
    same clips.

    Args:
        layout: number of clips, batch size, processes and seed.
        kwargs: of ``DataLoader``.
    """

    def __init__(self, layout: dict[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layout = layout

    def state_dict(self) -> dict[str, int]:
        """The layout, for the checkpoint."""
        return self.layout

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Warns if the interrupted epoch cannot be continued exactly."""
        if state != self.layout:
            log.warning(
                "The interrupted epoch had %s and goes on with %s: some clips come twice or not at all.",
                state,
                self.layout,
            )


def resume_position(trainer: Trainer) -> tuple[int, int]:
    """(epoch, batch) at which the next training batch is to be read, from the Trainer's progress.

    Read after a checkpoint was restored and before its loops tidy their counters (Lightning 2.6.6):
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
    """Every ``world``-th index, from the start again where that makes all processes equally long."""
    padded = -(-clips // world) * world
    return [position % clips for position in range(rank, padded, world)]


class ClipDataModule(LightningDataModule):
    """Training, validation and test clips from any ``ClipSource``, and videos to predict.

    Args:
        train: training clips.
        val: validation clips; without them ``fit`` does not validate.
        test: test clips.
        root: folder, file or pattern of the videos to predict.
        segments: T, segments (and frames) a clip.
        duration_s: length of a clip's span in seconds.
        image_size: height and width of the frames in pixels.
        mask_size: height and width of the ground truth in pixels.
        mel_bands: F, frequency bands of the spectrogram.
        frequencies: ``linear`` leaves the mel scale out: 257 frequencies from 0 Hz to 8 kHz.
        columns_per_segment: spectrogram columns of a segment.
        flip: mirror half of the training clips.
        augment: what else is changed in training clips.
        batch_size: clips of a batch on one process.
        num_workers: processes that read clips.
        on_bad_clip: what an unreadable clip does in validation, test and prediction: end the run with its
            name, or be left out and named in the batch. Training always goes on without it, naming it once.
        max_bad_share: more unreadable training clips than this share of all end the run.
        allow_leak: train although clips of the same videos are validated or tested on.
        limits: what media files may state of themselves; it holds for the whole process.
        seed: of the order of clips and of all draws.

    Attributes:
        left_out: clips that the current stage left out on this process, by index.

    Raises:
        ConfigError: an option out of range, a stage whose clips are not configured, or training clips that are also
            validated or tested on (see ``allow_leak``).
        MediaError: an unreadable clip (see ``on_bad_clip``).
        RunFailedError: too many unreadable training clips (see ``max_bad_share``).
    """

    def __init__(
        self,
        train: ClipSource | None = None,
        val: ClipSource | None = None,
        test: ClipSource | None = None,
        root: str | None = None,
        segments: int = 10,
        duration_s: float = 10.0,
        image_size: int = 224,
        mask_size: int = 224,
        mel_bands: int = 64,
        frequencies: Frequencies = "mel",
        columns_per_segment: int = 100,
        flip: bool = True,
        augment: Augment = NOTHING,
        batch_size: int = 16,
        num_workers: int = 2,
        on_bad_clip: Literal["error", "skip"] = "error",
        max_bad_share: float = 0.05,
        allow_leak: bool = False,
        limits: Limits = USUAL,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("segments", segments),
            ("duration_s", duration_s),
            ("image_size", image_size),
            ("mask_size", mask_size),
            ("mel_bands", mel_bands),
            ("columns_per_segment", columns_per_segment),
            ("batch_size", batch_size),
        ):
            if value <= 0:
                raise ConfigError(f"data.{name} is {value}; it must be positive.")
        if num_workers < 0 or seed < 0:
            raise ConfigError(f"data.num_workers ({num_workers}) and data.seed ({seed}) must not be negative.")
        if not 0 <= max_bad_share <= 1:
            raise ConfigError(f"data.max_bad_share is {max_bad_share}; it must be from 0 to 1.")
        hop_samples = duration_s * SAMPLE_RATE_HZ / (segments * columns_per_segment)
        if hop_samples >= WINDOW_SAMPLES:
            least = int(duration_s * SAMPLE_RATE_HZ / (segments * WINDOW_SAMPLES)) + 1
            raise ConfigError(
                f"data.columns_per_segment is {columns_per_segment}, so sound between columns is lost; "
                f"segments of {duration_s / segments:g} s need at least {least}."
            )
        set_limits(limits)
        self.sources: dict[Stage, ClipSource | None] = {
            "train": train,
            "val": val,
            "test": test,
        }
        self.root = root
        self.segments = segments
        self.duration_s = duration_s
        self.image_size = image_size
        self.mask_size = mask_size
        self.flip = flip
        self.augment = augment
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.on_bad_clip = on_bad_clip
        self.max_bad_share = max_bad_share
        self.allow_leak = allow_leak
        self.seed = seed
        self.log_mel = LogMel(segments, columns_per_segment, mel_bands, frequencies=frequencies)
        self.datasets: dict[Stage, ClipDataset] = {}
        self.left_out: dict[int, BadClip] = {}
        self._named: set[str] = set()

    def setup(self, stage: str) -> None:
        """Reads the lists and annotations of a Trainer's stage: fit, validate or test."""
        self.left_out = {}
        for name in STAGES[stage]:
            source = self.sources[name]
            if source is None and stage == "fit" and name == "val":
                continue
            if source is None:
                raise ConfigError(f"{TrainerFn(stage).value} needs clips: set data.{name}.")
            if name not in self.datasets:
                source.check_spec(self.segments, self.duration_s)
                clips = source.clips()
                self.datasets[name] = ClipDataset(
                    clips,
                    name,
                    segments=self.segments,
                    duration_s=self.duration_s,
                    image_size=self.image_size,
                    mask_size=self.mask_size,
                    flip=self.flip,
                    augment=self.augment,
                    tries=int(self.max_bad_share * len(clips)) + 1,  # that many end the run
                    seed=self.seed,
                )
                log.info("%s: %d clips.", name, len(self.datasets[name].clips))
        if stage == "fit":
            self._check_leak()

    def fingerprints(self) -> dict[str, dict[str, Any]]:
        """Number and sha256 of the clips of each stage that is set up: their names, places in time, sizes of their
        files and annotations, in order; of clips from tables the names alone."""
        return {stage: fingerprint(dataset.clips) for stage, dataset in self.datasets.items()}

    def videos(self) -> list[tuple[str, Path]]:
        """Name and path of each video to predict.

        Raises:
            ConfigError: ``root`` is not set, or two videos would have the same name.
            DatasetNotFoundError: there is no video.
        """
        if self.root is None:
            raise ConfigError("predict needs videos: set data.root to a folder, a file or a quoted pattern.")
        return VideoFolder(self.root).videos()

    def train_dataloader(self) -> DataLoader[Item]:
        """Shuffled, without the last incomplete batch; continues where a restored checkpoint stopped."""
        dataset = self.datasets["train"]
        rank, world = self._rank_and_world()
        trainer = self.trainer
        sampler = TrainSampler(
            len(dataset),
            self.batch_size,
            rank,
            world,
            self.seed,
            start=resume_position(trainer) if trainer is not None else (0, 0),
            epoch=lambda: trainer.current_epoch if trainer is not None else 0,
        )
        if len(sampler) == 0:
            raise ConfigError(
                f"data.batch_size {self.batch_size} on {world} process(es) is more than the {len(dataset)} "
                f"training clips; choose a smaller one."
            )
        layout = {"clips": len(dataset), "batch_size": self.batch_size, "processes": world, "seed": self.seed}
        return ResumableLoader(
            layout,
            dataset=dataset,
            sampler=sampler,
            drop_last=True,
            persistent_workers=self.num_workers > 0,
            **self._loader_options(),
        )

    def val_dataloader(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """In order, each clip on one process; no loader where no validation clips are set."""
        if "val" in self.datasets:
            return self._evaluation_loader("val")
        warnings.filterwarnings("ignore", ".*Total length of `list` across ranks is zero")  # it is meant
        return []

    def test_dataloader(self) -> DataLoader[Item]:
        """In order, each clip on one process; the last index may come twice, for metrics to drop."""
        return self._evaluation_loader("test")

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Reports unreadable clips, here in the main process, where an error keeps its type and its words."""
        bad_clips = batch["bad_clips"]
        if bad_clips and self.trainer is not None:
            if self.trainer.training:
                self._report_training(bad_clips)
            elif self.on_bad_clip == "error":
                raise MediaError(f"{bad_clips[0].reason} (To leave such clips out: --data.on_bad_clip skip)")
            else:
                self._leave_out(bad_clips)
        return batch

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Adds the spectrograms and sets the colours of frames apart in memory, on the batch's device."""
        batch["frames"] = batch["frames"].contiguous()
        log_mel = self.log_mel.to(batch["waveform"].device)
        with torch.no_grad():
            batch["spectrogram"] = log_mel(batch["waveform"])
            if "mismatched_waveform" in batch:
                batch["mismatched_spectrogram"] = log_mel(batch["mismatched_waveform"])
                batch["silence_spectrogram"] = log_mel(torch.zeros_like(batch["waveform"]))
                batch["noise_spectrogram"] = log_mel(_white_noise(batch["waveform"]))
            if self.augment.masks and self.trainer is not None and self.trainer.training:
                batch["spectrogram"] = self._masked(batch["spectrogram"], batch["index"])
        return batch

    def _masked(self, spectrogram: Tensor, index: Tensor) -> Tensor:
        """(B, 1, F, W) spectrograms with stretches and bands masked, drawn from (seed, epoch, index)."""
        assert self.trainer is not None
        keys = [(self.seed, self.trainer.current_epoch, clip, 3) for clip in index.tolist()]
        masked = [
            self.augment.spectrogram(one, self.duration_s, np.random.default_rng(key))
            for one, key in zip(spectrogram, keys, strict=True)
        ]
        return torch.stack(masked)

    def _evaluation_loader(self, stage: Stage) -> DataLoader[Item]:
        dataset = self.datasets[stage]
        order = evaluation_order(len(dataset), *self._rank_and_world())
        return DataLoader(dataset, sampler=order, **self._loader_options())

    def _loader_options(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "num_workers": self.num_workers,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
        }

    def _check_leak(self) -> None:
        """Compares names only, on every process, so that all of them end; a test set may come after training."""
        held_out_stages: tuple[Stage, ...] = ("val", "test")
        train = self._sample_ids("train")
        for stage in held_out_stages:
            try:
                held_out = self._sample_ids(stage)
            except TavloError as error:
                log.warning("Whether data.train holds clips of data.%s could not be checked: %s", stage, error)
            else:
                refuse_overlap(train, held_out, stage, self.allow_leak)

    def _sample_ids(self, stage: Stage) -> list[str]:
        if stage in self.datasets:
            clips = self.datasets[stage].clips
            return clips.sample_ids() if isinstance(clips, LazyClips) else [clip.sample_id for clip in clips]
        source = self.sources[stage]
        return source.sample_ids() if source is not None else []

    def _rank_and_world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _report_training(self, bad_clips: Sequence[BadClip]) -> None:
        fresh = [bad for bad in {bad.sample_id: bad for bad in bad_clips}.values() if bad.sample_id not in self._named]
        for bad in fresh:
            log.warning("Training goes on without %s: %s", bad.sample_id, bad.reason)
        self._named |= {bad.sample_id for bad in fresh}
        listed, clips = self._append(fresh), len(self.datasets["train"])
        if len(self._named) > self.max_bad_share * clips:
            raise RunFailedError(
                f"{len(self._named)} of {clips} training clips cannot be read, more than data.max_bad_share "
                f"{self.max_bad_share:g} allows; the list with reasons: {listed}; the last one: {bad_clips[-1].reason}"
            )

    def _append(self, bad_clips: Sequence[BadClip]) -> Path:
        """Adds clips to ``bad_clips.csv`` in the run's folder, unless they are there already."""
        assert self.trainer is not None
        path = Path(self.trainer.default_root_dir, "bad_clips.csv")
        known: set[str] = set()
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as lines:
                known = {row[0] for row in csv.reader(lines) if row}
        fresh = [bad for bad in bad_clips if bad.sample_id not in known]
        if fresh:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", newline="", encoding="utf-8") as lines:
                header = [] if known else [("sample_id", "reason")]
                csv.writer(lines).writerows(header + [(bad.sample_id, bad.reason) for bad in fresh])
        return path

    def _leave_out(self, bad_clips: Sequence[BadClip]) -> None:
        for bad in bad_clips:
            if bad.index not in self.left_out:
                log.warning("Left out, with %d samples: %s", bad.samples, bad.reason)
            self.left_out[bad.index] = bad


def _white_noise(waveform: Tensor) -> Tensor:
    """(B, L) one noise for all clips, whatever batch they are in, each time as loud as the clip's own sound."""
    noise = torch.randn(waveform.shape[-1], generator=torch.Generator().manual_seed(0)).to(waveform.device)
    return noise * waveform.square().mean(-1, keepdim=True).sqrt()
