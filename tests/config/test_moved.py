"""Class paths of earlier versions."""

from importlib import import_module
from pathlib import Path

import pytest

from tavlo_pl.config.moved import MOVED
from tests.helpers.cli import tavlo


@pytest.mark.parametrize("new", MOVED.values())
def test_moved_new_paths_lead_to_classes(new: str) -> None:
    module, _, name = new.rpartition(".")
    assert isinstance(getattr(import_module(module), name), type)


@pytest.mark.parametrize("old", MOVED)
def test_moved_old_paths_are_gone(old: str) -> None:
    with pytest.raises((ModuleNotFoundError, AttributeError)):
        getattr(import_module(old.rpartition(".")[0]), old.rpartition(".")[2])


def test_moved_path_in_yaml_is_named_with_the_new_one(tmp_path: Path) -> None:
    config = tmp_path / "old.yaml"
    config.write_text("data: {test: {class_path: tavlo_pl.data.avatar.AVATAR, init_args: {root: x}}}")
    outcome = tavlo("fit", "-c", "configs/exp/demo.yaml", "-c", config)
    assert outcome.code == 2 and "is now tavlo_pl.data.datasets.AVATAR" in outcome.err, outcome.err


def test_moved_path_on_the_command_line_is_named() -> None:
    outcome = tavlo("fit", "-c", "configs/exp/demo.yaml", "--data.test", "tavlo_pl.data.avatar.AVATAR")
    assert outcome.code == 2 and "is now tavlo_pl.data.datasets.AVATAR" in outcome.err, outcome.err
