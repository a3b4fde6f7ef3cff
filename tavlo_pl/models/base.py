"""The LightningModule that all localizers share: steps, metrics and the default optimizer."""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import Tensor
from typing_extensions import override

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.protocols import AVATAR, VALIDATION, Protocol
from tavlo_pl.metrics.sounding_threshold import SoundingThreshold
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.models.optimizers import WarmupCosine
from tavlo_pl.nn.pretrained.training import random_parts
from tavlo_pl.types import Batch

UNANNOTATED = 2**40
"""Offset of the indices of maps without annotations."""

TRAINING_DRAWS, VALIDATION_DRAWS = 0, 1
"""First number of the seed of a step's random numbers."""

WITHOUT_FLOAT64 = ("mps",)
"""Types of devices that have no float64, in which metrics count: they get the maps on the CPU."""

DEVICE_INPUTS = ("frames", "waveform", "mismatched_waveform")
"""What of a batch such a device gets."""

WITHOUT_FILES: dict[str, Any] = {
    "init_from": None,
    "weights": "none",
    "cache": None,
    "only_local": True,
    "compile": None,
}
"""Value of each argument of a model or encoder that otherwise reads or writes files, connects or starts processes."""


class AVLocalizer(LightningModule, ABC):
    """Base of all models: scores every cell of every frame for the audio of its segment.

    A subclass implements `localize` and `training_loss`. It depends on the batch contract of ``tavlo_pl.types`` only,
    not on files, datasets or the command line.

    Optimizer and schedule are ``--optimizer`` and ``--lr_scheduler`` of LightningCLI; without them, AdamW with
    `WarmupCosine`. Models instantiated by LightningCLI save their arguments in the checkpoint, so that
    ``Model.load_from_checkpoint(path)`` needs no others. Models instantiated in Python do not, since encoders are
    arguments: pass the same arguments to ``load_from_checkpoint``.

    Attributes:
        is_video_level: whether the map of a frame depends on other frames. A protocol that interpolates maps in time
            shows the annotated frame itself to other models, as the evaluator of AVATAR does.
        test_suite: the metrics of a test; a protocol other than AVATAR's is set by `set_test_protocol`.
    """

    is_video_level: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        if _given_hyperparameters.get() is not None:  # LightningCLI instantiates the model from plain values
            self.save_hyperparameters(logger=False)
            remove_downloads(self.hparams)
        self.val_suite = LocalizationSuite(VALIDATION, baselines=False)
        self.test_suite = LocalizationSuite(AVATAR)
        self.val_threshold = SoundingThreshold()
        self.threshold: float | None = None
        self.run_seed = 0

    def set_test_protocol(self, protocol: Protocol) -> None:
        """Sets how the test is evaluated; the data module must have the same protocol."""
        self.test_suite = LocalizationSuite(protocol)

    @abstractmethod
    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """Scores every cell of every frame for the audio of its segment.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            (B, T, h, w) raw scores in [-1, 1].
        """

    def localize_each(self, frames: Tensor, spectrograms: Sequence[Tensor]) -> list[Tensor]:
        """`localize` of the same frames for several spectrograms; a subclass may encode the frames once."""
        return [self.localize(frames, spectrogram) for spectrogram in spectrograms]

    @abstractmethod
    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """The objective.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            Scalars by name; ``loss`` is minimised, the others are logged.
        """

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:  # noqa: ARG002  # used by subclasses
        """Weights of temporal attention in every block.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            (B, L, 1 + hw, T, T): row t holds the weights of the T segments in the output of segment t, and sums to 1;
            mean over the heads. Token 0 is the audio token, the others are the cells in reading order.

        Raises:
            ConfigError: the model has no temporal attention.
        """
        raise ConfigError(f"{type(self).__name__} as configured has no temporal attention")

    @property
    def sound_names(self) -> tuple[str, ...]:
        """Names of the C classes of sounds; empty for a model whose audio encoder tells no classes."""
        return ()

    def frame_features(self, frames: Tensor) -> Tensor:
        """What `localize_windows` needs of (N, 3, H, W) uint8 frames, (N, ...): here the frames themselves.

        A subclass may encode them, each for itself, so that windows that share frames share the time that it takes.
        """
        return frames

    def localize_windows(self, features: Tensor, windows: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """`localize` and the classes of sounds for overlapping windows.

        Args:
            features: (N, ...) `frame_features` of the frames of all windows.
            windows: (B, T) int64, which of them a window has.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            (B, T, h, w) raw scores, and (B, T, C) scores of `sound_names` in each segment, each in 0..1.
        """
        return self.localize(features[windows], spectrogram), spectrogram.new_zeros(*windows.shape, 0)

    def random_encoders(self) -> list[str]:
        """Names of the frozen encoders that were made with random weights, which a checkpoint may have replaced."""
        return random_parts(self)

    def forward(self, batch: Batch) -> Tensor:
        """(B, T, h, w) raw scores in [-1, 1] of a batch."""
        return self.localize(batch["frames"], batch["spectrogram"])

    def on_fit_start(self) -> None:
        """Stores the seed of the run, from which the random numbers of every step derive."""
        self.run_seed = torch.initial_seed()

    @override
    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Moves a batch; to a device without float64 only what the model takes, the rest stays on the CPU."""
        if device.type not in WITHOUT_FLOAT64:
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        return batch | {name: batch[name].to(device) for name in DEVICE_INPUTS if name in batch}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; its random numbers (dropout, shifts, noise) depend on (seed, step, micro-batch, rank) alone.

        Raises:
            ConfigError: the batch has one clip, so there are no negatives.
        """
        if len(batch["index"]) < 2:
            raise ConfigError("training contrasts clips of a batch with each other: set data.batch_size to 2 or more")
        seed_draws(TRAINING_DRAWS, self.run_seed, self.global_step, batch_idx, self.global_rank)
        scalars = self.training_loss(batch["frames"], batch["spectrogram"])
        for name, value in scalars.items():
            self.log(f"train/{name}", value, prog_bar=name == "loss", batch_size=len(batch["index"]))
        return scalars["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Loss, and localization metrics of annotated clips; the random numbers are the same in every epoch."""
        size = len(batch["index"])
        if size > 1:
            seed_draws(VALIDATION_DRAWS, self.run_seed, 0, batch_idx, self.global_rank)
            loss = self.training_loss(batch["frames"], batch["spectrogram"])["loss"]
            self.log("val/loss", loss, prog_bar=True, batch_size=size, sync_dist=True)
        heatmap = for_metrics(self(batch))
        if "targets" in batch:
            self.val_suite.update({"model": heatmap}, batch["targets"])
        self.val_threshold.update(*_with_source(heatmap, batch))
        return {"heatmap": heatmap}

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of all annotated samples and of each scenario; computes the threshold."""
        self.threshold = self.val_threshold.compute()
        self.val_threshold.reset()
        self._log_suite(self.val_suite, "val")
        self.val_suite.reset()

    def on_test_epoch_start(self) -> None:
        """Resets the metrics of an earlier test."""
        self.test_suite.reset()

    @override
    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor] | None:
        """Maps of the clip's own audio and of mismatched audio: another clip's, silence and white noise."""
        if batch.get("bad_clips"):
            self.test_suite.update_left_out(batch["bad_clips"])
        if "targets" not in batch:
            return None
        maps = {"model": for_metrics(self(batch))}
        mismatched: dict[str, Tensor] = {}
        if "mismatched_spectrogram" in batch:
            spectrograms = [batch["mismatched_spectrogram"], batch["silence_spectrogram"], batch["noise_spectrogram"]]
            found = [for_metrics(each) for each in self.localize_each(batch["frames"], spectrograms)]
            maps["mismatched_audio"], mismatched["silence"], mismatched["white_noise"] = found
        self.test_suite.update(maps, batch["targets"], mismatched)
        return {"heatmap": maps["model"]}

    def on_test_epoch_end(self) -> None:
        """Logs every scenario; the results callback reads the suite itself."""
        self._log_suite(self.test_suite, "test")

    def configure_optimizers(self) -> Any:
        """AdamW (learning rate 1e-4, weight decay 0.01) with `WarmupCosine`, stepped every batch."""
        optimizer = torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), lr=1e-4, weight_decay=0.01)
        scheduler = WarmupCosine(optimizer)
        scheduler.set_total_steps(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _log_suite(self, suite: LocalizationSuite, stage: str) -> None:
        for scenario, table in suite.compute()["scenarios"].items():
            prefix = stage if (stage, scenario) == ("val", "on_screen") else f"{stage}/{scenario}"
            rules = table["rows"]["model"]
            scores = rules.get(suite.protocol.rules[0]) or next(iter(rules.values()))
            for name, value in scores.items():
                if not isinstance(value, list):
                    self.log(
                        f"{prefix}/{name}",
                        value,
                        prog_bar=prefix == "val" and name == "ciou_mean",
                        rank_zero_only=False,
                    )


def for_metrics(maps: Tensor) -> Tensor:
    """The maps, on the CPU if their device has no float64."""
    return maps.cpu() if maps.device.type in WITHOUT_FLOAT64 else maps


def remove_downloads(arguments: MutableMapping[str, Any]) -> None:
    """Removes the sources of initial weights from a model's arguments, and what else uses files or other processes.

    Loading a checkpoint then needs no other file, downloads no weights, and compiles nothing.

    Args:
        arguments: of the model, with those of its encoders as ``class_path`` and ``init_args``; changed in place.
    """
    arguments.update({name: value for name, value in WITHOUT_FILES.items() if name in arguments})
    for name, value in arguments.items():
        if isinstance(value, dict):
            changed = deepcopy(value)
            remove_downloads(changed.get("init_args") or {})
            arguments[name] = changed


def seed_draws(*numbers: int) -> None:
    """Seeds torch's generators from several numbers; different numbers give independent random numbers."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1)


def _with_source(heatmap: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(N, h, w) maps of annotated frames with a visible source, or all maps without annotations; and (N,) indices."""
    targets = batch.get("targets")
    if targets is not None and len(targets.index):
        visible = targets.on_screen
        return targets.maps_of(heatmap)[visible], targets.index[visible]
    bad = [clip.index for clip in batch.get("bad_clips", [])]
    kept = ~torch.isin(batch["index"], torch.tensor(bad, dtype=torch.int64, device=batch["index"].device))
    segments = heatmap.shape[1]
    index = UNANNOTATED + batch["index"][kept, None] * segments + torch.arange(segments, device=batch["index"].device)
    return heatmap[kept].flatten(0, 1), index.flatten()
