"""Pieces of a page, read back with the standard library's parser."""

from base64 import b64decode
from html.parser import HTMLParser

from tavlo_pl.viz.page import details, drawing, facts, film, grid, html_page, paragraph, picture, section, table_html
from tavlo_pl.viz.table import Table

NASTY = 'a <b> & "c"'
VOID = {"meta", "link", "img"}


class Reader(HTMLParser):
    """Keeps words, attributes and open elements, and fails where they do not nest."""

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


def test_all_text_is_escaped_and_comes_out_as_it_went_in() -> None:
    table = Table(NASTY, ["", NASTY], [[NASTY, NASTY]], [NASTY])
    blocks = [paragraph(NASTY), table_html(table), facts({NASTY: NASTY}), details(NASTY, paragraph(NASTY))]
    blocks += [picture(b"", NASTY), film(NASTY, NASTY)]
    read = Reader(html_page(NASTY, [section(NASTY, *blocks)]))
    # title, h1, link, h2 · paragraph · 5 of the table · 2 · 2 · the captions of picture and film
    assert read.words.count(NASTY) == 4 + 1 + 5 + 2 + 2 + 2
    assert read.attributes["video src"] == [NASTY] == read.attributes["img alt"]


def test_the_links_on_top_lead_to_the_sections() -> None:
    read = Reader(html_page("t", [section("One & two"), section("Three", paragraph("<h2>not one</h2>"))]))
    assert read.attributes["a href"] == [f"#{anchor}" for anchor in read.attributes["section id"]]
    assert len(set(read.attributes["a href"])) == 2


def test_a_page_asks_for_nothing_from_elsewhere() -> None:
    read = Reader(html_page("t", [section("s", picture(b"png", "p"), film("films/1.mp4"))], script="let a = 1;"))
    assert read.attributes["video src"] == ["films/1.mp4"]
    assert read.attributes["link href"] == ["data:,"]
    (source,) = read.attributes["img src"]
    assert b64decode(source.removeprefix("data:image/png;base64,")) == b"png"
    assert "let a = 1;" in read.words


def test_a_table_has_heads_for_rows_and_columns() -> None:
    read = Reader(table_html(Table("title", ["", "one"], [["a", "1"], ["b", "2"]], ["note"])))
    assert read.attributes["th scope"] == ["col", "col", "row", "row"]
    assert read.words == ["title", "one", "a", "1", "b", "2", "note"]


def test_drawings_and_grids_keep_what_they_hold() -> None:
    read = Reader(grid([drawing("<svg><g></g></svg>", "one"), drawing("<svg></svg>")], 300))
    assert read.words == ["one"]
    assert read.attributes["div style"] == ["--least: 300px"]
