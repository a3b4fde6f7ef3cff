"""Steps, schedule and metrics of the base class."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.functional.pooled import universal_threshold
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME
from tavlo_pl.models.base import (
    TRAINING_DRAWS,
    VALIDATION_DRAWS,
    AVLocalizer,
    _with_source,
    for_metrics,
    remove_downloads,
    seed_draws,
)
from tavlo_pl.types import Batch, Scenario, Targets
from tests.helpers.suite import flags


class Brightness(AVLocalizer):
    """The score is the brightness, multiplied by the only weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1))

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        return frames.float().mean(2) / 255 * self.weight

    def training_loss(self, frames: Tensor, spectrogram: Tensor) -> dict[str, Tensor]:
        return {"loss": self.weight.square().sum()}


class FakeTrainer:
    estimated_stepping_batches = 10


def annotated_batch() -> Batch:
    frames = torch.zeros(2, 3, 3, 8, 8, dtype=torch.uint8)
    mask = torch.zeros(2, 224, 224, dtype=torch.bool)
    frames[:, 1, :, :2, :4] = 255
    mask[:, :56, :112] = True
    number = torch.arange(2)
    targets = Targets(
        mask, number, torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64), torch.zeros(2), number,
        number, flags(Scenario.SINGLE_SOUND, Scenario.SINGLE_SOUND), torch.zeros(2, dtype=torch.bool),
        torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.int64), ["a/1/s", "b/1/s"], ["x", "y"], ["", ""],
    )  # fmt: skip
    return {
        "frames": frames, "waveform": torch.zeros(2, 8), "spectrogram": torch.zeros(2, 1, 4, 6),
        "frame_time": torch.zeros(2, 3), "index": number, "sample_id": ["a", "b"],
        "path": ["a.mp4", "b.mp4"], "targets": targets,
    }  # fmt: skip


def test_default_optimizer_is_adamw_with_warmup_cosine() -> None:
    model = Brightness()
    model._trainer = FakeTrainer()  # type: ignore[assignment]
    made = model.configure_optimizers()
    assert type(made["optimizer"]) is torch.optim.AdamW
    assert made["optimizer"].defaults["lr"] == 1e-4 and made["optimizer"].defaults["weight_decay"] == 0.01
    schedule = made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    assert schedule.total_steps == 10 and schedule.get_last_lr() == [1e-4]


def test_seed_draws_depends_on_every_number() -> None:
    def draw(*numbers: int) -> float:
        seed_draws(*numbers)
        return torch.rand(()).item()

    base = (TRAINING_DRAWS, 0, 3, 2, 0)
    assert draw(*base) == draw(*base)
    others = [
        (VALIDATION_DRAWS, 0, 3, 2, 0),
        (TRAINING_DRAWS, 1, 3, 2, 0),
        (TRAINING_DRAWS, 0, 4, 2, 0),
        (TRAINING_DRAWS, 0, 3, 1, 0),
    ]
    assert len({draw(*numbers) for numbers in [base, *others, (TRAINING_DRAWS, 0, 3, 2, 1)]}) == 6


def test_training_step_rejects_a_batch_of_one_clip() -> None:
    batch = annotated_batch()
    batch["index"] = batch["index"][:1]
    with pytest.raises(ConfigError, match="batch_size to 2 or more"):
        Brightness().training_step(batch, 0)


def test_test_step_measures_own_and_mismatched_audio() -> None:
    model, batch = Brightness(), annotated_batch()
    model.set_test_protocol(AVATAR_PER_FRAME)
    batch["mismatched_spectrogram"] = batch["silence_spectrogram"] = batch["noise_spectrogram"] = torch.ones(2, 1, 4, 6)
    model.test_step(batch, 0)
    report = model.test_suite.compute()
    on_screen = report["scenarios"]["on_screen"]["rows"]
    assert [row for row, rules in on_screen.items() if any("pia" in figures for figures in rules.values())] == [
        "mismatched_audio",
        "silence",
        "white_noise",
    ]
    rows = report["scenarios"]["single_sound"]["rows"]
    assert rows["model"]["adaptive"]["ciou_mean"] > 0.8
    assert rows["mismatched_audio"]["adaptive"] == rows["model"]["adaptive"]  # this model ignores the audio
    assert rows["model"]["adaptive"]["ciou_mean"] > rows["centred_disk"]["adaptive"]["ciou_mean"]


def test_threshold_uses_frames_with_a_visible_source() -> None:
    batch, model = annotated_batch(), Brightness()
    model._trainer = FakeTrainer()  # type: ignore[assignment]
    maps_of_all = model(batch).detach()
    off_screen = batch["targets"]._replace(scenarios=flags(Scenario.SINGLE_SOUND, Scenario.OFF_SCREEN))
    for targets, maps in (
        (batch["targets"], maps_of_all[:, 1]),
        (off_screen, maps_of_all[:1, 1]),
        (None, maps_of_all.flatten(0, 1)),
    ):
        shown: Batch = {**batch}
        if targets is None:
            del shown["targets"]
        else:
            shown["targets"] = targets
        model.val_threshold.update(*_with_source(maps_of_all, shown))
        assert model.val_threshold.compute() == universal_threshold(maps, Fraction(9, 10), (224, 224))
        model.val_threshold.reset()
    model.val_threshold.update(maps_of_all[:0, 1], torch.zeros(0, dtype=torch.int64))
    assert model.val_threshold.compute() is None


def test_sources_of_weights_are_removed_at_any_depth() -> None:
    yamnet = {"class_path": "YAMNet", "init_args": {"weights": "a.safetensors", "cache": "features"}}
    arguments = {"init_from": "b.pth", "width": 8, "audio": {"class_path": "Mean", "init_args": {"encoder": yamnet}}}
    remove_downloads(arguments)
    (encoder,) = arguments["audio"]["init_args"].values()  # type: ignore[index]
    assert encoder["init_args"] == {"weights": "none", "cache": None}
    assert arguments["init_from"] is None and arguments["width"] == 8
    assert yamnet["init_args"] == {"weights": "a.safetensors", "cache": "features"}  # the caller's own


def test_without_float64_maps_and_targets_are_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.models.base.WITHOUT_FLOAT64", ("meta",))
    batch = annotated_batch()
    moved = Brightness().transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert moved["frames"].device.type == "meta" and moved["index"].device.type == "cpu"
    assert moved["targets"] is batch["targets"]
    maps = torch.zeros(2, 2)
    assert for_metrics(maps) is maps
