"""The table "who may import whom" of CONTRIBUTING.md, held by reading every import in the package."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tavlo_pl"
BASE = {"errors", "types", "env", "io"}
PURE = {"nn", "losses", "metrics", "viz"}
ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(PURE, BASE | PURE),
    "config": BASE | {"config"},
    "run": BASE | {"run"},
    "data": BASE | {"data", "metrics", "viz"},
    "models": BASE | {"models", "nn", "losses", "metrics"},
    "callbacks": BASE | {"callbacks", "viz", "metrics", "run"},
    "predict": BASE | PURE | {"predict", "data", "models", "run", "config"},
    "app": BASE | PURE | {"app", "data", "predict", "run"},
    "report": BASE | PURE | {"report", "data", "run"},
    "diagnose": BASE | PURE | {"diagnose", "data", "run"},
    "commands": BASE | PURE | {"commands", "app", "data", "run", "report", "config"},
    "cli": BASE | PURE | {"commands", "data", "models", "callbacks", "diagnose", "predict", "run", "config"},
    "__main__": {"cli", "commands"},
    "__init__": set(),
}
BANNED = {**{part: {"lightning"} for part in PURE}, "commands": {"lightning", "torch"}, "__init__": {"torch"}}
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
def test_imports_follow_the_table(file: Path) -> None:
    part = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    names = imported(file)
    inner = {name.split(".")[1] for name in names if name.startswith("tavlo_pl.")} - {"__version__"}
    assert inner <= ALLOWED[part]
    assert not {name.split(".")[0] for name in names} & BANNED.get(part, set())
    if PACKAGE / "data" / "media" not in file.parents:
        assert not {name for name in names if name.split(".")[0] == "av"}, "only data/media opens media"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_private_names_of_lightning_stay_in_the_command_line(file: Path) -> None:
    if file.name != "cli.py":
        names = {name for name in imported(file) if name.startswith("lightning")}
        assert not {name for name in names if "._" in name}


def test_the_package_imports_without_torch() -> None:
    assert imported(PACKAGE / "__init__.py") == {"importlib.import_module", "typing.Any"}
    light = {name for name in imported(PACKAGE / "__main__.py") if not name.startswith("tavlo_pl.")}
    assert light <= {"sys", "difflib.get_close_matches", "importlib.import_module"}
