"""Imports without unused packages and garbage collection, which are both back afterwards."""

import gc
from collections.abc import Iterator

import pytest
from lightning_utilities.core.imports import RequirementCache

from tavlo_pl.io.fast_imports import fast_imports


@pytest.fixture(autouse=True)
def no_frozen_objects() -> Iterator[None]:
    """Other tests collect what is frozen here."""
    yield
    gc.unfreeze()


def test_unused_packages_look_missing_while_modules_are_imported() -> None:
    with fast_imports():
        assert not RequirementCache("matplotlib") and not RequirementCache("transformers>=4.4.0")
        assert RequirementCache("numpy") and not RequirementCache("package_of_nobody")
        assert not gc.isenabled()
    assert RequirementCache("matplotlib") and gc.isenabled()
    assert gc.get_freeze_count() > len(gc.get_objects(generation=0))  # later collections do not visit the modules


def test_an_import_that_fails_leaves_nothing_behind() -> None:
    with pytest.raises(ImportError), fast_imports():
        raise ImportError("broken")
    assert RequirementCache("matplotlib") and gc.isenabled()
