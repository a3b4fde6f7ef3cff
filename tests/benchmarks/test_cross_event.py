"""The strip of a cross-event clip."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import cross_event
from benchmarks.scenes import ReplayedClip, replay
from tavlo_pl.errors import ConfigError
from tests.helpers.predict import localizer

SHOWN_S = cross_event.times_s(4, 2.0, 4)


@pytest.fixture
def clip(world: Path) -> ReplayedClip:
    (found,) = (each for each in replay(world / "test") if each.scene.kind == "cross_event")
    return found


def test_moments_are_the_middles_of_segments() -> None:
    assert cross_event.times_s(16, 4.0, 4) == [0.625, 1.625, 2.625, 3.625]
    assert SHOWN_S == [0.25, 0.75, 1.25, 1.75]


def test_peak_is_the_middle_of_the_highest_pixels() -> None:
    score, mask = np.zeros((2, 2), np.float32), np.zeros((8, 8), bool)
    score[0, 0] = 1
    assert cross_event.peak(score, mask) == (0.5, 0.5, False)  # the outer half of the cell
    mask[:2, :1] = True
    assert cross_event.peak(score, mask)[2]


def test_peaks_are_counted_where_a_source_is_visible(clip: ReplayedClip) -> None:
    masks = [cross_event.truth(clip, time_s)[1] for time_s in SHOWN_S]
    maps = np.stack([mask.astype(np.float32) for mask in masks])
    hits = cross_event.on_source(clip, (np.array(SHOWN_S), maps), SHOWN_S)
    assert hits == [True if mask.any() else None for mask in masks] and True in hits
    misses = cross_event.on_source(clip, (np.array(SHOWN_S), -maps), SHOWN_S)
    assert cross_event.counted(misses) == f"on the source 0 of {sum(hit is not None for hit in hits)}"
    assert cross_event.seen(clip, SHOWN_S)[1] == hits.count(True)


def test_strip_is_written_as_a_small_jpeg(
    clip: ReplayedClip, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cross_event, "load_localizer", lambda path: localizer())
    cross_event.strip(str(world / "test"), {"one": "a.ckpt", "other": "b.ckpt"}, str(tmp_path / "new/a.jpg"), moments=4)
    assert f"{clip.scene.name} one: on the source" in capsys.readouterr().out
    path = tmp_path / "new/a.jpg"
    assert path.stat().st_size <= cross_event.MOST_BYTES
    image = Image.open(path)
    step = cross_event.HEIGHT_PX + cross_event.GAP_PX  # frames are square
    assert image.size[0] == cross_event.LABEL_PX + 4 * step
    assert image.size[1] == cross_event.HEADER_PX + 3 * step + cross_event.FOOTER_PX


def test_strip_needs_a_model_and_a_cross_event_clip(world: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match="at least one model"):
        cross_event.strip(str(world / "test"), {}, out)
    (single,) = (each.scene.name for each in replay(world / "test") if each.scene.kind == "single_sound")
    with pytest.raises(ConfigError, match=f"no cross-event clip {single}"):
        cross_event.strip(str(world / "test"), {"one": "a.ckpt"}, out, single)
