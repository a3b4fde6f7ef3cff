"""Clip ids and lists of them."""

from pathlib import Path

import pytest

from tavlo_pl.data.annotations import AnnotatedFrame, Instance
from tavlo_pl.data.clip_ids import clip_key, is_listed, read_ids
from tavlo_pl.errors import DatasetNotFoundError
from tavlo_pl.types import Scenario

SINGLE, MIXED, OFF = Scenario.SINGLE_SOUND, Scenario.MIXED_SOUND, Scenario.OFF_SCREEN


def frame(*instances: Instance) -> AnnotatedFrame:
    return AnnotatedFrame(0, "00000", width=8, height=4, instances=instances)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("l_7B1wnTNtA_00020", ("l_7B1wnTNtA", 20)),
        ("l_7B1wnTNtA_000020.mp4", ("l_7B1wnTNtA", 20)),
        ("l_7B1wnTNtA", ("l_7B1wnTNtA", None)),
        ("abcde_12345", ("abcde_12345", None)),  # 11 characters: an id that looks like id and start
        ("a_b_c-_00003", ("a_b_c-", 3)),
    ],
)
def test_names_split_at_the_last_underscore(name: str, key: tuple[str, int | None]) -> None:
    assert clip_key(name) == key


def test_lists_name_clips_or_whole_ids(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("l_7B1wnTNtA_000020\n\nabcdefghijk\n")
    ids = read_ids(path)
    assert is_listed(("l_7B1wnTNtA", 20), ids)
    assert not is_listed(("l_7B1wnTNtA", 30), ids)
    assert is_listed(("abcdefghijk", 7), ids)
    with pytest.raises(DatasetNotFoundError, match=r"none\.txt"):
        read_ids(tmp_path / "none.txt")
