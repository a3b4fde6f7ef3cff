"""Several data sets as one."""

from pathlib import Path

import pytest

from tavlo_pl.data.clip import Clip, ClipSource, fingerprint
from tavlo_pl.data.datasets import Concat
from tavlo_pl.errors import ConfigError


class Listed(ClipSource):
    """Clips with given names; supports clips of at most 4 segments."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def clips(self) -> list[Clip]:
        return [Clip(name, Path(f"{name}.mp4")) for name in self.names]

    def check_spec(self, parts: int, duration_s: float) -> None:
        if parts > 4:
            raise ConfigError("too many")


def test_clips_of_all_sources_in_order() -> None:
    source = Concat([Listed("a", "b"), Listed("c"), Concat([Listed("d")])])
    clips = source.clips()
    names = ["a", "b", "c", "d"]
    assert [clip.sample_id for clip in clips] == clips.sample_ids() == source.sample_ids() == names
    assert (len(clips), clips[-1].sample_id, clips[2].sample_id) == (4, "d", "c")
    assert [clip.sample_id for clip in clips[1:3]] == ["b", "c"]
    assert fingerprint(clips)["clips"] == 4 and fingerprint(clips) != fingerprint(Concat([Listed("a")]).clips())
    with pytest.raises(IndexError):
        clips[4]


def test_every_source_must_support_the_segments() -> None:
    source = Concat([Listed("a"), Listed("b")])
    source.check_spec(4, 1.0)
    with pytest.raises(ConfigError, match="too many"):
        source.check_spec(5, 1.0)
    with pytest.raises(ConfigError, match="no sources"):
        Concat([])
