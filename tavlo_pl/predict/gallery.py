"""``index.html``: all predicted videos of a folder on one page that works offline."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import read_json
from tavlo_pl.viz.page import render

CURVE_POINTS = 400
"""Maximum number of points of a score curve."""

CURVE_WIDTH, CURVE_HEIGHT = 300, 34
"""View box of the score curve in SVG units."""

CURVE_MARGIN = 3

NO_THRESHOLD = (
    "The checkpoint has no threshold, so the videos do not show whether a source is visible: the opacity is the score, "
    "from the lowest of a video to its highest."
)
THRESHOLD = "Where nothing is coloured, no pixel reaches the checkpoint's threshold: no source is visible."


SILENCE = "Silence"
"""AudioSet's class of a moment without sound."""

HEARD_SHOWN = 12
"""Maximum number of time spans whose sound is named on a card; the longest ones."""

LEAST_SCORE = 0.1
"""Mean score from which on a class is named beside the best one."""


class Heard(NamedTuple):
    """A time span with one class of sound.

    Attributes:
        start_s: start in seconds.
        end_s: end in seconds.
        name: the best class of the audio encoder.
        visible: whether a source is visible; None without a threshold.
        others: the other classes with high scores, best first.
    """

    start_s: float
    end_s: float
    name: str
    visible: bool | None
    others: tuple[str, ...]

    @property
    def is_unseen(self) -> bool:
        """Whether there is a sound and no visible source of it."""
        return self.visible is False and self.name != SILENCE


class Card(NamedTuple):
    """Variables of the template for one video.

    Attributes:
        name: of its files, without suffix.
        video: whether its overlay video was written; the poster is shown otherwise.
        facts: content of its ``sources.json``.
        curve: points of the highest score over time in SVG units, from 0 (or the lowest) to the highest of the video.
        threshold_y: vertical position of the threshold in SVG units, if there is a threshold.
        status: whether sources are visible, in words; empty without a threshold.
        heard: what is heard and whether its source is visible, in order of time; empty for a model that tells no
            classes of sounds.
    """

    name: str
    video: bool
    facts: dict[str, Any]
    curve: str
    threshold_y: str | None
    status: str
    heard: list[Heard]


def write_gallery(folder: Path, is_file: Callable[[Path], bool] = Path.is_file) -> Path:
    """Writes ``index.html`` with all finished videos of a folder, in descending order of the highest score.

    Args:
        folder: written by ``tavlo predict``.
        is_file: whether a file of the folder exists.

    Returns:
        Path of the page.
    """
    cards = [card for path in folder.glob("*.sources.json") if (card := _read_card(path, is_file)) is not None]
    cards.sort(key=lambda card: (-card.facts["score"], card.facts["sample_id"]))
    notes = sorted({note for card in cards if (note := card.facts["made_with"].get("note"))})
    notes.append(NO_THRESHOLD if any(card.facts["threshold"] is None for card in cards) else THRESHOLD)
    path = folder / "index.html"
    text = render(
        __package__,
        "gallery.html.j2",
        title="Localized sound sources",
        notes=notes,
        cards=cards,
        clock=clock,
        curve_size=(CURVE_WIDTH, CURVE_HEIGHT),
    )
    write_text_atomic(path, text)
    return path


def _read_card(path: Path, is_file: Callable[[Path], bool]) -> Card | None:
    """The card of a ``sources.json``; None if it is of another program, or its heatmaps are not complete."""
    name = path.name.removesuffix(".sources.json")
    if not is_file(path.with_name(f"{name}.npz")):
        return None
    try:
        facts = read_json(path)
        facts["made_with"].get("note")
        numbers = {field: float(facts[field]) for field in ("score", "duration_s", "best_s")}
        share = facts["visible_share"]
        if not all(map(math.isfinite, (*numbers.values(), share or 0.0))):
            return None
        texts = {field: str(facts[field]) for field in ("sample_id", "video")}
        return _card(name, is_file(path.with_name(f"{name}.mp4")), {**facts, **numbers, **texts})
    except (AnnotationError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return None


def _card(name: str, is_video: bool, facts: dict[str, Any]) -> Card:
    steps, threshold = facts["steps"], facts["threshold"]
    end_s = max(facts["duration_s"], 1e-3)
    ends = [0.0, threshold or 0.0, *(step["score"] for step in steps)]
    low, high = min(ends), max(*ends, min(ends) + 1e-3)

    def y(score: float) -> str:
        inner = CURVE_HEIGHT - 2 * CURVE_MARGIN
        return f"{CURVE_HEIGHT - CURVE_MARGIN - inner * (score - low) / (high - low):.1f}"

    kept = steps[:: -(-len(steps) // CURVE_POINTS)]
    curve = " ".join(f"{CURVE_WIDTH * step['time_s'] / end_s:.1f},{y(step['score'])}" for step in kept)
    threshold_y = None if threshold is None else y(threshold)
    status = visible_status(steps, facts["visible_share"])
    return Card(name, is_video, facts, curve, threshold_y, status, heard_spans(steps, end_s))


def visible_status(steps: list[dict[str, Any]], visible_share: float | None) -> str:
    """States whether sources are visible.

    Args:
        steps: of ``sources.json``.
        visible_share: share of the steps with a visible source; None without a threshold.
    """
    if visible_share is None:
        return ""
    if visible_share:
        return f"a source is visible {100 * visible_share:.0f}% of the time"
    is_silent = all(step.get("sounds") and step["sounds"][0][0] == SILENCE for step in steps)
    return "nothing is heard" if is_silent else "nothing visible matches the sound"


def heard_spans(steps: list[dict[str, Any]], end_s: float) -> list[Heard]:
    """Consecutive steps with the same best class of sound and the same visibility, joined; the longest spans.

    The other classes of a span are those with the highest mean score, as many as a step has.

    Args:
        steps: of ``sources.json``.
        end_s: length of the video in seconds.
    """
    spans: list[Heard] = []
    times_s = [step["time_s"] for step in steps]
    edges_s = [0.0, *((a + b) / 2 for a, b in pairwise(times_s)), end_s]
    moments = zip(edges_s, edges_s[1:], steps, strict=False)
    for best, group in groupby(moments, lambda moment: _best_sound(moment[2])):
        joined = list(group)
        if best is not None:
            totals = Counter[str]()
            for *_, step in joined:
                totals.update(dict(step["sounds"][1:]))
            most = len(joined[0][2]["sounds"]) - 1
            others = (name for name, total in totals.most_common(most) if total >= LEAST_SCORE * len(joined))
            spans.append(Heard(joined[0][0], joined[-1][1], *best, tuple(others)))
    longest = sorted(spans, key=lambda span: span.start_s - span.end_s)[:HEARD_SHOWN]
    return sorted(longest)


def _best_sound(step: dict[str, Any]) -> tuple[str, bool | None] | None:
    """The best class of a step and whether a source is visible; None for a model that tells no classes."""
    return (step["sounds"][0][0], step["visible"]) if step.get("sounds") else None


def clock(seconds: float) -> str:
    """Formats seconds as a time: 0:07.5, 12:03, 1:02:03."""
    if round(seconds, 1) < 60:
        return f"0:{seconds:04.1f}"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
