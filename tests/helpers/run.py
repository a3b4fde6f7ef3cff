"""Configurations of short runs: the tiny model on the tiny world."""

from pathlib import Path
from typing import Any

import torch
import yaml


def tiny_config(world: Path, folder: Path, **trainer: object) -> Path:
    """Writes a configuration that trains the tiny model for two epochs of four steps, in well under a second.

    Args:
        world: folder of the fixture of that name.
        folder: output folder of the configuration.
        trainer: options of the Trainer.
    """
    content = {
        "seed_everything": 3,
        "trainer": {
            "accelerator": "cpu",
            "max_epochs": 2,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        | trainer,
        "model": {"class_path": "tests.helpers.tiny.Tiny"},
        "data": data_config(world),
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def data_config(world: Path, segments: int = 3, image_size: int = 32) -> dict[str, object]:
    """The tiny world for all stages, read in this process; overrides any other data configuration."""
    return {
        "train": {
            "class_path": "tavlo_pl.data.datasets.VGGSound",
            "init_args": {"root": str(world / "train"), "csv": None, "ids": None, "split": "train"},
        },
        "val": avatar(world / "val"),
        "test": avatar(world / "test"),
        "clip": {
            "segments": segments,
            "duration_s": 2.0,
            "image_size": image_size,
            "mel_bands": 16,
            "columns_per_segment": 24,
        },
        "batch_size": 2,
        "num_workers": 0,
    }


def avatar(root: Path) -> dict[str, object]:
    """A folder in AVATAR's layout."""
    return {
        "class_path": "tavlo_pl.data.datasets.AVATAR",
        "init_args": {"root": str(root), "frame_base": 0, "cross_event_list": None, "ids": None},
    }


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint."""
    return torch.load(path, weights_only=True)


def assert_same_end(run: Path, other: Path) -> None:
    """Asserts that two runs ended with bitwise equal weights, optimizers and best checkpoints."""
    for name in ("last.ckpt", "best.ckpt"):
        one, two = load(run / "checkpoints" / name), load(other / "checkpoints" / name)
        assert one["global_step"] == two["global_step"]
        for key, value in one["state_dict"].items():
            assert torch.equal(value, two["state_dict"][key]), f"{name}: {key}"
        assert str(one["optimizer_states"]) == str(two["optimizer_states"])
        assert one["callbacks"]["RunCheckpoints"] == two["callbacks"]["RunCheckpoints"]
