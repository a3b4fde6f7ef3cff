import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from tavlo_pl.data import media
from tavlo_pl.data.bad_clips import BadClipPolicy
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.vggsound import VGGSound
from tavlo_pl.data.transforms import Augment
from tavlo_pl.errors import ConfigError, DatasetNotFoundError, MediaError, NoAudioError, RunFailedError
from tavlo_pl.types import Batch
from tests.helpers.clips import write_numbered
from tests.helpers.suite import protocol
from tests.helpers.trees import instance, write_avatar, write_vggsound

CLIP = ClipSpec(segments=2, duration_s=1.0, image_size=16, mel_bands=16, columns_per_segment=20)
SMALL: dict[str, Any] = {
    "clip": CLIP,
    "batch_size": 3,
    "num_workers": 0,
}


class Listed(ClipSource):
    """Clips that exist by name only."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def clips(self) -> list[Clip]:
        return [Clip(name, Path(f"{name}.mp4")) for name in self.names]


@pytest.fixture
def no_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every clip reads as black and silent, but those called bad."""

    def read_clip(path: Path, times_s: Any, size: Any, start_s: float, duration_s: float, **_: Any) -> Any:
        if path.stem.startswith("bad"):
            raise NoAudioError(f"{path}: no sound in it.")
        sound = np.zeros(round(duration_s * media.SAMPLE_RATE_HZ), np.float32)
        return media.DecodedClip(np.zeros((len(times_s), *(size or ()), 3), np.uint8), np.array(times_s), sound)

    monkeypatch.setattr(media, "read_clip", read_clip)


Step = list[tuple[int, tuple[float, ...]]]


