"""Configurations of the runs of a sweep: comparable part, hash, and changed keys."""

from pathlib import Path

import pytest

from tavlo_pl.run.sweep import SweepRun, changed_keys, comparable, config_sha256

RESOLVED = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 2, "default_root_dir": None, "enable_progress_bar": None},
    "model": {"class_path": "m.M", "init_args": {"width": 2}},
    "data": {"root": "clips", "seed": 0},
    "optimizer": {"lr": 0.1},
    "out": "here",
    "overwrite": True,
    "ckpt_path": None,
}


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    return SweepRun("wide", Path("wide.yaml"), 3, tmp_path / "wide" / "3", tmp_path / "records" / "wide" / "3.json")


def test_comparable_leaves_out_outputs_and_sets_the_seed() -> None:
    config = comparable(RESOLVED, 3)
    assert config == {
        "seed_everything": 3,
        "trainer": {"max_epochs": 2},
        "model": {"class_path": "m.M", "init_args": {"width": 2}},
        "data": {"root": "clips", "seed": 3},
        "optimizer": {"lr": 0.1},
    }
    moved = RESOLVED | {"out": "there", "trainer": {"enable_progress_bar": False, "max_epochs": 2}}
    assert config_sha256(comparable(moved, 3)) == config_sha256(config)
    assert config_sha256(comparable(RESOLVED, 4)) != config_sha256(config)
    assert config_sha256(comparable(RESOLVED | {"optimizer": {"lr": 0.2}}, 3)) != config_sha256(config)


def test_changed_keys_are_dotted_in_order_of_the_new_config() -> None:
    before = {"a": {"b": 1, "gone": 2, "same": [1, 2]}, "c": None, "d": {}}
    after = {"c": {"e": 1}, "a": {"b": 2, "same": [1, 2]}, "d": {}}
    assert changed_keys(before, after) == ["c.e", "a.b", "a.gone", "c"]
    assert changed_keys(after, after) == []


def test_why_again_compares_the_stored_configuration(run: SweepRun) -> None:
    config = comparable(RESOLVED, 3)
    assert run.why_again(config) == "the configuration it was made with is not stored"
    run.store_config(config)
    assert run.config_record.name == "3.config.json" and run.why_again(config) is None
    many = config | {"model": {"w": 1, "x": 2}, "trainer": {"max_epochs": 3}}
    assert run.why_again(many) == (
        "changed configuration: trainer.max_epochs, model.w, model.x, 2 more"  # and the two removed keys
    )
    run.config_record.write_text('{"sha256"')
    assert run.why_again(config) == "the configuration it was made with is not stored"


def test_discard_leaves_nothing_to_keep_or_resume(run: SweepRun) -> None:
    run.store_config(comparable(RESOLVED, 3))
    for path in (run.last, run.best, run.test_folder / "results.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert run.is_tested and run.is_started
    run.discard()
    assert not run.is_tested and not run.is_started and not run.config_record.exists()
    assert run.best.is_file()
