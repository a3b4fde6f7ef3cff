"""Scenes drawn again agree with the files of their world."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scenes import replay
from tavlo_pl.data import media
from tavlo_pl.data.annotations import RunLengths
from tavlo_pl.errors import ConfigError


def test_replayed_clips_have_the_annotated_masks(world: Path) -> None:
    annotated = 0
    for clip in replay(world / "test"):
        for file in (world / "test/metadata" / clip.scene.name).glob("*.json"):
            time_s = int(file.stem) / clip.world.frame_rate
            _, view = clip.draw(time_s)
            for each in json.loads(file.read_text())["annotations"]:
                if "segmentation" in each:
                    category = each["audio_visual_category"]
                    (actor,) = (n for n in clip.sources(time_s, view) if clip.scene.actors[n].category == category)
                    assert list(RunLengths.of(view.owner == actor).counts) == each["segmentation"]["counts"]
                    annotated += 1
    assert annotated >= 4


def test_replayed_frames_are_those_of_the_video(world: Path) -> None:
    clip = replay(world / "test")[0]
    for time_s in (0.0, 0.3, 1.0, 1.99, 2.5):
        (shown,) = media.read_clip(clip.video, [time_s], None, 0.0, 0.0).frames.astype(int)
        errors = [np.abs(clip.draw(n / 5)[0] - shown).mean() for n in range(10)]
        assert int(np.argmin(errors)) == clip.frame_at(time_s)


def test_source_is_active_in_its_audible_bursts(world: Path) -> None:
    (clip,) = (each for each in replay(world / "test") if each.scene.kind == "single_sound")
    (source,) = (n for n, actor in enumerate(clip.scene.actors) if actor.audible)
    activity = clip.scene.actors[source].activity
    assert activity is not None and activity.audible
    times_s = [sum(burst) / 2 for burst in activity.bursts if sum(burst) > 0]
    active = [clip.is_active(source, time_s, clip.draw(time_s)[1]) for time_s in times_s]
    heard = [burst in activity.audible for burst in activity.bursts if sum(burst) > 0]
    assert any(active) and not any(a and not h for a, h in zip(active, heard, strict=True))
    hidden = clip.draw(times_s[active.index(True)])[1]
    hidden.owner[hidden.owner == source] = -1
    assert not clip.is_active(source, times_s[active.index(True)], hidden)


def test_replay_refuses_other_folders(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no split of a procedural world"):
        replay(tmp_path)
    with pytest.raises(ConfigError, match=r"no such clip of .*: nowhere"):
        replay(world / "test", ["nowhere"])
    other = json.loads((world / "world.json").read_text()) | {"version": 1}
    (tmp_path / "world.json").write_text(json.dumps(other))
    with pytest.raises(ConfigError, match="version 2"):
        replay(tmp_path / "test")
