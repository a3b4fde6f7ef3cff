"""The table "who may import whom" of CONTRIBUTING.md, held by reading every import in the package."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tavlo_pl"
BASE = {"errors", "types", "env", "files"}
PURE = {"nn", "losses", "metrics", "viz"}
ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(PURE, BASE | PURE),
    "data": BASE | {"data", "metrics", "viz"},
    "models": BASE | {"models", "nn", "losses", "metrics"},
    "callbacks": BASE | {"callbacks", "viz", "metrics", "runs", "results", "origin"},
    "predict": BASE | PURE | {"predict", "data", "models", "runs", "trust"},
    "app": BASE | PURE | {"app", "data", "predict", "runs"},
    "runs": BASE,
    "origin": BASE | {"runs"},
    "endings": BASE,
    "trust": BASE,
    "shipped": BASE,
    "results": BASE,
    "report": BASE | PURE | {"report", "data", "results", "runs"},
    "diagnose": BASE | PURE | {"diagnose", "data", "runs"},
    "commands": BASE | PURE | {"commands", "app", "data", "runs", "results", "report", "trust", "shipped"},
    "cli": BASE
    | PURE
    | {"commands", "data", "models", "callbacks", "diagnose", "predict"}
    | {"runs", "trust", "origin", "shipped", "endings"},
    "__main__": {"cli", "commands"},
    "__init__": set(),
}
BANNED = {**{room: {"lightning"} for room in PURE}, "commands": {"lightning", "torch"}, "__init__": {"torch"}}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Full dotted names of all that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_what_the_table_allows(file: Path) -> None:
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    names = imported(file)
    inner = {name.split(".")[1] for name in names if name.startswith("tavlo_pl.")} - {"__version__"}
    assert inner <= ALLOWED[room]
    assert not {name.split(".")[0] for name in names} & BANNED.get(room, set())
    if file.name != "media.py" and not file.name.startswith("media_"):
        assert not {name for name in names if name.split(".")[0] == "av"}, "only data/media*.py opens media"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_private_names_of_lightning_stay_in_the_command_line(file: Path) -> None:
    if file.name != "cli.py":
        names = {name for name in imported(file) if name.startswith("lightning")}
        assert not {name for name in names if "._" in name}


def test_the_package_imports_without_torch() -> None:
    assert imported(PACKAGE / "__init__.py") == {"importlib.import_module", "typing.Any"}
    light = {name for name in imported(PACKAGE / "__main__.py") if not name.startswith("tavlo_pl.")}
    assert light <= {"sys", "difflib.get_close_matches", "importlib.import_module"}
