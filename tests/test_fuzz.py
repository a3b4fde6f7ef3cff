"""A few changed files of each kind; ``make fuzz`` reads thousands."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tavlo_pl.config import security
from tavlo_pl.data.annotations import read_mask
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.errors import AnnotationError, ConfigError, TavloError
from tavlo_pl.io.messages import one_line
from tavlo_pl.predict.folder import checked_name
from tests.fuzz import guided, run, structured, targets
from tests.helpers.trees import instance, sample_of, write_avatar


def test_changed_files_are_read_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code = run.main(["--files", "480", "--media", "15", "--structured", "400"])
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert shown.count(" 20 files") >= 24 and "0 escapes" in shown
    assert all(kind in shown for kind in structured.KINDS)


def test_what_is_changed_can_be_read_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "mutate_bytes", lambda data, draw: data)
    monkeypatch.setattr(targets, "mutate_json", lambda value, draw: json.dumps(value).encode())
    for kind, target in targets.targets(tmp_path).items():
        assert run.outcome(target, "seed", tmp_path / kind) == run.GOOD, kind


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=30,
)
FREELY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@FREELY
@given(JSON, st.sampled_from(["segmentation", "bbox", "task", "audio_visual_category", ""]))
def test_whatever_stands_in_an_annotation_is_read_or_refused(tmp_path: Path, value: object, field: str) -> None:
    annotation = instance() | {field: value} if field else value
    record = {"original_width": 96, "original_height": 64, "annotations": [annotation]}
    path = tmp_path / "metadata" / "abcdefghijk_00010" / "00003.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    try:
        (clip,) = AVATAR(str(tmp_path), videos=False).clips()
    except TavloError:
        return
    for frame in clip.annotations:
        assert all(sample_of(frame, scenario).truth((8, 8)).shape == (8, 8) for scenario in frame.scenarios)


@FREELY
@given(st.text() | JSON.map(yaml.safe_dump) | JSON.map(json.dumps))
@example("?")
def test_any_text_is_a_configuration_or_none(text: str) -> None:
    try:
        value = security.read_yaml(text)
    except yaml.YAMLError:
        return
    security.check_named(value if not isinstance(value, dict) or "class_path" not in value else {})


@FREELY
@given(st.text() | st.from_regex(r"(\.|/|\.\.|a|\\|\x00){1,8}", fullmatch=True))
def test_a_name_stays_in_its_folder_or_is_refused(name: str) -> None:
    try:
        path = Path("out", f"{checked_name(name)}.npz")
    except ConfigError:
        return
    assert path.parent == Path("out") and len(path.parts) == 2
    assert one_line(name).isprintable()


def test_guided_fuzzing_says_that_it_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guided.importlib.util, "find_spec", lambda name: None)
    assert guided.main([]) == 0
    assert capsys.readouterr().out.startswith("guided fuzzing is left out")


def test_an_escape_and_a_hang_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LIMIT_S", 1)

    def spin(_: Path) -> None:
        while True:
            pass

    def fail(_: Path) -> None:
        raise RecursionError

    for read, name in ((spin, "Hang"), (fail, "RecursionError")):
        target = run.Target("file", lambda draw: b"", read)
        assert run.outcome(target, "seed", tmp_path).startswith(name)


@pytest.mark.parametrize(
    "geometry",
    [
        {"segmentation": [[1, 2] * 200_000]},
        {"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}},
        {"segmentation": {"size": [2, 2], "counts": "o" * 100_000}},
        {"segmentation": [[[[[[1, 2, 3, 4, 5, 6]]]]]]},
        {"bbox": [0, 0, 10**400, 1]},
    ],
)
def test_geometry_without_end_is_refused(tmp_path: Path, geometry: dict[str, object]) -> None:
    write_avatar(tmp_path, {"abcdefghijk_00010": {"00003": [instance(**geometry)]}}, empty=True)
    with pytest.raises(AnnotationError, match=r"00003\.json"):
        AVATAR(str(tmp_path)).clips()


def test_image_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\0\0\0\0\x99\x16\x85\x37"
    )  # 20,000 x 20,000
    with pytest.raises(AnnotationError, match=r"bomb\.png"):
        read_mask(tmp_path / "bomb.png")
    path = write_avatar(tmp_path, {"abcdefghijk_00010": {"00003": [instance()]}}, empty=True)
    file = path / "metadata/abcdefghijk_00010/00003.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"original_width": 10**9}))
    with pytest.raises(AnnotationError, match="no image has 1000000000 x 64 pixels"):
        AVATAR(str(tmp_path)).clips()
