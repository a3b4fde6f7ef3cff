"""Generated timelines: parts that restart, overlap, jump, wrap or leave gaps, and edits, in five containers."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tavlo_pl.data import media
from tavlo_pl.errors import MediaError
from tests.helpers.clips import write_numbered
from tests.helpers.parts import assert_same_as_sequential, concatenate, edit, renumber

WRAP_S = 2**33 / 90_000
PART_S = 0.8
SUFFIXES = [".ts", ".mp4", ".mkv", ".webm", ".flv"]
GOPS = ["keyint=10:bframes=0", "keyint=10:bframes=2:b-adapt=0", "keyint=250:bframes=3:b-pyramid=normal:b-adapt=0"]


@st.composite
def part_starts(draw: st.DrawFn, suffix: str) -> list[float]:
    """Starts of up to four parts on the clock of the container."""
    steps = {"restart": None, "next": PART_S, "overlap": PART_S - 0.1, "gap": PART_S + 1.5}
    if suffix == ".ts":
        steps |= {"jump": 3600.0, "hop": 30.0}
    starts_s = [draw(st.sampled_from([0.0, 7.3, *([WRAP_S - 0.4, WRAP_S - 1.2] if suffix == ".ts" else [])]))]
    for name in draw(st.lists(st.sampled_from(sorted(steps)), max_size=3)):
        step_s = steps[name]
        next_s = 0.0 if step_s is None else starts_s[-1] + step_s
        starts_s.append(next_s % WRAP_S if suffix == ".ts" else next_s)
    return starts_s


@st.composite
def segments(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Up to three segments of an edit list over a video of 2.4 s."""
    tenths = st.tuples(st.integers(0, 16), st.integers(2, 8))
    return [(start / 10, length / 10) for start, length in draw(st.lists(tenths, min_size=1, max_size=3))]


def check(data: st.DataObject, folder: Path) -> None:
    """Writes one generated file; it is read as a sequential decoder reads it, or ends as one sentence."""
    suffix, x264 = data.draw(st.sampled_from(SUFFIXES)), data.draw(st.sampled_from(GOPS))
    path = folder / f"clip{suffix}"
    if suffix == ".mp4":
        write_numbered(path, seconds=2.4, x264=x264, click_s=(0.5, 1.6))
        edit(path, data.draw(segments()))
    else:
        form: dict[str, Any] = {"x264": x264}
        concatenate(path, data.draw(part_starts(suffix)), PART_S, **form)
        if suffix == ".ts" and data.draw(st.booleans()):
            renumber(path)
    try:
        media.probe(path)
    except MediaError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert refusal.startswith(f"{path}: ") and "\n" not in refusal
        return
    assert_same_as_sequential(path, with_audio=suffix != ".mp4")


def _run(data: st.DataObject) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        check(data, folder)
    finally:
        shutil.rmtree(folder)


@settings(max_examples=3, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_few_generated_timelines(data: st.DataObject) -> None:
    _run(data)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_generated_timelines(data: st.DataObject) -> None:
    _run(data)
