"""The LightningModule that every localizer shares: steps, metrics, optimiser. A model adds its map and its loss."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.sounding_threshold import SoundingThreshold
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.types import Batch, Scenario

Recipe = Literal["adamw_cosine", "adam"]

PRIMARY_RULE = "top_tenth"
"""The threshold rule of the scalars that are logged; all rules stand in the results."""


UNANNOTATED = 2**40
"""Indices from here on are maps of frames that are no samples."""


class AVLocalizer(LightningModule, ABC):
    """Which pixels make the sound? Base of all models.

    A subclass implements ``localize`` and ``training_loss``; it knows the batch contract of ``tavlo_pl.types`` and
    nothing of files, datasets or the command line.

    Args:
        lr: peak learning rate.
        weight_decay: of AdamW, on weights with two or more dimensions only; of Adam, added to the gradient of all.
        warmup: share of all steps in which the learning rate rises from zero; then it falls along a cosine.
        recipe: ``adamw_cosine``, or ``adam`` with a constant learning rate and no warm-up, as the image-level peers
            were published.
    """

    def __init__(
        self,
        lr: float = 1e-4,
        weight_decay: float = 0.01,
        warmup: float = 0.05,
        recipe: Recipe = "adamw_cosine",
    ) -> None:
        super().__init__()
        self.lr, self.weight_decay, self.warmup = lr, weight_decay, warmup
        self.recipe: Recipe = recipe
        self.val_suite = LocalizationSuite(rules=(PRIMARY_RULE,), baselines=False)
        self.test_suite = LocalizationSuite()
        self.val_threshold = SoundingThreshold()
        self.threshold: float | None = None

    @abstractmethod
    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """Scores every cell of every frame for the sound of its segment.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            (B, T, h, w) raw scores in [-1, 1].
        """

    def localize_each(self, frames: Tensor, spectrograms: Sequence[Tensor]) -> list[Tensor]:
        """`localize` of the same frames for several sounds; a model that need not look anew for each may look once."""
        return [self.localize(frames, spectrogram) for spectrogram in spectrograms]

    @abstractmethod
    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        """The objective.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            Scalars by name; ``loss`` is what is minimised, the others are logged beside it.
        """

    def temporal_attention(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        """Which moments each token takes from, in every block.

        Args:
            frames: (B, T, 3, H, W) uint8.
            spectrogram: (B, 1, F, W) log-mel.

        Returns:
            (B, L, 1 + hw, T, T): row t holds how much the token takes at segment t from each of the T segments, and
            sums to 1; mean over the heads. Token 0 is the sound's, the others are the cells in reading order.

        Raises:
            ConfigError: the model has no temporal attention.
        """
        raise ConfigError(f"{type(self).__name__} as configured has no temporal attention to look at")

    def forward(self, batch: Batch) -> Tensor:
        """(B, T, h, w) raw scores in [-1, 1] of a batch."""
        return self.localize(batch["frames"], batch["spectrogram"])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step.

        Raises:
            ConfigError: the batch has one clip, and nothing to tell it from.
        """
        if len(batch["index"]) < 2:
            raise ConfigError("training contrasts clips of a batch with each other: set data.batch_size to 2 or more")
        torch.manual_seed(self.global_step * self.trainer.world_size + self.global_rank)  # dropout, when a run goes on
        scalars = self.training_loss(batch["frames"], batch["spectrogram"])
        for name, value in scalars.items():
            self.log(f"train/{name}", value, prog_bar=name == "loss", batch_size=len(batch["index"]))
        return scalars["loss"]

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Loss, and the localization metrics where clips are annotated."""
        size = len(batch["index"])
        if size > 1:
            loss = self.training_loss(batch["frames"], batch["spectrogram"])["loss"]
            self.log("val/loss", loss, prog_bar=True, batch_size=size, sync_dist=True)
        heatmap = self(batch)
        if "targets" in batch:
            self.val_suite.update({"model": heatmap}, batch["targets"])
        self.val_threshold.update(*_with_source(heatmap, batch))
        return {"heatmap": heatmap}

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of all annotated validation samples, and of each scenario; finds the threshold."""
        self.threshold = self.val_threshold.compute()
        self.val_threshold.reset()
        self._log_suite(self.val_suite, "val")
        self.val_suite.reset()

    def on_test_epoch_start(self) -> None:
        """Forgets what an earlier test has counted."""
        self.test_suite.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor] | None:
        """The maps for the clip's own sound and for wrong ones: of another clip, silence, white noise."""
        if batch.get("bad_clips"):
            self.test_suite.update_left_out(batch["bad_clips"])
        if "targets" not in batch:
            return None
        maps = {"model": self(batch)}
        wrong: dict[str, Tensor] = {}
        if "mismatched_spectrogram" in batch:
            sounds = [batch["mismatched_spectrogram"], batch["silence_spectrogram"], batch["noise_spectrogram"]]
            found = self.localize_each(batch["frames"], sounds)
            maps["mismatched_audio"], wrong["silence"], wrong["white_noise"] = found
        self.test_suite.update(maps, batch["targets"], wrong)
        return {"heatmap": maps["model"]}

    def on_test_epoch_end(self) -> None:
        """Logs every scenario; the suite itself is kept for the results callback."""
        self._log_suite(self.test_suite, "test")

    def configure_optimizers(self) -> Any:
        """AdamW with a linear warm-up and a cosine to zero, stepped every batch; or what ``recipe`` says."""
        if self.recipe == "adam":
            trained = [p for p in self.parameters() if p.requires_grad]
            return torch.optim.Adam(trained, lr=self.lr, weight_decay=self.weight_decay)
        decayed = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        # Lightning refuses to clip gradients for a fused optimiser in mixed precision
        fused = None if "mixed" in str(self.trainer.precision) else True
        optimizer = torch.optim.AdamW(groups, lr=self.lr, fused=fused)
        total = max(1, int(self.trainer.estimated_stepping_batches))
        rise = max(1, round(self.warmup * total))

        def share(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, share), "interval": "step"}}

    def _log_suite(self, suite: LocalizationSuite, stage: str) -> None:
        for scenario, table in suite.compute()["scenarios"].items():
            prefix = stage if (stage, scenario) == ("val", "on_screen") else f"{stage}/{scenario}"
            rules = table["rows"]["model"]
            scores = rules.get(PRIMARY_RULE) or next(iter(rules.values()))
            for name, value in scores.items():
                if not isinstance(value, list):
                    self.log(
                        f"{prefix}/{name}",
                        value,
                        prog_bar=prefix == "val" and name == "ciou_mean",
                        rank_zero_only=False,
                    )


def _with_source(heatmap: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(N, h, w) maps of annotated frames with a visible source and their (N,) indices; without annotations all maps."""
    targets = batch.get("targets")
    if targets is not None and len(targets.index):
        seen = targets.scenario != Scenario.OFF_SCREEN.id
        return heatmap[targets.row[seen], targets.segment[seen]], targets.index[seen]
    bad = [clip.index for clip in batch.get("bad_clips", [])]
    kept = ~torch.isin(batch["index"], torch.tensor(bad, dtype=torch.int64, device=batch["index"].device))
    segments = heatmap.shape[1]
    index = UNANNOTATED + batch["index"][kept, None] * segments + torch.arange(segments, device=batch["index"].device)
    return heatmap[kept].flatten(0, 1), index.flatten()
