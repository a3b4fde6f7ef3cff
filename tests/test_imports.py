"""The table "Who may import whom" of CONTRIBUTING.md, checked on every import of the package."""

import ast
from pathlib import Path

import pytest
from lightning.pytorch.cli import LightningCLI

PACKAGE = Path(__file__).parents[1] / "tavlo_pl"
BASE = {"errors", "types", "env", "io"}
PURE = {"nn", "losses", "metrics", "viz"}
ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    **dict.fromkeys(PURE, BASE | PURE),
    "run": BASE | {"run"},
    "config": BASE | {"config", "run"},
    "engine": BASE | {"engine"},
    "data": BASE | {"data", "engine", "metrics", "viz"},
    "models": BASE | {"models", "nn", "losses", "metrics"},
    "callbacks": BASE | {"callbacks", "viz", "metrics", "run"},
    "predict": BASE | PURE | {"predict", "data", "engine", "models", "run", "config"},
    "app": BASE | PURE | {"app", "data", "predict", "run"},
    "annotate": BASE | PURE | {"annotate", "app", "data", "engine", "predict", "run"},
    "report": BASE | PURE | {"report", "data", "run"},
    "diagnose": BASE | PURE | {"diagnose", "data", "run"},
    "export": BASE | PURE | {"export", "data", "models", "predict"},
    "hub": BASE | PURE | {"hub", "predict", "run"},
    "commands": BASE
    | PURE
    | {"commands", "annotate", "app", "data", "engine", "run", "report", "export", "hub", "config"},
    "trainer": BASE | {"data", "engine", "metrics", "models", "diagnose", "predict", "run"},
    "cli": BASE | {"commands", "data", "models", "callbacks", "predict", "run", "config", "trainer"},
    "__main__": {"cli", "commands"},
    "__init__": set(),
}
BANNED = {**{part: {"lightning"} for part in PURE}, "commands": {"lightning", "torch"}, "__init__": {"torch"}}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Full dotted names of all imports of a file, at any place in the file."""
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


PRIVATE_NAMES = {
    "cli.py": {"_parse_ckpt_path"},
    "callbacks/fresh_loader.py": {"_combined_loader"},
    "models/base.py": {"_given_hyperparameters"},
}
"""Private names of Lightning that the package uses, by file."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_private_names_of_lightning_stay_in_named_files(file: Path) -> None:
    tree = ast.parse(file.read_text())
    private = {name.rpartition(".")[2] for name in imported(file) if name.startswith("lightning") and "._" in name}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            private |= {node.attr} if owner.split(".")[0] in ("trainer", "pl_module") else set()
        if isinstance(node, ast.ClassDef) and any("Lightning" in ast.unparse(base) for base in node.bases):
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            inherited = {name for name in methods if hasattr(LightningCLI, name) and name.startswith("_")}
            private |= {name for name in inherited if not name.startswith("__")}
    assert private <= PRIVATE_NAMES.get(str(file.relative_to(PACKAGE)), set())


def test_package_imports_without_torch() -> None:
    assert imported(PACKAGE / "__init__.py") == {"importlib.import_module", "typing.Any"}
    light = {name for name in imported(PACKAGE / "__main__.py") if not name.startswith("tavlo_pl.")}
    assert light <= {"os", "sys", "difflib.get_close_matches", "importlib.import_module"}
