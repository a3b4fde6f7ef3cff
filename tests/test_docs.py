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

import jsonargparse
import pytest

from tavlo_pl import cli, commands
from tavlo_pl.__main__ import OTHER_COMMANDS, TRAINER_COMMANDS
from tavlo_pl.config.arguments import FLAGS
from tavlo_pl.run.session import RunSession
from tests.helpers.cli import tavlo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- run by: (?P<test>\S+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
SHELL = {"bash", "sh"}
FREE = re.compile(r"^--(model|data|trainer|optimizer|lr_scheduler|source)\.")
"""Options of classes: they depend on the chosen class."""


class Block(NamedTuple):
    """A block of commands."""

    place: str
    test: str | None
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each ``tavlo`` command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines if "tavlo " in line and not line.startswith("#")]
        return [line[line.index("tavlo") + 1 :] for line in words if "tavlo" in line]


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


class ParsedError(Exception):
    """Ends a command once its parser is complete."""


def options_of(words: list[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The options of a command, from its parser."""
    found: list[Any] = []

    def stop(parser: Any, *_: object, **__: object) -> None:
        found.append(parser)
        raise ParsedError

    monkeypatch.setattr(commands.ShortErrors, "parse_args", stop)
    if words[0] in TRAINER_COMMANDS:
        with pytest.raises(ParsedError), RunSession([words[0], "--print_config"]) as session:
            cli.TavloCLI(session)
    else:
        monkeypatch.setattr(commands, "to_exit_code", lambda _, run, *__: run())
        module = __import__(f"tavlo_pl.commands.{words[0]}", fromlist=["main"])
        monkeypatch.setattr(module, "to_exit_code", lambda _, run, *__: run())
        with pytest.raises(ParsedError):
            module.main(words[1:])
    return options_in(found[0], words)


def options_in(parser: Any, words: list[str]) -> set[str]:
    """Options of a parser and of the parser of the subcommand that the words choose."""
    names = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, jsonargparse._actions._ActionSubCommands):
            chosen = next(word for word in words if word in action._name_parser_map)
            names |= options_in(action._name_parser_map[chosen], words)
    return names


CHECKED = {tuple(words): block.place for block in BLOCKS for words in block.commands}


@pytest.mark.parametrize(
    "command",
    sorted({(*words[:1], *(words[1:2] if words[0] in ("data", "annotate") else ())) for words in CHECKED}),
    ids=" ".join,
)
def test_options_of_shown_commands_exist(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert command[0] in TRAINER_COMMANDS | OTHER_COMMANDS
    known = options_of(list(command), monkeypatch) | set(FLAGS)
    for words, place in CHECKED.items():
        if words[: len(command)] == command:
            given = {word.partition("=")[0] for word in words if re.match(r"-(-|c$)", word)}
            unknown = {name for name in given - known if not (FREE.match(name) and FREE.match(name)[0][:-1] in known)}
            assert not unknown, f"{place}: tavlo {' '.join(words)}"


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
    assert results["samples"]["scored"] if "scored" in results.get("samples", {}) else results


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
    assert "](own_videos.md)" in home
    assert "](docs/" not in home
    assert "![Frames of four clips" in home
    assert "](demo.jpg)" in home
    assert "`tests/app/test_page.py`" in (tmp_path / "docs" / "app.md").read_text()
    assert "import tavlo_pl" in (tmp_path / "docs" / "notebook.md").read_text()
