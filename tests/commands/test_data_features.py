"""``tavlo data shard --features.model``: a training afterwards computes no features and finds equal ones."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule, transform_key
from tavlo_pl.data.shards import Shards
from tavlo_pl.data.transforms import Augment
from tavlo_pl.nn.pretrained import EfficientNetLite0, YAMNet
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.run import data_config, load
from tests.helpers.shared import shared_file

SEGMENTS, PART = 4, 2


def write_model(folder: Path) -> Path:
    """TAVLO on the two built-in frozen encoders."""
    content = {
        "class_path": "tavlo_pl.models.tavlo.TAVLO",
        "init_args": {
            "visual": {"class_path": "tavlo_pl.nn.pretrained.EfficientNetLite0", "init_args": {"strides": [16]}},
            "audio": {"class_path": "tavlo_pl.nn.pretrained.YAMNet"},
            "width": 16,
            "attention": {"num_layers": 0, "num_heads": 2, "temporal_width": 0},
            "objective": {"num_time_shifted": 0},
        },
    }
    path = folder / "model.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def weights() -> dict[str, Path]:
    return {
        "visual": shared_file("weights", "efficientnet_lite0.safetensors"),
        "audio": shared_file("weights", "yamnet.safetensors"),
    }


def shard(world: Path, out: Path, *options: object) -> Outcome:
    source = f"--source tavlo_pl.data.datasets.VGGSound --source.root {world / 'train'} --source.csv null"
    form = f"--source.ids null --segments {SEGMENTS} --frames_per_segment 1 --duration_s 2 --image_size 64 --out {out}"
    return tavlo("data", "shard", *f"{source} {form}".split(), *options)


def fit(model: Path, shards: Path, world: Path, out: Path, cache: Path) -> Path:
    data = data_config(world, SEGMENTS, 64)
    data["clip"] = {"segments": SEGMENTS, "duration_s": 2.0, "image_size": 64, "frequencies": "none"}
    data["train"] = {"class_path": "tavlo_pl.data.shards.Shards", "init_args": {"root": str(shards)}}
    data |= {"val": None, "test": None, "augment": {"flip": False, "segments": PART}}
    trainer = {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, "enable_model_summary": False}
    config = out.with_suffix(".yaml")
    config.write_text(yaml.safe_dump({"seed_everything": 0, "data": data, "trainer": trainer}))
    words: list[object] = ["fit", "--model", model, "-c", config, "--out", out]
    for name, file in weights().items():
        words += [f"--model.init_args.{name}.init_args.weights", file]
        words += [f"--model.init_args.{name}.init_args.cache", cache]
    outcome = tavlo(*words)
    assert outcome.code == 0, outcome.err
    assert "random weights" not in outcome.err
    return out / "checkpoints" / "last.ckpt"


def training_item(shards: Path) -> tuple[Tensor, Tensor]:
    """(T, 3, H, W) frames and (1, 1, L / T, T) audio of a clip of an epoch that was not trained."""
    clip = ClipSpec(segments=SEGMENTS, duration_s=2.0, image_size=64, frequencies="none")
    data = ClipDataModule(Shards(str(shards)), clip=clip, augment=Augment(flip=False, segments=PART))
    data.setup("fit")
    item = data.datasets["train"][7, 3]
    return item.frames, data.audio_transforms[transform_key(data.train_clip)](item.waveform[None])


def keys(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.keys"))


@pytest.mark.filterwarnings("ignore")
def test_a_training_after_shard_computes_no_features(world: Path, tmp_path: Path) -> None:
    model, out = write_model(tmp_path), tmp_path / "shards"
    options = ["--features.model", model, "--features.augment_segments", PART, "--workers", 1]
    for name, file in weights().items():
        options += [f"--features.{name}_weights", file]
    written = shard(world, out, *options)
    assert written.code == 0, written.err
    features, clips = out / "features", json.loads((out / "shards.json").read_text())["clips"]
    size = keys(features)
    # a frame for each segment; two segments of each part, one patch of sound for each; some frames are equal
    assert 16 * clips < size <= 16 * clips * (SEGMENTS + PART * (SEGMENTS - PART + 1))
    assert shard(world, out, *options).code == 0  # finished: computes nothing again
    assert keys(features) == size
    cached = load(fit(model, out, world, tmp_path / "cached", features))
    negatives = 1 + 2 * PART * cached["global_step"]  # silence, and noise that is drawn in each step
    assert keys(features) == size + 16 * negatives
    assert cached["global_step"] > 0
    frames, audio = training_item(out)
    for kind, name, inputs in ((EfficientNetLite0, "visual", (frames,)), (YAMNet, "audio", (audio, PART))):
        options_of = {"strides": (16,)} if name == "visual" else {}
        plain, stored = (
            kind(weights=str(weights()[name]), cache=cache, **options_of).eval() for cache in (None, str(features))
        )
        with torch.no_grad():
            torch.testing.assert_close(stored(*inputs), plain(*inputs), rtol=2e-3, atol=1e-3)
    assert keys(features) == size + 16 * negatives  # all were found


def test_random_weights_and_other_configurations_are_refused(world: Path, tmp_path: Path) -> None:
    model, out = write_model(tmp_path), tmp_path / "shards"
    random = shard(world, out, "--features.model", model, "--workers", 1)
    assert random.code == 2 and "give --features.visual_weights FILE" in random.err
    (tmp_path / "other.yaml").write_text("a: 1")
    other = shard(world, out, "--features.model", tmp_path / "other.yaml", "--workers", 1)
    assert other.code == 2 and "give the configuration of a model" in other.err
    model.write_text(model.read_text().replace("strides", "trained: all\n      strides", 1).replace("YAMNet", "Gone"))
    gone = shard(world, out, "--features.model", model, "--workers", 1)
    assert gone.code == 2 and "its audio encoder cannot be made" in gone.err
