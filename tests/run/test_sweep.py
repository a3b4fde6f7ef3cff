"""Configurations of the runs of a sweep: comparable part, and changed keys."""

from pathlib import Path

import pytest

from tavlo_pl.run.sweep import SweepRun, changed_keys, comparable, describe, only_added

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
    assert comparable(moved, 3) == config
    assert comparable(RESOLVED, 4) != config
    assert comparable(RESOLVED | {"optimizer": {"betas": (0.9, 0.99)}}, 3)["optimizer"] == {"betas": [0.9, 0.99]}


def test_changed_keys_are_dotted_in_order_of_the_new_config() -> None:
    before = {"a": {"b": 1, "gone": 2, "same": [1, 2]}, "c": None, "d": {}}
    after = {"c": {"e": 1}, "a": {"b": 2, "same": [1, 2]}, "d": {}}
    assert changed_keys(before, after) == ["c.e", "a.b", "a.gone", "c"]
    assert changed_keys(after, after) == []


def test_added_options_at_default_are_no_change() -> None:
    before = {"model": {"width": 2, "init_args": {}}, "data": {"root": "a"}}
    after = {"model": {"width": 2, "init_args": {"depth": 1}}, "data": {"root": "a", "flip": False}}
    assert changed_keys(before, after) == ["model.init_args.depth", "data.flip"] and only_added(before, after)
    assert changed_keys(before, after, explicit={"data": {"root": "a"}}) == []
    assert changed_keys(before, after, explicit={"data": {"root": "a", "flip": False}}) == ["data.flip"]
    other = after | {"data": {"root": "b", "flip": False}}
    assert not only_added(before, other) and not only_added(before, before)
    assert changed_keys(before, other, explicit={}) == ["data.root"]
    assert (
        changed_keys(after, before)
        == changed_keys(after, before, explicit={})
        == ["model.init_args.depth", "data.flip"]
    )


def test_a_stored_configuration_is_read_again(run: SweepRun) -> None:
    config = comparable(RESOLVED, 3)
    assert run.stored_config() is None
    run.store_config(config)
    assert run.config_record.name == "3.config.json" and run.stored_config() == config
    many = config | {"model": {"w": 1, "x": 2}, "trainer": {"max_epochs": 3}}
    assert describe(changed_keys(config, many)) == (
        "changed configuration: trainer.max_epochs, model.w, model.x, 2 more"  # and the two removed keys
    )
    run.config_record.write_text('{"trainer"')
    assert run.stored_config() is None


def test_discard_leaves_nothing_to_keep_or_resume(run: SweepRun) -> None:
    run.store_config(comparable(RESOLVED, 3))
    for path in (run.last, run.best, run.test_folder / "results.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert run.is_tested and run.is_started
    run.discard()
    assert not run.is_tested and not run.is_started and not run.config_record.exists()
    assert run.best.is_file()


def test_times_of_processes_add_up(run: SweepRun) -> None:
    assert run.fit_s() is None
    run.folder.parent.mkdir(parents=True)
    with run.timed_fit(resumes=False):
        assert run.fit_s() is None  # what a killed process leaves
    first = run.fit_s()
    with run.timed_fit(resumes=True):
        pass
    total = run.fit_s()
    assert first is not None and total is not None and total >= first
    assert len(run.fit_times.read_text().split()) == 2
    with run.timed_fit(resumes=False):
        pass
    assert len(run.fit_times.read_text().split()) == 1


def test_a_time_that_was_not_measured_stays_unknown(run: SweepRun) -> None:
    run.folder.parent.mkdir(parents=True)
    with run.timed_fit(resumes=True):  # of a training whose first process left no time
        pass
    assert run.fit_times.read_text().startswith("nan") and run.fit_s() is None