class Recorder(LightningModule):
    """Keeps which clips and frames each finished step saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps: list[Step] = []
        self.batches: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        times = [tuple(row) for row in batch["frame_time"].tolist()]
        self.steps.append(list(zip(batch["index"].tolist(), times, strict=True)))
        return (self.weight * batch["spectrogram"]).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.batches.append(batch)

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(root: Path, *callbacks: Callback, **options: Any) -> Trainer:
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(
        default_root_dir=root,
        accelerator="cpu",
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        callbacks=list(callbacks),
        **quiet,
        **options,
    )


class StopError(Exception):
    """What interrupts a run."""


class SaveAndStop(Callback):
    """Saves a checkpoint in one hook, at one batch of one epoch, and ends the run."""

    def __init__(self, path: Path, hook: str, epoch: int, batch: int) -> None:
        self.path = path
        self.at = (epoch, batch)
        setattr(self, hook, self.save)

    def save(self, trainer: Trainer, *args: Any) -> None:
        if (trainer.current_epoch, trainer.fit_loop.batch_idx) == self.at:
            trainer.save_checkpoint(self.path)
            raise StopError


def fit(root: Path, *callbacks: Callback, ckpt: Path | None = None, **options: Any) -> list[Step]:
    """Steps of a run over 10 clips: 3 batches an epoch, one clip is left over."""
    data_options = {name: options.pop(name) for name in ("num_workers", "batch_size") if name in options}
    names = [f"clip{number:02d}" for number in range(10)]
    data = ClipDataModule(train=Listed(names), val=Listed(["v0", "v1"]), **{**SMALL, **data_options})
    module = Recorder()
    trainer(root, *callbacks, **options).fit(module, data, ckpt_path=ckpt, weights_only=True)
    return module.steps


UNBROKEN: dict[str, list[Step]] = {}
LIMITS: dict[str, dict[str, Any]] = {
    "epochs": {"max_epochs": 4},
    "steps": {"max_steps": 12},
    "validation each step": {"max_epochs": 4, "val_check_interval": 1},
}


@pytest.mark.usefixtures("no_media")
@pytest.mark.filterwarnings("error:.*dataloader is not resumable.*")
@pytest.mark.parametrize(
    ("limit", "hook", "batch", "finished"),
    [
        ("epochs", "on_train_batch_start", 1, 4),
        ("epochs", "on_before_optimizer_step", 2, 5),
        ("epochs", "on_train_batch_end", 0, 4),
        ("epochs", "on_train_batch_end", 2, 6),
        ("epochs", "on_validation_batch_start", 2, 6),
        ("epochs", "on_validation_end", 2, 6),
        ("epochs", "on_train_epoch_end", 2, 6),
        ("steps", "on_before_optimizer_step", 0, 3),
        ("steps", "on_train_batch_end", 2, 6),
        ("steps", "on_validation_end", 2, 6),
        ("steps", "on_train_epoch_end", 2, 6),
        ("validation each step", "on_validation_end", 0, 4),
        ("validation each step", "on_train_batch_end", 2, 6),
    ],
)
def test_a_resumed_run_sees_the_same_clips_and_frames(
    tmp_path: Path, limit: str, hook: str, batch: int, finished: int
) -> None:
    whole = UNBROKEN[limit] = UNBROKEN.get(limit) or fit(tmp_path, **LIMITS[limit])
    assert len(whole) == 12
    path = tmp_path / "last.ckpt"
    with pytest.raises(StopError):
        fit(tmp_path, SaveAndStop(path, hook, epoch=1, batch=batch), **LIMITS[limit])
    assert fit(tmp_path, ckpt=path, **LIMITS[limit]) == whole[finished:]


@pytest.mark.usefixtures("no_media")
@pytest.mark.parametrize(
    ("hook", "batch", "finished"),
    [("on_train_batch_end", 1, 5), ("on_train_batch_end", 2, 6), ("on_train_epoch_end", 2, 6)],
)
def test_workers_change_nothing_though_they_read_ahead(tmp_path: Path, hook: str, batch: int, finished: int) -> None:
    whole = fit(tmp_path, max_epochs=3)
    path = tmp_path / "last.ckpt"
    with pytest.raises(StopError):
        fit(tmp_path, SaveAndStop(path, hook, epoch=1, batch=batch), max_epochs=3)
    assert fit(tmp_path, ckpt=path, max_epochs=3, num_workers=2) == whole[finished:]


@pytest.mark.usefixtures("no_media")
def test_batch_size_changed_within_an_epoch_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(StopError):
        fit(tmp_path, SaveAndStop(path, "on_train_batch_end", 0, 0), max_epochs=1)
    fit(tmp_path, ckpt=path, max_epochs=1)
    assert "some clips come twice or not at all" not in caplog.text
    fit(tmp_path, ckpt=path, max_epochs=1, batch_size=2)
    assert "some clips come twice or not at all" in caplog.text


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_vggsound(root / "train", [f"{letter * 11}_000000" for letter in "abcd"], seconds=1.0, click_s=(0.21,))
    tree = {f"{letter * 11}_00000": {"00003": [instance()], "00005": [instance()]} for letter in "ef"}
    write_avatar(root / "test", tree, seconds=1.0, click_s=(0.21,))
    write_numbered(root / "test" / "video" / f"{'f' * 11}_00000.mp4", seconds=1.0, click_s=(0.81,))
    (root / "videos").mkdir()
    write_numbered(root / "videos" / "a.mp4", seconds=2.6)
    return root


def test_a_test_batch_from_files(folders: Path, tmp_path: Path) -> None:
    module = Recorder()
    data = ClipDataModule(test=AVATAR(str(folders / "test")), **SMALL)
    assert data.test_protocol.name == "avatar"
    data.test_protocol = protocol()
    trainer(tmp_path).test(module, data, verbose=False)
    batches = module.batches
    assert [batch["index"].tolist() for batch in batches] == [[0, 1, 2], [3]]
    batch = batches[0]
    assert batch["frames"].shape == (3, 2, 3, 16, 16)
    assert batch["spectrogram"].shape == batch["mismatched_spectrogram"].shape == (3, 1, 16, 40)
    assert batch["targets"].sample_id[2] == "fffffffffff_00000/00003/single_sound"
    loudest = batch["spectrogram"].mean((1, 2)).argmax(-1).tolist()
    swapped = batch["mismatched_spectrogram"].mean((1, 2)).argmax(-1).tolist()
    assert (loudest, swapped) == ([8, 8, 32], [32, 32, 8])  # clicks at 0.21 s and 0.81 s, columns of 0.025 s


def test_fit_from_files_without_validation(folders: Path, tmp_path: Path) -> None:
    module = Recorder()
    data = ClipDataModule(train=VGGSound(str(folders / "train")), **{**SMALL, "num_workers": 1})
    trainer(tmp_path, max_epochs=2).fit(module, data)
    assert [len(step) for step in module.steps] == [3, 3]


@pytest.mark.usefixtures("no_media")
def test_training_names_a_bad_clip_once_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):  # the second run goes on in the same folder
        module = Recorder()
        clips = Listed(["bad, one", "clip1", "clip2", "clip3"])
        data = ClipDataModule(train=clips, bad_clips=BadClipPolicy(max_share=0.25), **SMALL)
        with caplog.at_level(logging.WARNING):
            trainer(tmp_path, max_epochs=6).fit(module, data)
        assert [len(step) for step in module.steps] == [3] * 6
        assert 0 not in {index for step in module.steps for index, _ in step}
    assert caplog.text.count("Training continues without bad, one: bad, one.mp4: no sound") == 2
    assert listed(tmp_path) == [["bad, one", "bad, one.mp4: no sound in it."]]


def listed(folder: Path) -> list[list[str]]:
    with (folder / "bad_clips.csv").open(newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["sample_id", "reason"]
    return rows


@pytest.mark.usefixtures("no_media")
def test_too_many_bad_training_clips_end_the_run_with_the_list(tmp_path: Path) -> None:
    names = ["bad1", "bad2", *(f"clip{number}" for number in range(28))]
    module = Recorder()
    with pytest.raises(
        RunFailedError, match=r"2 of 30 .* data\.bad_clips\.max_share 0\.05 .*bad_clips\.csv.*no sound"
    ) as caught:
        trainer(tmp_path, max_epochs=1).fit(module, ClipDataModule(train=Listed(names), **SMALL))
    assert caught.value.exit_code == 1
    assert sorted(name for name, _ in listed(tmp_path)) == ["bad1", "bad2"]


@pytest.mark.usefixtures("no_media")
def test_training_without_any_readable_clip_ends_at_once(tmp_path: Path) -> None:
    data = ClipDataModule(train=Listed([f"bad{number}" for number in range(1000)]), **SMALL)
    with pytest.raises(RunFailedError, match="of 1000 training clips cannot be read"):
        trainer(tmp_path, max_epochs=1).fit(Recorder(), data)
    assert 51 <= len(listed(tmp_path)) <= 3 * 51  # no more are tried than end the run


@pytest.mark.usefixtures("no_media")
@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_bad_clip_ends_an_evaluation_with_its_name(tmp_path: Path, stage: str) -> None:
    clips = Listed(["clip1", "bad1"])
    workers = 1 if stage == "test" else 0  # a worker's errors come wrapped in its traceback
    data = ClipDataModule(train=Listed("abc"), val=clips, test=clips, **{**SMALL, "num_workers": workers})
    run = trainer(tmp_path, max_epochs=1)
    with pytest.raises(MediaError, match=r"^bad1\.mp4: no sound in it\. \(To leave such clips out") as caught:
        getattr(run, stage)(Recorder(), datamodule=data)
    assert "Traceback" not in str(caught.value)


@pytest.mark.usefixtures("no_media")
def test_a_bad_clip_can_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = Recorder()
    data = ClipDataModule(val=Listed(["clip1", "bad1"]), bad_clips=BadClipPolicy("skip"), **SMALL)
    trainer(tmp_path).validate(module, data, verbose=False)
    (batch,) = module.batches
    assert [bad.sample_id for bad in batch["bad_clips"]] == ["bad1"]
    assert batch["index"].tolist() == [0, 1]
    assert list(data.reporter.left_out) == [1]
    assert "Left out, with 0 samples: bad1.mp4" in caplog.text


def test_a_stage_without_clips_is_refused(tmp_path: Path) -> None:
    data = ClipDataModule(**SMALL)
    for stage, option in (("fit", "train"), ("validate", "val"), ("test", "test")):
        with pytest.raises(ConfigError, match=rf"{stage} needs clips: set data\.{option}, "):
            data.setup(stage)
    with pytest.raises(DatasetNotFoundError):
        ClipDataModule(root=str(tmp_path), **SMALL).video_folder().videos()


@pytest.mark.parametrize("option", ["batch_size"])
def test_options_out_of_range_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{option} is 0; it must be positive"):
        ClipDataModule(**{**SMALL, option: 0})
    with pytest.raises(ConfigError, match=r"data\.seed"):
        ClipDataModule(seed=-1)


@pytest.mark.usefixtures("no_media")
def test_a_batch_larger_than_the_training_set_is_refused(tmp_path: Path) -> None:
    data = ClipDataModule(train=Listed(["a", "b"]), **SMALL)
    with pytest.raises(ConfigError, match="batch_size 3 on 1 process"):
        trainer(tmp_path, max_epochs=1).fit(Recorder(), data)


def test_spectrogram_masks_are_for_training_and_resume() -> None:
    data = ClipDataModule(augment=Augment(mask_time_s=0.9, mask_bands=15), **SMALL)
    waveform = torch.randn(4, 16_000)

    def spectrogram(epoch: int, training: bool = True) -> torch.Tensor:
        data.trainer = SimpleNamespace(training=training, current_epoch=epoch)  # type: ignore[assignment]
        batch: Any = {"frames": torch.zeros(4, 2, 3, 2, 2), "waveform": waveform, "index": torch.arange(4)}
        return data.on_after_batch_transfer(batch, 0)["spectrogram"]

    plain = data.audio_transform(waveform)
    assert torch.equal(spectrogram(1, training=False), plain)
    masked = spectrogram(1)
    assert ((masked != plain).flatten(1).any(1)).all()
    assert torch.equal(masked, spectrogram(1))
    assert not torch.equal(masked, spectrogram(2))


def test_the_models_device_sets_the_colours_apart() -> None:
    frames = torch.arange(2 * 2 * 5 * 4 * 3).reshape(2, 2, 5, 4, 3).permute(0, 1, 4, 2, 3)
    batch: Any = {"frames": frames, "waveform": torch.randn(2, 16_000), "index": torch.arange(2)}
    given = ClipDataModule(**SMALL).on_after_batch_transfer(batch, 0)["frames"]
    assert given.is_contiguous() and torch.equal(given, frames)


def test_masks_need_a_spectrogram() -> None:
    with pytest.raises(ConfigError, match="need spectrograms"):
        ClipDataModule(augment=Augment(mask_bands=2), clip=ClipSpec(frequencies="none"))
