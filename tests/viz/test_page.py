"""The templates shared by all pages, parsed with the standard library."""

from base64 import b64decode
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tavlo_pl.viz import page
from tavlo_pl.viz.page import anchor, render, static_text
from tavlo_pl.viz.table import Table

PACKAGE = Path(str(files("tavlo_pl")))
HOSTILE = "a <b> & \"c\" 'd' {{ 7 * 7 }} {% raw %} </script>"
VOID = {"meta", "link", "img"}


class Reader(HTMLParser):
    """Collects text, attributes and open elements; elements that are not nested properly are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            self.attributes.setdefault(f"{tag} {name}", []).append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += [data.strip()] if data.strip() else []


def macro(call: str, **context: object) -> Reader:
    """Renders one call of a macro of the shared components."""
    name = call.partition("(")[0]
    source = f'{{% from "components.html.j2" import {name} %}}{{{{ {call} }}}}'
    return Reader(page.environment(page.SHARED).from_string(source).render(context))


def test_macros_escape_all_text() -> None:
    table = Table(HOSTILE, ["", HOSTILE], [[HOSTILE, HOSTILE]], [HOSTILE])
    assert macro("data_table(table)", table=table).words == [HOSTILE] * 5
    assert macro("facts(pairs)", pairs={HOSTILE: HOSTILE}).words == [HOSTILE] * 2
    assert macro("dim(text)", text=HOSTILE).words == [HOSTILE]
    image = macro("embedded_image(image, text)", image=b"", text=HOSTILE)
    assert image.words == image.attributes["img alt"] == [HOSTILE]
    video = macro("video(text, text)", text=HOSTILE)
    assert video.words == video.attributes["video src"] == [HOSTILE]


def test_base_escapes_the_title() -> None:
    read = Reader(render(page.SHARED, "base.html.j2", title=HOSTILE))
    assert read.words.count(HOSTILE) == 2  # title and h1


def test_base_links_the_sections_that_are_shown() -> None:
    sections = [("One & two", True), ("Absent", []), ("Three", ["content"])]
    read = Reader(render(page.SHARED, "base.html.j2", title="t", sections=sections))
    assert read.attributes["a href"] == ["#one---two", "#three"]
    assert anchor("One & two") == "one---two"


def test_base_inlines_the_style_and_has_no_links() -> None:
    text = render(page.SHARED, "base.html.j2", title="t")
    assert static_text(page.SHARED, "page.css") in text
    assert Reader(text).attributes["link href"] == ["data:,"]


def test_render_raises_for_a_missing_variable() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render(page.SHARED, "base.html.j2")


def test_static_text_searches_the_package_first() -> None:
    assert "gallery" in static_text("tavlo_pl.predict", "gallery.js")
    assert static_text("tavlo_pl.predict", "page.css") == static_text(page.SHARED, "page.css")
    with pytest.raises(FileNotFoundError, match=r"gallery\.js"):
        static_text(page.SHARED, "gallery.js")


def test_embedded_image_contains_the_file() -> None:
    (source,) = macro("embedded_image(image, '')", image=b"png").attributes["img src"]
    assert b64decode(source.removeprefix("data:image/png;base64,")) == b"png"


def test_data_table_has_row_and_column_headers() -> None:
    read = macro("data_table(table)", table=Table("title", ["", "one"], [["a", "1"], ["b", "2"]], ["note"]))
    assert read.attributes["th scope"] == ["col", "col", "row", "row"]
    assert read.words == ["title", "one", "a", "1", "b", "2", "note"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/static/*")), ids=lambda path: path.name)
def test_static_files_are_inlinable_and_load_nothing_external(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "</script" not in text and "</style" not in text
    assert "http:" not in text and "https:" not in text and "//cdn" not in text
    assert text.count("\n") <= 350


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/templates/*.html.j2")), ids=lambda path: path.name)
def test_templates_mark_only_static_files_and_plots_as_safe(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if "safe" in line and "{{" in line:
            assert "{{ static(" in line or "{{ svg | safe }}" in line, line
