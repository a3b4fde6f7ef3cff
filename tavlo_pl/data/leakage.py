"""Whether clips to train on are among those to test on: the very clip, or another one of the same YouTube video.

Most published lists of this field leak: 3,709 of VGG-SS's 5,158 clips are in the 144,000 that most are trained on.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

from tavlo_pl.data.clip_ids import YOUTUBE_ID_LENGTH, ClipKey, clip_key
from tavlo_pl.errors import ConfigError

NAMED = 3
"""So many clips are named in a message."""

log = logging.getLogger(__name__)


class Overlap(NamedTuple):
    """Test clips that training sees, each once and by its name there.

    Attributes:
        tested: number of different test clips.
        exact: the very clip (id and start) is in the training list.
        youtube: the training list holds a clip of the same video; all of `exact` are among them.
        start_unknown: of the same video, and one of the lists names no start: perhaps the very clip.
    """

    tested: int
    exact: tuple[str, ...]
    youtube: tuple[str, ...]
    start_unknown: tuple[str, ...]


def video_of(key: ClipKey) -> str:
    """The YouTube id that a clip is cut from; for names of another form the whole name, which is all there is.

    >>> video_of(("l_7B1wnTNtA", 20)), video_of(("dog", 1))
    ('l_7B1wnTNtA', 'dog_1')
    """
    head, start = key
    return head if start is None or len(head) == YOUTUBE_ID_LENGTH else f"{head}_{start}"


def find_overlap(train: Iterable[str], test: Iterable[str]) -> Overlap:
    """Compares two lists of names ``<id>_<start>`` or ``<id>``, in whatever order and with whatever repeats.

    Names without a start are the very clip only of the same name without a start.
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


def refuse_overlap(train: Iterable[str], held_out: Iterable[str], stage: str, allowed: bool) -> None:
    """Ends a run that would train on what it is measured with; where that is allowed, only says so.

    Args:
        train: names of the training clips.
        held_out: names of the clips to validate or test on.
        stage: what these are for: ``val`` or ``test``.
        allowed: whether the user asked for it.

    Raises:
        ConfigError: a clip of the same video is on both sides, and it is not allowed.
    """
    overlap = find_overlap(train, held_out)
    if not overlap.youtube:
        return
    named = ", ".join(overlap.youtube[:NAMED]) + (", ..." if len(overlap.youtube) > NAMED else "")
    found = (
        f"data.train holds clips of the same videos as {len(overlap.youtube)} of the {overlap.tested} clips of "
        f"data.{stage}, {len(overlap.exact)} of them exactly ({named})"
    )
    if not allowed:
        raise ConfigError(
            f"{found}; take them off the training list (tavlo data audit writes one without them), or train all the "
            f"same with --data.allow_leak true."
        )
    log.warning("%s; that is allowed, and figures on data.%s are too good.", found, stage)
