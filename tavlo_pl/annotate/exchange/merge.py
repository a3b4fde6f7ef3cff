"""Imports annotations into a project, as decisions."""

import secrets
from dataclasses import replace

from tavlo_pl.annotate.decisions import Decisions, now
from tavlo_pl.annotate.exchange.tree import Tree
from tavlo_pl.annotate.frames import FrameInstance
from tavlo_pl.annotate.locks import ClipLocks
from tavlo_pl.annotate.project import Project
from tavlo_pl.errors import ConfigError


def merge(project: Project, tree: Tree, by: str, overwrite: bool) -> tuple[int, int]:
    """Saves imported frames.

    Args:
        project: which has all of the clips.
        tree: the frames.
        by: name of the annotator in the journal.
        overwrite: replace decided frames; their states remain in the journal.

    Returns:
        Number of saved frames, and of those that were decided before and are kept.

    Raises:
        ConfigError: the project lacks a clip, or another annotator works on one.
    """
    known = set(project.clips())
    unknown = [clip for clip in tree if clip not in known]
    if unknown:
        raise ConfigError(
            f"{project.folder} has no clip {unknown[0]} (of {len(unknown)}); check the names of the clips"
        )
    decisions, locks, session = Decisions(project.folder), ClipLocks(project.folder / "locks"), secrets.token_hex(8)
    saved = kept = 0
    for clip, frames in tree.items():
        holder = locks.take(clip, session, by)
        if holder.session != session:
            raise ConfigError(f"{holder.annotator} works on clip {clip}; run the same command later")
        try:
            decided = {frame.number for frame in decisions.frames(clip) if frame.status != "open"}
            for frame in frames:
                if frame.number in decided and not overwrite:
                    kept += 1
                    continue
                instances = tuple(_confirmed(each, by) for each in frame.instances)
                decisions.save(clip, replace(frame, instances=instances), by)
                saved += 1
        finally:
            locks.release(clip, session)
    return saved, kept


def _confirmed(each: FrameInstance, by: str) -> FrameInstance:
    if each.provenance.confirmed_by is not None:
        return each
    return replace(each, provenance=replace(each.provenance, confirmed_by=by, confirmed_at=now()))
