"""A static HTML page that needs no network: style inside, pictures inside or beside it.

Every function returns a piece of HTML as text; what is given as plain text is escaped. Pieces nest:

    html_page("title", [section("heading", paragraph("…"), table_html(table), picture(png, "caption"))])
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from tavlo_pl.viz.table import Table

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --dim: #5d6675; --paper: #ffffff; --line: #d7dce4; --fill: #f3f5f8;
  --mark: #0b62b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #9aa4b2; --paper: #14181f; --line: #343c49;
  --fill: #1d232d; --mark: #6fb3ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(.75rem, 3vw, 2.5rem) 4rem; max-width: 78rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .5rem 0; max-width: 75ch; }
.dim, figcaption, caption { color: var(--dim); font-size: .875rem; }
nav a { margin-right: 1rem; white-space: nowrap; color: var(--mark); }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { background: var(--fill); }
th:first-child, td:first-child { text-align: left; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
figure { margin: .75rem 0; }
img, video, figure > svg { display: block; max-width: 100%; height: auto; }
video { width: 100%; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--least)), 1fr)); }
.grid > * { margin: 0; min-width: 0; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--mark); }
code { font-size: .875em; }
"""


def html_page(title: str, sections: Sequence[str], lead: str = "", style: str = "", script: str = "") -> str:
    """A whole page.

    Args:
        title: heading and name of the page.
        sections: what `section` returns, in order; the page begins with links to them.
        lead: HTML between the title and the links.
        style: CSS beside the common one.
        script: JavaScript to run once the page is there.
    """
    headings = re.findall(r'<section id="(.*?)">\n<h2>(.*?)</h2>', "\n".join(sections))
    links = "".join(f'<a href="#{anchor}">{heading}</a> ' for anchor, heading in headings)
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n'
        f"<body>\n<h1>{escape(title)}</h1>\n{lead}\n<nav>{links}</nav>\n" + "\n".join(sections) + f"\n{code}</body>\n"
        "</html>\n"
    )


def section(heading: str, *blocks: str) -> str:
    """A part of the page with its heading, which is plain text and unlike all others on the page."""
    body = "\n".join(blocks)
    return f'<section id="{_anchor(heading)}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>'


def subheading(text: str) -> str:
    """A heading inside a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str, dim: bool = False) -> str:
    """A paragraph of plain text; `dim` for what is only to be looked up."""
    return f'<p class="dim">{escape(text)}</p>' if dim else f"<p>{escape(text)}</p>"


def details(summary: str, *blocks: str) -> str:
    """Blocks that show when the reader asks for them."""
    body = "\n".join(blocks)
    return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>"


def table_html(table: Table) -> str:
    """A table with its title above and its notes below; on a narrow screen it scrolls sideways by itself."""
    header = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    lines = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(word)}</td>" for word in words) + "</tr>"
        for first, *words in table.rows
    )
    notes = "".join(paragraph(note, dim=True) for note in table.notes)
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>\n<thead><tr>{header}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>\n{notes}"
    )


def facts(pairs: Mapping[str, str]) -> str:
    """Names and what they stand for, one pair a line; long words wrap."""
    lines = "\n".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in pairs.items())
    return f'<div class="scroll"><table class="facts"><tbody>\n{lines}\n</tbody></table></div>'


def picture(image: bytes, caption: str = "", kind: str = "png") -> str:
    """A picture that lies inside the page.

    Args:
        image: the bytes of a PNG file, or of another `kind`.
        caption: plain text below; also what a screen reader says.
        kind: ``png`` or ``jpeg``.
    """
    return _figure(f'<img src="{data_uri(image, kind)}" alt="{escape(caption)}">', caption)


def drawing(svg: str, caption: str = "") -> str:
    """An SVG drawing, as `tavlo_pl.viz.plots` makes them: its text takes the page's colour, dark or light."""
    return _figure(svg, caption)


def film(address: str, caption: str = "") -> str:
    """A film with its controls, by a path relative to the page; it is fetched when the reader plays it."""
    return _figure(f'<video controls preload="metadata" src="{escape(address)}"></video>', caption)


def grid(blocks: Sequence[str], least_px: int = 320) -> str:
    """Blocks side by side, as many as fit with at least so many pixels each."""
    return f'<div class="grid" style="--least: {least_px}px">\n' + "\n".join(blocks) + "\n</div>"


def data_uri(image: bytes, kind: str = "png") -> str:
    """The address of a picture that carries the picture itself."""
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


def _figure(content: str, caption: str) -> str:
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{content}{below}</figure>"


def _anchor(heading: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in heading.lower())
