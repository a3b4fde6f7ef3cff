"""Clips for the Trainer: datasets, loaders, spectrograms, and the report of clips that cannot be read.

The Trainer must run with ``use_distributed_sampler=False``: the samplers of this module reproduce the order of clips
after an interruption and for any number of workers.
"""

import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from tavlo_pl import env
from tavlo_pl.data.annotations import original_size
from tavlo_pl.data.bad_clips import DEFAULT_POLICY, BadClipPolicy, BadClipReporter
from tavlo_pl.data.clip import Clip, ClipSource, LazyClips, fingerprint, training_groups
from tavlo_pl.data.clip_spec import DEFAULT_CLIP, ClipSpec
from tavlo_pl.data.collate import collate
from tavlo_pl.data.dataset import ClipDataset, Item
from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.data.leakage import check_leakage
from tavlo_pl.data.media import DEFAULT_LIMITS, SAMPLE_RATE_HZ, Limits, set_limits
from tavlo_pl.data.mismatched import add_mismatched_spectrograms
from tavlo_pl.data.sampling import ResumableLoader, TrainBatches, evaluation_order, resume_position
from tavlo_pl.data.transforms import DEFAULT_AUGMENT, Augment
from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.protocols import AVATAR, PROTOCOLS, VALIDATION, Size
from tavlo_pl.types import Batch, Stage

