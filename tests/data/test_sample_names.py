"""Names of samples: valid on all systems, different from each other, and independent of the other videos."""

import os

import pytest

from tavlo_pl.data.sample_names import NAME_BYTES, is_valid_name, plain_names, sample_names


def test_plain_paths_keep_their_names() -> None:
    paths = ["-abc_00012.mp4", "day 1/über uns.MOV", "a.b.mkv", "Was ist das?.webm", "no suffix"]
    assert sample_names(paths) == ["-abc_00012", "day 1__über uns", "a.b", "Was ist das?", "no suffix"]


@pytest.mark.parametrize(
    "path",
    [
        os.fsdecode(b"a\xe9.mp4"),
        "a\\b.mp4",
        "影" * 77 + ".mp4",
        "a\nb.mp4",
        "a.attention.mp4",
        "a.sources.mkv",
        "a\u202e4pm.mp4",
        "\u2067a.mp4",
        "a\u200f.mp4",
    ],
)
def test_other_paths_get_a_hash(path: str) -> None:
    (name,) = sample_names([path])
    assert is_valid_name(name) and len(name.encode()) <= NAME_BYTES
    assert name[-9] == "-" and set(name[-8:]) <= set("0123456789abcdef")
    assert name not in plain_names(path)
    assert name in sample_names([path, "another.mp4", "a.mp4"])


@pytest.mark.parametrize(
    "pair",
    [
        ("a/b.mp4", "a__b.mp4"),
        ("Clip.mp4", "clip.mp4"),
        ("cafe\u0301.mp4", "caf\u00e9.mp4"),
        ("STRASSE.mp4", "straße.mp4"),
        ("影" * 80 + "1.mp4", "影" * 80 + "2.mp4"),
        (os.fsdecode(b"a\xe9.mp4"), os.fsdecode(b"a\xe8.mp4")),
    ],
)
def test_equal_names_are_kept_apart(pair: tuple[str, str]) -> None:
    names = sample_names([*pair, "c.mp4"])
    assert len({name.casefold() for name in names}) == 3
    assert all(map(is_valid_name, names))
    assert names[2] == "c"


def test_names_that_differ_in_the_suffix_keep_it() -> None:
    assert sample_names(["a.mkv", "a.mp4", "b.mp4"]) == ["a.mkv", "a.mp4", "b"]
