"""The seed of the data: the run's, unless it is given."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import seed_everything
from lightning.pytorch.utilities.seed import isolate_rng

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.dataset import ClipDataset, Item
from tests.helpers.cli import tavlo
from tests.helpers.run import tiny_config

CLIP = ClipSpec(segments=2, duration_s=1.0, image_size=16, mel_bands=16, columns_per_segment=20)
SMALL: dict[str, Any] = {
    "clip": CLIP,
    "batch_size": 3,
    "num_workers": 0,
}


def test_seed_is_that_of_the_run_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert ClipDataModule().seed == 0
    with isolate_rng():
        seed_everything(7, verbose=False)
        assert ClipDataModule().seed == 7
        assert ClipDataModule(seed=3).seed == 3
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


def test_seed_everything_seeds_the_order_of_training_clips(world: Path, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    read = ClipDataset.__getitem__

    def record(self: ClipDataset, key: int | tuple[int, int]) -> Item:
        item = read(self, key)
        if self.stage == "train":
            seen[-1].append(item.clip.sample_id)
        return item

    config = tiny_config(world, tmp_path, max_epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipDataset, "__getitem__", record)
        for run_seed, options in ((1, ()), (2, ()), (1, ("--data.seed", 5)), (2, ("--data.seed", 5))):
            seen.append([])
            out = tmp_path / f"run{len(seen)}"
            outcome = tavlo("fit", "-c", config, "--seed_everything", run_seed, "--out", out, *options)
            assert outcome.code == 0, outcome.err
    assert len(seen[0]) == 8 and seen[0] != seen[1]
    assert seen[2] == seen[3] != seen[0]
