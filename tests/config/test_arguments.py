"""Videos without an option, and broken configurations."""

import os
from pathlib import Path

import pytest

from tavlo_pl.config.arguments import prepare, printable, split_videos
from tavlo_pl.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "videos"),
    [
        ("a.mp4 b.mov", ["a.mp4", "b.mov"]),
        ("--out x a.mp4 --overwrite b.mov", ["a.mp4", "b.mov"]),
        ("--out=x a.mp4", ["a.mp4"]),
        ("--maps_per_second -1 a.mp4", ["a.mp4"]),
        ("a.mp4 --allow_import p q --out x", ["a.mp4"]),
        ("--out x -- -a.mp4 --b.mp4", ["-a.mp4", "--b.mp4"]),
        ("clips/ 'trip/*.mov'", ["clips/", "'trip/*.mov'"]),
        ("--box true --data.root videos", []),
    ],
)
def test_videos_are_split_from_options(words: str, videos: list[str]) -> None:
    rest, found = split_videos(words.split())
    assert found == videos
    assert [word for word in words.split() if word not in [*videos, "--"]] == rest


def test_root_that_no_configuration_can_hold_is_a_video() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert prepare("predict", ["--out", "x", "--data.root", name, "--overwrite"]) == (
        ["--out", "x", "--overwrite"],
        [name],
    )
    assert printable(name) == "caf\\udce9"
    assert prepare("predict", ["--data.root", "café"]) == (["--data.root", "café"], [])


def test_file_with_a_dash_is_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-abc_00012.mp4").touch()
    assert split_videos(["-abc_00012.mp4", "--out", "x"]) == (["--out", "x"], ["-abc_00012.mp4"])
    assert split_videos(["-abd_00012.mp4"]) == (["-abd_00012.mp4"], [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model: [\ndata: {\n", r"bad\.yaml, line \d+, column \d+: not valid YAML"),
        (b"a: b: c\n", r"bad\.yaml, line 1, column \d+: not valid YAML: mapping values"),
        (b"\tmodel: 1\n", r"bad\.yaml, line 1"),
        (b"\x00\x01", r"bad\.yaml"),
        (b"\xb6\xff", r"bad\.yaml is no configuration in YAML: no text in UTF-8"),
        ("model: 1\n".encode("utf-16"), r"bad\.yaml is no configuration in YAML: the text is in UTF-16"),
        (b"model: {class_path: tavlo_pl.models.TAVLO_OLD, init_args: 3", r"bad\.yaml, line"),
    ],
)
@pytest.mark.parametrize("option", ["-c bad.yaml", "--config=bad.yaml", "--model bad.yaml", "--data.clip=bad.yaml"])
def test_broken_yaml_names_its_file(
    content: bytes, words: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        prepare("fit", option.split())


def test_other_files_in_the_place_of_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x20ftypisom\xff")
    with pytest.raises(ConfigError, match=r"a\.mp4 is no configuration in YAML"):
        prepare("fit", ["-c", str(tmp_path / "a.mp4")])
    with pytest.raises(ConfigError, match=r"is a folder; give one of the \.yaml files in it"):
        prepare("fit", ["-c", str(tmp_path)])


def test_good_configurations_pass(tmp_path: Path) -> None:
    (tmp_path / "marked.yaml").write_text("seed_everything: 3\n", "utf-8-sig")
    words = ["-c", str(tmp_path / "marked.yaml"), "-c", "seed_everything: 3", "--data", "{batch_size: 2}"]
    assert prepare("fit", words) == (words, [])
    assert prepare("predict", ["a.mp4", "-c", "x: 1"]) == (["-c", "x: 1"], ["a.mp4"])
