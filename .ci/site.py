#!/usr/bin/env python3
"""Collects the pages of the documentation site, and checks the links of the built site. `make docs` runs both.

python .ci/site.py pages && zensical build --strict && python .ci/site.py links

Every text has one source: the pages are docs/*.md and the files of `PAGES`. Links to other files of the repository
become their names, since the site does not contain them.
"""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
DOCS, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "tavlo_pl/weights/real.md": "checkpoint.md",
    "examples/own_video.ipynb": "notebook.md",
}
"""File of the repository -> page."""

COPIED = {".css", ".jpg", ".svg"}
"""Suffixes of files that are copied as they are."""

LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def sources() -> dict[Path, str]:
    """Each file of the repository that is part of the site, and its name in the site."""
    docs = ROOT / "docs"
    found = {path: path.relative_to(docs).as_posix() for path in docs.rglob("*") if path.suffix in {".md", *COPIED}}
    return found | {ROOT / name: page for name, page in PAGES.items()}


def from_notebook(text: str) -> str:
    """Markdown of a notebook: its texts, and its code in blocks."""
    cells = json.loads(text)["cells"]
    parts = ["".join(cell["source"]) for cell in cells]
    blocks = [
        f"```python\n{part}\n```" if cell["cell_type"] == "code" else part
        for cell, part in zip(cells, parts, strict=True)
    ]
    return "\n\n".join(blocks) + "\n"


def with_links(text: str, source: Path, pages: dict[Path, str], titles: dict[str, str]) -> str:
    """The text of a page whose links lead to pages of the site; names of files become the titles of their pages.

    Raises:
        SystemExit: a link leads to a file that does not exist.
    """

    def replaced(match: re.Match[str]) -> str:
        label, target = match.groups()
        path, hash_sign, anchor = target.partition("#")
        if not path or urlsplit(target).scheme:
            return match[0]
        file = (source.parent / unquote(path)).resolve()
        if not file.exists():
            sys.exit(f"{source.relative_to(ROOT)}: the link {target} leads to no file")
        if file in pages:
            page = pages[file]
            label = titles.get(page, label) if label.endswith(".md") else label
            return f"[{label}]({page}{hash_sign}{anchor})"  # all pages are in one folder
        return label if label.startswith("`") else f"`{label}`"

    # Code, in blocks or in a line, has no links.
    pieces = re.split(r"(^```.*?^```|`[^`\n]+`(?!\]))", text, flags=re.M | re.S)
    return "".join(piece if number % 2 else LINK.sub(replaced, piece) for number, piece in enumerate(pieces))


def titles_in(nav: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Page and title of a navigation, whose entries are a page or a list of entries."""
    for entry in nav:
        for title, value in entry.items():
            yield from [(value, title)] if isinstance(value, str) else titles_in(value)


def write_pages() -> None:
    """Writes all pages and images to build/docs.

    Raises:
        SystemExit: the navigation lacks a page, or has one that does not exist.
    """
    pages = sources()
    titles = dict(titles_in(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]))
    made = {page for page in pages.values() if page.endswith(".md")}
    if titles.keys() != made:
        missing, extra = sorted(made - titles.keys()), sorted(titles.keys() - made)
        sys.exit(f"nav of zensical.toml: missing {missing}, without a file {extra}")
    shutil.rmtree(DOCS, ignore_errors=True)
    for source, page in pages.items():
        target = DOCS / page
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix in COPIED:
            shutil.copyfile(source, target)
            continue
        text = source.read_text(encoding="utf-8")
        text = from_notebook(text) if source.suffix == ".ipynb" else text
        target.write_text(with_links(text, source, pages, titles), encoding="utf-8")


class Page(HTMLParser):
    """What the links of a page lead to, and what they can lead to.

    Attributes:
        ids: of its elements.
        targets: addresses of links, images, styles and scripts.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the ids and addresses of an element."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.targets.add(value)
                if tag in ("img", "script", "iframe") and urlsplit(value).netloc:
                    self.targets.add(f"external:{value}")


def broken_links() -> list[str]:
    """Each address of the site that leads to no file or to no element, and what a page would load from elsewhere."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in SITE.rglob("*.html") if path.name != "404.html"}
    found = []
    for path, page in sorted(pages.items()):
        for target in sorted(page.targets):
            parts = urlsplit(target)
            if parts.scheme in ("http", "https", "mailto", "data") or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            is_there = file.is_file() and parts.scheme != "external"
            is_there &= not parts.fragment or file not in pages or unquote(parts.fragment) in pages[file].ids
            if not is_there:
                found.append(f"{path.relative_to(SITE)}: {target}")
    return found


def main(task: str) -> None:
    """Runs a task: ``pages`` or ``links``."""
    if task == "pages":
        write_pages()
    else:
        found = broken_links()
        count = len(list(SITE.rglob("*.html")))
        sys.exit("\n".join(["broken links:", *found]) if found or not count else 0)


if __name__ == "__main__":
    main(sys.argv[1])
