"""``index.html``: all films of a folder on one page that needs no network."""

import json
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.viz import page

STYLE = """
.bar { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: 1rem 0; }
.bar select { font: inherit; color: inherit; background: var(--fill); border: 1px solid var(--line); border-radius: 6px;
  padding: .3rem .5rem; }
.card { border: 1px solid var(--line); border-radius: 10px; overflow: hidden; background: var(--fill); }
.card figure { margin: 0; background: #000; }
.card video, .card img { width: 100%; aspect-ratio: 16 / 9; height: auto; object-fit: contain; }
.card .text { padding: .6rem .8rem .8rem; }
.card h2 { all: unset; display: block; font-weight: 600; overflow-wrap: anywhere; }
.card .line { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-variant-numeric: tabular-nums; }
.card button { all: unset; cursor: pointer; color: var(--mark); }
.card button:focus-visible, .card a:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
.card a { color: var(--mark); margin-right: .9rem; }
.times { display: block; width: 100%; height: 34px; margin: .45rem 0 .35rem; background: var(--paper);
  border-radius: 4px; }
"""

SCRIPT = """
const list = document.getElementById("films");
const order = document.getElementById("order");
const keys = {
  score: (a, b) => b.dataset.score - a.dataset.score,
  name: (a, b) => a.dataset.name.localeCompare(b.dataset.name),
  length: (a, b) => b.dataset.length - a.dataset.length,
};
order.addEventListener("change", () => list.append(...[...list.children].sort(keys[order.value])));
for (const card of list.children) {
  const film = card.querySelector("video");
  const jump = card.querySelector("button");
  if (film && jump) jump.addEventListener("click", () => {
    film.currentTime = jump.dataset.at; film.play(); });
}
"""


def write_gallery(folder: Path) -> Path:
    """Writes ``index.html`` of all videos in a folder that are finished, the highest score first.

    Args:
        folder: that ``tavlo predict`` wrote.
    """
    found = [(path, json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("*.sources.json")]
    found.sort(key=lambda item: (-item[1]["score"], item[1]["sample_id"]))
    cards = "\n".join(_card(folder, path.name.removesuffix(".sources.json"), facts) for path, facts in found)
    notes = sorted({note for _, facts in found if (note := facts["made_with"].get("note"))})
    if any(facts["threshold"] is None for _, facts in found):
        notes.append(
            "The checkpoint holds no threshold, so it is not known where no source is visible: the opacity is the "
            "score, from the lowest of a video to its highest."
        )
    else:
        notes.append("Where nothing is coloured, no pixel reaches the checkpoint's threshold: no source is visible.")
    bar = (
        '<div class="bar"><label>Sort by <select id="order"><option value="score">highest score</option>'
        '<option value="name">name</option><option value="length">length</option></select></label>'
        f'<span class="dim">{len(found)} video{"" if len(found) == 1 else "s"}</span></div>'
    )
    body = f'{bar}\n<div class="grid" style="--least: 20rem" id="films">\n{cards}\n</div>'
    lead = "\n".join(page.paragraph(note, dim=True) for note in notes)
    address = folder / "index.html"
    write_text_atomic(address, page.html_page("What is making that sound?", [body], lead, STYLE, SCRIPT))
    return address


def _card(folder: Path, name: str, facts: dict[str, Any]) -> str:
    """One video; `name` is that of its files, all else is from its ``sources.json``."""
    poster, film = f"{quote(name)}.jpg", f"{quote(name)}.mp4"
    if (folder / f"{name}.mp4").is_file():
        shown = f'<video controls preload="none" playsinline poster="{poster}" src="{film}"></video>'
    else:
        shown = f'<img src="{poster}" alt="{escape(facts["sample_id"])} at its highest score" loading="lazy">'
    share = facts["visible_share"]
    seen = "" if share is None else f"<span>{_visible(share)}</span>"
    return (
        f'<article class="card" data-score="{float(facts["score"])}" data-length="{float(facts["duration_s"])}" '
        f'data-name="{escape(facts["sample_id"])}"><figure>{shown}</figure><div class="text">'
        f"<h2>{escape(facts['sample_id'])}</h2>{_curve(facts)}"
        f'<div class="line dim"><button type="button" data-at="{float(facts["best_s"])}">highest score '
        f"{facts['score']:.2f} at {clock(facts['best_s'])}</button><span>{clock(facts['duration_s'])} long</span>{seen}"
        f'</div><div class="line dim"><span><a href="{quote(name)}.sources.json">sources</a>'
        f'<a href="{quote(name)}.npz">heatmaps</a></span></div></div></article>'
    )


def _visible(share: float) -> str:
    return "no visible source" if share == 0 else f"a source is visible {share:.0%} of the time"


def _curve(facts: dict[str, Any]) -> str:
    """The highest score over time, with the threshold as a line."""
    steps = facts["steps"]
    end_s = max(facts["duration_s"], 1e-3)
    scores = [step["score"] for step in steps]
    threshold = facts["threshold"]
    low = min(0.0, *scores)  # the same scale on all cards, unless no source is heard at all

    def y(score: float) -> str:
        return f"{31 - 28 * (score - low) / (1 - low):.1f}"

    kept = steps[:: -(-len(steps) // 400)]  # an hour needs no more points than a page has pixels
    points = " ".join(f"{300 * step['time_s'] / end_s:.1f},{y(step['score'])}" for step in kept)
    rule = (
        ""
        if threshold is None
        else (
            f'<line x1="0" x2="300" y1="{y(threshold)}" y2="{y(threshold)}" stroke="var(--dim)" stroke-dasharray="3 4" '
            'vector-effect="non-scaling-stroke"/>'
        )
    )
    return (
        '<svg class="times" viewBox="0 0 300 34" preserveAspectRatio="none" role="img" '
        f'aria-label="highest score over time">{rule}<polyline points="{points}" fill="none" stroke="var(--mark)" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )


def clock(seconds: float) -> str:
    """Seconds as people write them: 0:07.5, 12:03, 1:02:03."""
    if seconds < 59.95:
        return f"0:{seconds:04.1f}"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
