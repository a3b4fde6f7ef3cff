"""Finds training clips that are also test clips, or that come from the same YouTube video.

Many published lists overlap: 3,709 of the 5,158 clips of VGG-SS are in the 144,000 that most models are trained on.
"""

import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tavlo_pl.data.clip_ids import YOUTUBE_ID_LENGTH, ClipKey, clip_key
from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.types import Stage

MOST_NAMED = 3
"""Number of clips that a message names."""

log = logging.getLogger(__name__)


class Overlap(NamedTuple):
    """Test clips that overlap the training list, each once, by their names in the test list.

    Attributes:
        tested: number of different test clips.
        exact: the same clip (id and start) is in the training list.
        youtube: the training list holds a clip of the same video; includes all of ``exact``.
        start_unknown: of the same video, where one of the lists gives no start: perhaps the same clip.
    """

    tested: int
    exact: tuple[str, ...]
    youtube: tuple[str, ...]
    start_unknown: tuple[str, ...]


def video_of(key: ClipKey) -> str:
    """The YouTube id that a clip is cut from; the whole name where it is no YouTube id.

    >>> video_of(("l_7B1wnTNtA", 20)), video_of(("dog", 1))
    ('l_7B1wnTNtA', 'dog_1')
    """
    head, start = key
    return head if start is None or len(head) == YOUTUBE_ID_LENGTH else f"{head}_{start}"


def find_overlap(train: Iterable[str], test: Iterable[str]) -> Overlap:
    """Compares two lists of names ``<id>_<start>`` or ``<id>``, in any order and with repeats.

    A name without a start counts as the same clip only as another name without a start.
    """
    tested: dict[ClipKey, str] = {}
    for name in test:
        tested.setdefault(clip_key(name), name)
    trained = {clip_key(name) for name in train} if tested else set()
    videos = {video_of(key) for key in trained}
    shared = {key: name for key, name in tested.items() if video_of(key) in videos}
    return Overlap(
        tested=len(tested),
        exact=tuple(name for key, name in shared.items() if key in trained),
        youtube=tuple(shared.values()),
        start_unknown=tuple(
            name for key, name in shared.items() if key not in trained and (key[1] is None or (key[0], None) in trained)
        ),
    )


def check_leakage(sample_ids: Callable[[Stage], Iterable[str]], stages: Iterable[Stage], *, allowed: bool) -> None:
    """Refuses training clips that a held-out stage contains.

    Only names are compared, and on every process, so that all processes end together. A stage whose list cannot be
    read is logged and skipped: the test set may not be available yet.

    Args:
        sample_ids: returns the names of the clips of a stage; empty where the stage has none.
        stages: the held-out stages.
        allowed: log the overlap instead of raising an error.

    Raises:
        ConfigError: a clip of the same video is on both sides, and it is not allowed.
    """
    train = sample_ids("train")
    for stage in stages:
        try:
            held_out = sample_ids(stage)
        except TavloError as error:
            log.warning("Whether data.train holds clips of data.%s could not be checked: %s", stage, error)
        else:
            refuse_overlap(train, held_out, stage, allowed=allowed)


def refuse_overlap(train: Iterable[str], held_out: Iterable[str], stage: Stage, *, allowed: bool) -> None:
    """Raises an error if two lists share clips or videos, or logs it where that is allowed.

    Args:
        train: names of the training clips.
        held_out: names of the clips to validate or test on.
        stage: of ``held_out``: ``val`` or ``test``.
        allowed: log the overlap instead of raising an error.

    Raises:
        ConfigError: a clip of the same video is on both sides, and it is not allowed.
    """
    overlap = find_overlap(train, held_out)
    if not overlap.youtube:
        return
    named = ", ".join(overlap.youtube[:MOST_NAMED]) + (", ..." if len(overlap.youtube) > MOST_NAMED else "")
    found = (
        f"data.train holds clips of the same videos as {len(overlap.youtube)} of the {overlap.tested} clips of "
        f"data.{stage}, {len(overlap.exact)} of them exactly ({named})"
    )
    if not allowed:
        raise ConfigError(
            f"{found}; remove them from the training list (tavlo data audit writes one without them), or train anyway "
            f"with --data.allow_leak true."
        )
    log.warning("%s; allowed by data.allow_leak, so scores on data.%s are too high.", found, stage)
