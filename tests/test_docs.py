"""Commands in the documents: each is run by a named test or marked with what it needs, and has the options it shows."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tavlo_pl.__main__ import TRAINER_COMMANDS
from tavlo_pl.config.arguments import FLAGS
from tests.helpers.cli import tavlo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- run by: (?P<test>\S+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
SHELL = {"bash", "sh"}
OF_CLASS = re.compile(r"^(--\S+?)\.init_args\..*|^(?:(--(?:source|optimizer|lr_scheduler|trainer\.logger))\..*)")
"""An option of a class; the option that takes the class."""


class Block(NamedTuple):
    """A block of commands."""

    place: str
    test: str | None
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each ``tavlo`` command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines if re.match(r"(srun )?tavlo ", line)]
        return [line[line.index("tavlo") + 1 :] for line in words]


def blocks() -> Iterator[Block]:
    """All blocks of commands of all pages."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(text):
            shows_command = re.search(r"^(tavlo|python|make|docker) ", found["text"], re.MULTILINE)
            if found["language"] in SHELL or (not found["language"] and shows_command):
                line = text[: found.start("language")].count("\n") + 1
                yield Block(f"{page.relative_to(ROOT)}:{line}", found["test"], found["text"])


BLOCKS = list(blocks())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_block_is_run_by_a_test_or_says_what_it_needs(block: Block) -> None:
    if block.test is None:
        assert re.search(r"^# needs .+", block.text, re.MULTILINE), "name the test that runs it, or what it needs"
        return
    file, _, name = block.test.partition("::")
    names = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert name in names


def test_blocks_are_found() -> None:
    assert len(BLOCKS) > 30
    assert {"fit", "predict", "test", "score", "data", "live"} <= {
        words[0] for block in BLOCKS for words in block.commands
    }


SHOWN = {tuple(words): block.place for block in BLOCKS for words in block.commands}
NAMES = sorted({words[: 2 if words[0] in ("data", "annotate") else 1] for words in SHOWN})


@pytest.mark.parametrize("command", NAMES, ids=" ".join)
def test_options_of_shown_commands_exist(command: tuple[str, ...]) -> None:
    """An option of a class, which depends on the chosen class, is known if the option that takes the class is."""
    helped = tavlo(*command, "--help_all" if command[0] in TRAINER_COMMANDS else "--help")
    assert helped.code == 0, helped.err
    known = set(re.findall(r"-[-\w.]+", helped.out)) | set(FLAGS)
    for words, place in SHOWN.items():
        if words[: len(command)] == command:
            given = {word.partition("=")[0] for word in words if re.match(r"--\w|-c$", word)}
            assert {OF_CLASS.sub(r"\1\2", name) for name in given} <= known, f"{place}: tavlo {' '.join(words)}"


@pytest.mark.slow
def test_five_minute_start_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "world.safetensors").symlink_to(ROOT / "tavlo_pl" / "weights" / "world.safetensors")
    block = next(block for block in BLOCKS if block.place.startswith("docs/start.md"))
    for words in block.commands:
        outcome = tavlo(*words)
        assert outcome.code == 0, outcome.err
    assert (tmp_path / "found" / "index.html").is_file()
    results = json.loads((tmp_path / "found" / "results.json").read_text())
    assert results["protocol"] == "avatar"


@pytest.mark.slow
def test_notebook_runs(tmp_path: Path) -> None:
    """Its code as a script; ``make notebook`` executes it in a kernel."""
    cells = json.loads((ROOT / "examples" / "own_video.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    command = [sys.executable, "-c", f"import matplotlib; matplotlib.use('agg')\n{code}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own_video" / "score" / "results.json").is_file()
    assert not any(cell.get("outputs") for cell in cells)


def site() -> Any:
    """The script that collects the pages and checks links."""
    from tests.test_packaging import script

    return script("site")


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., list[str]]:
    """Checks the links of pages that are written to a folder."""
    module = site()
    module.SITE = tmp_path

    def check(**pages: str) -> list[str]:
        for name, text in pages.items():
            (tmp_path / f"{name}.html").write_text(text)
        return list(module.broken_links())

    return check


def test_broken_links_of_the_site_are_found(built: Callable[..., list[str]]) -> None:
    good = '<h1 id="a">A</h1><a href="b.html#b">b</a><a href="#a">a</a><a href="https://example.org/x">x</a>'
    assert built(a=good, b='<h1 id="b">B</h1>') == []
    bad = (
        '<a href="b.html#c"></a><a href="c.html"></a><img src="d.png"><script src="https://example.org/e.js"></script>'
    )
    assert built(a=bad) == [
        "a.html: b.html#c",
        "a.html: c.html",
        "a.html: d.png",
        "a.html: external:https://example.org/e.js",
    ]


def test_pages_of_the_site_are_the_files_of_the_repository(tmp_path: Path) -> None:
    module = site()
    module.DOCS = tmp_path / "docs"
    module.write_pages()  # ends if the navigation and the files differ, or a link leads to no file
    home = (tmp_path / "docs" / "index.md").read_text()
    assert "[Your own videos](own_videos.md)" in home
    assert "](docs/" not in home
    assert "![Frames of four clips" in home
    assert "](demo.jpg)" in home
    assert "`tests/app/test_page.py`" in (tmp_path / "docs" / "app.md").read_text()
    assert "import tavlo_pl" in (tmp_path / "docs" / "notebook.md").read_text()