STAGES: dict[str, tuple[Stage, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
}

log = logging.getLogger(__name__)


class ClipDataModule(LightningDataModule):
    """Training, validation and test clips from any ``ClipSource``, and videos to predict.

    Args:
        train: training clips.
        val: validation clips; without them ``fit`` does not validate.
        test: test clips.
        root: folder, file or glob pattern of the videos to predict, or its address in object storage, or a list of
            them.
        clip: the clip format; it is stored with checkpoints and used by prediction too.
        augment: the transforms of training clips.
        batch_size: clips of a batch on one process.
        num_workers: processes that read clips.
        bad_clips: what happens to clips that cannot be read.
        allow_leak: train although clips of the same videos are in the validation or test set.
        limits: upper limits of what media files may declare; they apply to the whole process.
        seed: of the order of clips and of all draws; None takes the run's seed (``seed_everything``).

    Attributes:
        audio_transform: makes the audio of a batch of waveforms: a spectrogram, or columns of samples.
        datasets: the datasets that are set up, by stage.
        reporter: the bad clips so far.
        test_protocol: how the test clips are evaluated; by default as the test set states.

    Raises:
        ConfigError: an option out of range, a stage without clips, or training clips that are also in the validation
            or test set (see ``allow_leak``).
        MediaError: a clip cannot be read (see ``bad_clips``).
        RunFailedError: too many training clips cannot be read (see ``bad_clips``).
    """

    def __init__(
        self,
        train: ClipSource | None = None,
        val: ClipSource | None = None,
        test: ClipSource | None = None,
        root: str | list[str] | None = None,
        clip: ClipSpec = DEFAULT_CLIP,
        augment: Augment = DEFAULT_AUGMENT,
        batch_size: int = 16,
        num_workers: int = 2,
        bad_clips: BadClipPolicy = DEFAULT_POLICY,
        allow_leak: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if batch_size <= 0:
            raise ConfigError(f"data.batch_size is {batch_size}; it must be positive.")
        seed = env.run_seed() if seed is None else seed
        if num_workers < 0 or seed < 0:
            raise ConfigError(f"data.num_workers ({num_workers}) and data.seed ({seed}) must not be negative.")
        set_limits(limits)
        self.sources: dict[Stage, ClipSource | None] = {
            "train": train,
            "val": val,
            "test": test,
        }
        self.root = root
        self.clip = clip
        self.train_segments, self.train_clip = augment.training_clip(clip)
        self.augment = augment
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.bad_clips = bad_clips
        self.allow_leak = allow_leak
        self.seed = seed
        if augment.has_masks and clip.frequencies == "none":
            raise ConfigError("data.augment.mask_time_s and mask_bands need spectrograms, not frequencies none")
        self.audio_transforms = {transform_key(spec): spec.audio_transform() for spec in (self.train_clip, clip)}
        self.audio_transform = self.audio_transforms[transform_key(clip)]
        self.datasets: dict[Stage, ClipDataset] = {}
        self._clips: dict[Stage, Sequence[Clip]] = {}
        self.test_protocol = PROTOCOLS[test.protocol] if test is not None else AVATAR
        self.reporter = BadClipReporter(bad_clips)

    @override
    def setup(self, stage: str) -> None:
        """Reads the lists and annotations of a Trainer's stage: fit, validate or test."""
        self.reporter.left_out = {}
        for name, clips in self.read_clips(stage).items():
            if name not in self.datasets:
                tries = self.bad_clips.max_tries(len(clips))
                protocol = self.test_protocol if name == "test" else VALIDATION
                spec = self.train_clip if name == "train" else self.clip
                self.datasets[name] = ClipDataset(
                    clips, name, spec, self.augment, tries, self.seed, protocol, self.train_segments
                )
                log.info("%s: %d clips.", name, len(clips))
        if stage == "fit":
            check_leakage(self._sample_ids, ("val", "test"), allowed=self.allow_leak)

    def read_clips(self, stage: str) -> dict[Stage, Sequence[Clip]]:
        """Reads the lists and annotations of a Trainer's stage, each once, and opens no media.

        Args:
            stage: fit, validate or test.

        Raises:
            ConfigError: the stage has no clips, or they do not support the clip format.
            DatasetNotFoundError: clips are missing.
            AnnotationError: a list or an annotation cannot be read.
        """
        for name in STAGES[stage]:
            source = self.sources[name]
            if source is None and stage == "fit" and name == "val":
                continue
            if source is None:
                raise ConfigError(
                    f"{TrainerFn(stage).value} needs clips: set data.{name}, for example --data.{name} "
                    f"tavlo_pl.data.datasets.AVATAR --data.{name}.init_args.root DIR (a checkpoint outside of its run "
                    "folder names none)."
                )
            if name not in self._clips:
                parts = self.train_segments if name == "train" else self.clip.segments
                source.check_spec(parts, self.clip.duration_s)
                self._clips[name] = source.clips()
        return {name: self._clips[name] for name in STAGES[stage] if name in self._clips}

    def fingerprints(self) -> dict[str, dict[str, Any]]:
        """Number and sha256 of the clips of each stage that is set up; see ``clip.fingerprint``."""
        return {stage: fingerprint(dataset.clips) for stage, dataset in self.datasets.items()}

    def test_frame_size(self) -> Size:
        """(height, width) of the annotated test frames in pixels.

        Raises:
            ConfigError: there are no test clips, or their frames have several sizes.
        """
        source = self.sources["test"]
        if source is None:
            raise ConfigError("--size original needs test clips: set data.test.")
        return original_size(frame for clip in source.clips() for frame in clip.annotations)

    def video_folder(self, out: str | Path | None = None) -> VideoFolder:
        """The videos to predict.

        Args:
            out: output folder or its address, whose videos are left out.

        Raises:
            ConfigError: ``root`` is not set.
        """
        if not self.root:
            raise ConfigError("predict needs videos: tavlo predict VIDEO..., with files, folders or quoted patterns.")
        return VideoFolder(self.root, out)

    @override
    def train_dataloader(self) -> DataLoader[Item]:
        """Shuffled, without the last incomplete batch; continues at the position of a restored checkpoint."""
        dataset = self.datasets["train"]
        rank, world = self._rank_and_world()
        trainer = self.trainer
        groups = []
        for clips, segments in training_groups(dataset.clips):
            spec = dataset.training_spec(segments)
            self.audio_transforms[transform_key(spec)] = spec.audio_transform()
            groups.append((clips, self.batch_size * self.train_clip.segments // spec.segments))
            if clips < world * groups[-1][1]:
                raise ConfigError(
                    f"data.batch_size {self.batch_size} on {world} process(es) takes {world * groups[-1][1]} clips of "
                    f"{spec.segments} segments, more than the {clips} training clips; choose a smaller one."
                )
        batches = TrainBatches(
            groups,
            rank,
            world,
            self.seed,
            start=resume_position(trainer) if trainer is not None else (0, 0),
            epoch=lambda: trainer.current_epoch if trainer is not None else 0,
        )
        layout = {"clips": len(dataset), "batch_size": self.batch_size, "processes": world, "seed": self.seed}
        return ResumableLoader(
            layout,
            dataset=dataset,
            batch_sampler=batches,
            persistent_workers=self.num_workers > 0,
            **self._loader_options(),
        )

    @override
    def val_dataloader(self) -> DataLoader[Item] | list[DataLoader[Item]]:
        """In order, each clip on one process; no loader where no validation clips are set."""
        if "val" in self.datasets:
            return self._evaluation_loader("val")
        warnings.filterwarnings("ignore", ".*Total length of `list` across ranks is zero")  # intended here
        return []

    @override
    def test_dataloader(self) -> DataLoader[Item]:
        """In order, each clip on one process; metrics drop the indices that come twice at the end."""
        return self._evaluation_loader("test")

    @override
    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Reports bad clips in the main process, where an error keeps its type and its message."""
        bad_clips = batch["bad_clips"]
        if bad_clips and self.trainer is not None:
            if self.trainer.training:
                folder = Path(self.trainer.default_root_dir)
                self.reporter.report_training(bad_clips, len(self.datasets["train"]), folder)
            else:
                self.reporter.report_evaluation(bad_clips)
        return batch

    @override
    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Adds the spectrograms and makes the frames contiguous, on the batch's device."""
        batch["frames"] = batch["frames"].contiguous()
        transform = self.audio_transforms[batch["frames"].shape[1], batch["waveform"].shape[-1]]
        audio_transform = transform.to(batch["waveform"].device)
        with torch.no_grad():
            batch["spectrogram"] = audio_transform(batch["waveform"])
            if "mismatched_waveform" in batch:
                add_mismatched_spectrograms(batch, audio_transform)
            if self.augment.has_masks and self.trainer is not None and self.trainer.training:
                epoch = self.trainer.current_epoch
                duration_s = batch["waveform"].shape[-1] / SAMPLE_RATE_HZ
                batch["spectrogram"] = self._masked(batch["spectrogram"], duration_s, batch["index"], epoch)
        return batch

    def _masked(self, spectrogram: Tensor, duration_s: float, index: Tensor, epoch: int) -> Tensor:
        """(B, 1, F, W) spectrograms with time spans and bands masked, drawn from (seed, epoch, index)."""
        keys = [(self.seed, epoch, clip, 3) for clip in index.tolist()]
        masked = [
            self.augment.mask_spectrogram(one, duration_s, np.random.default_rng(key))
            for one, key in zip(spectrogram, keys, strict=True)
        ]
        return torch.stack(masked)

    def _evaluation_loader(self, stage: Stage) -> DataLoader[Item]:
        dataset = self.datasets[stage]
        order = evaluation_order(len(dataset), *self._rank_and_world())
        return DataLoader(dataset, self.batch_size, sampler=order, **self._loader_options())

    def _loader_options(self) -> dict[str, Any]:
        return {
            "num_workers": self.num_workers,
            "collate_fn": collate,
            "pin_memory": torch.cuda.is_available(),
        }

    def _sample_ids(self, stage: Stage) -> Iterable[str]:
        if stage in self.datasets:
            clips = self.datasets[stage].clips
            return clips.sample_ids() if isinstance(clips, LazyClips) else [clip.sample_id for clip in clips]
        source = self.sources[stage]
        return source.sample_ids() if source is not None else []

    def _rank_and_world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)


def transform_key(spec: ClipSpec) -> tuple[int, int]:
    """Segments and samples of a clip, by which a batch finds the transform of its audio."""
    return spec.segments, spec.samples
