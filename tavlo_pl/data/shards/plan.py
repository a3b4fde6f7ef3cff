"""Assignment of clips to shards, and the order of reading."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.media import archive
from tavlo_pl.errors import MediaError


@dataclass(frozen=True)
class ShardJob:
    """Clips that are read sequentially.

    Attributes:
        shards: numbers of their shards.
        clips: the clips; those of an archive in any order.
    """

    shards: range
    clips: Sequence[Clip]

    def sizes(self, clips_per_shard: int) -> Iterator[tuple[int, int]]:
        """Number of clips of each shard, by its number."""
        for position, number in enumerate(self.shards):
            yield number, min(clips_per_shard, len(self.clips) - position * clips_per_shard)


@dataclass(frozen=True)
class LoadedClip(Clip):
    """A clip of an archive whose video is in memory.

    Args:
        content: the video.
        reason: why it could not be read.
    """

    content: media.MemoryFile | None = None
    reason: str = ""

    @property
    def file(self) -> media.MemoryFile:
        """The video in memory; see `Clip.file`."""
        if self.content is None:
            raise MediaError(self.reason)
        return self.content


def plan(clips: Sequence[Clip], clips_per_shard: int) -> list[ShardJob]:
    """Divides a list into jobs, which are distributed over parts: one shard of files, or all shards of an archive."""
    groups: dict[Path | None, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.archive, []).append(clip)
    files = groups.pop(None, [])
    pieces = [files[start : start + clips_per_shard] for start in range(0, len(files), clips_per_shard)]
    jobs: list[ShardJob] = []
    for piece in [*pieces, *(groups[path] for path in sorted(groups, key=str))]:
        first = jobs[-1].shards.stop if jobs else 0
        jobs.append(ShardJob(range(first, first - (-len(piece) // clips_per_shard)), piece))
    return jobs


def in_order(clips: Sequence[Clip]) -> Iterator[Clip]:
    """Clips of one job in the order of its shards: files as listed, an archive sequentially."""
    path = clips[0].archive if clips else None
    return iter(clips) if path is None else _loaded(path, clips)


def _loaded(path: Path, clips: Sequence[Clip]) -> Iterator[Clip]:
    """The clips of one archive, which is read once, sequentially."""
    missing: dict[str | None, list[Clip]] = {}
    for clip in clips:
        missing.setdefault(clip.member, []).append(clip)
    reason = "not in the archive; index it again"
    try:
        for name, content in archive.members(path):
            for clip in missing.pop(name, ()):
                yield _with(clip, content)
            if not missing:
                return
    except MediaError as error:
        reason = str(error)
    for clip in (clip for group in missing.values() for clip in group):
        yield _with(clip, reason=f"{clip.where}: {reason}")


def _with(clip: Clip, content: media.MemoryFile | None = None, reason: str = "") -> LoadedClip:
    known = {field.name: getattr(clip, field.name) for field in fields(Clip)}
    return LoadedClip(**known, content=content, reason=reason)
