"""Several data sets as one."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import overload

from typing_extensions import override

from tavlo_pl.data.clip import Clip, ClipSource, LazyClips, TrainingGroup, training_groups
from tavlo_pl.errors import ConfigError


class Concat(ClipSource):
    """The clips of several sources, one source after the other, for example to train on VGGSound and one's own videos.

    Args:
        sources: at least one.

    Raises:
        ConfigError: there is no source.
    """

    def __init__(self, sources: list[ClipSource]) -> None:
        if not sources:
            raise ConfigError("Concat has no sources; give at least one")
        self.sources = sources

    def clips(self) -> "JoinedClips":
        """All clips, source by source."""
        return JoinedClips([source.clips() for source in self.sources])

    @override
    def sample_ids(self) -> list[str]:
        """Names of the clips."""
        return [name for source in self.sources for name in source.sample_ids()]

    def check_spec(self, parts: int, duration_s: float) -> None:
        """Rejects segments that one of the sources does not support; see `ClipSource.check_spec`."""
        for source in self.sources:
            source.check_spec(parts, duration_s)


class JoinedClips(LazyClips):
    """The clips of several sequences as one.

    Args:
        parts: the sequences.
    """

    def __init__(self, parts: list[Sequence[Clip]]) -> None:
        self.parts = parts
        self._ends = list(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, position: int) -> Clip: ...
    @overload
    def __getitem__(self, position: slice) -> list[Clip]: ...
    def __getitem__(self, position: int | slice) -> Clip | list[Clip]:
        """One clip, or the clips of a slice."""
        if isinstance(position, slice):
            return [self[at] for at in range(len(self))[position]]
        at = range(len(self))[position]
        part = bisect_right(self._ends, at)
        return self.parts[part][at - (self._ends[part] - len(self.parts[part]))]

    def sample_ids(self) -> list[str]:
        """Names of the clips."""
        return [
            name
            for part in self.parts
            for name in (part.sample_ids() if isinstance(part, LazyClips) else [clip.sample_id for clip in part])
        ]

    @override
    def training_groups(self) -> list[TrainingGroup]:
        """Those of all parts; neighbours with equally many segments are one."""
        found = [group for part in self.parts for group in training_groups(part)]
        return [
            TrainingGroup(sum(group.clips for group in same), segments)
            for segments, same in groupby(found, lambda group: group.segments)
        ]
