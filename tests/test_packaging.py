"""Published files: versions, workflows, citation, sdist and wheel."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import date
from glob import glob
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml

from tavlo_pl import __version__
from tavlo_pl.config import packaged
from tests.helpers.cli import tavlo

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info")


def script(name: str) -> ModuleType:
    """Imports a script of ``.ci``, which is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_constraints_are_dated_and_satisfy_every_floor() -> None:
    text = (ROOT / "constraints.txt").read_text()
    (stated,) = re.findall(r"as of (\d{4}-\d\d-\d\d)", text)
    assert date(2026, 11, 1) < date.fromisoformat(stated)
    pinned = {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)}
    floors = script("floors").floors()
    assert {"torch", "numpy", "lightning", "pytest"} <= floors.keys()
    for name, floor in floors.items():
        assert numbers(pinned[name.lower()]) >= numbers(floor), name
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


def test_floors_have_a_comment_with_their_reason() -> None:
    """The comment starts with the version, so that a changed floor needs a new reason."""
    lines = re.findall(r'^ +"(?!tavlo_pl)([\w.-]+)[^">]*>=([\w.]+)[^"]*",(.*)$', TEXT, re.MULTILINE)
    extras = PROJECT["project"]["optional-dependencies"].values()
    stated = [line for part in (PROJECT["project"]["dependencies"], *extras) for line in part]
    assert len(lines) == len([line for line in stated if not line.startswith("tavlo_pl[")])
    for name, floor, comment in lines:
        assert comment.strip().startswith(f"# {floor}: "), name


OPTIONAL = {
    *("ray", "timm", "transformers", "onnx", "onnxscript", "onnxruntime", "huggingface_hub", "aiohttp", "cv2", "wandb"),
    "mlflow",
}
"""Packages of the extras, and of loggers."""


def test_extras_are_no_dependencies() -> None:
    needed = {re.split(r"[\[><=]", line)[0] for line in PROJECT["project"]["dependencies"]}
    assert "torch" in needed and not needed & (OPTIONAL | {"opencv-python-headless", "mlflow-skinny"})


OWN_IMPORTS = """
import builtins
real = builtins.__import__

def noted(name, globals=None, locals=None, fromlist=(), level=0):
    if name.partition(".")[0] in {optional} and (globals or {{}}).get("__name__", "").startswith("tavlo_pl"):
        print(globals["__name__"], "imports", name)
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = noted
import tavlo_pl.cli, tavlo_pl.predict.api
"""
"""Prints the optional packages that ours imports; torchmetrics imports transformers itself where it is installed."""


@pytest.mark.slow
def test_imports_bring_no_optional_package() -> None:
    code = OWN_IMPORTS.format(optional=OPTIONAL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""


SAFE: dict[str, object] = {"name": "a", "version": "1", "vulns": []}
VULNERABLE: dict[str, object] = SAFE | {"vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}


@pytest.mark.parametrize(
    ("printed", "code", "code_in_ci", "message"),
    [
        ([SAFE], 0, 0, "1 of 1 packages looked up, 0 with known"),
        ([{"name": "a", "skip_reason": "not found"}], 0, 1, "not done (the database lists none of 1 packages)"),
        (None, 0, 1, "audit: not done (Max retries exceeded)"),
        ([VULNERABLE], 1, 1, "a 1: CVE-1, fixed in 2"),
    ],
    ids=["safe", "unknown", "no network", "vulnerable"],
)
@pytest.mark.parametrize("in_ci", [False, True])
def test_audit_fails_if_vulnerable_or_not_done_in_ci(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    printed: list[object] | None,
    code: int,
    code_in_ci: int,
    message: str,
    in_ci: bool,
) -> None:
    monkeypatch.setenv("CI", "true" if in_ci else "")
    shown = "" if printed is None else json.dumps({"dependencies": printed})
    program = f"import sys; print({shown!r}); sys.exit('Max retries exceeded')"
    assert script("audit").main((sys.executable, "-c", program)) == (code_in_ci if in_ci else code)
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("command", [(sys.executable, "-m", "no_such_module"), ("/no/such/program",)])
def test_audit_without_pip_audit_fails_in_ci_alone(monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.setenv("CI", "true")
    assert script("audit").main(command) == 1
    monkeypatch.delenv("CI")
    assert script("audit").main(command) == 0


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("/a/tests/helpers/shared.py:17: needs data/vggss.json in the folder", 0),
        ("/a/tests/helpers/shared.py:17: needs weights/yamnet.safetensors in the folder", 0),
        ("/a/tests/helpers/shared.py:17: needs golden/maps.npz in the folder", 1),
        ("/a/tests/metrics/test_ciou.py:21: needs data/vggss.json in the folder", 1),
        ("unconditional skip", 1),
        (None, 0),
    ],
)
def test_skips_are_allowed_by_helper_and_reason(tmp_path: Path, reason: str | None, code: int) -> None:
    message = (reason or "").partition(": ")[2]
    skipped = "" if reason is None else f'<skipped type="pytest.skip" message="{message}">{reason}</skipped>'
    report = tmp_path / "report.xml"
    report.write_text(
        f'<testsuites><testsuite><testcase classname="c" name="n">{skipped}</testcase></testsuite></testsuites>'
    )
    assert script("skips").main(report) == code
    report.write_text("<testsuites><testsuite></testsuite></testsuites>")
    assert script("skips").main(report) == 1


def test_skips_names_helpers_that_exist() -> None:
    assert all((ROOT / file).is_file() for file in script("skips").ALLOWED)


def workflow(name: str) -> dict[Any, Any]:
    """A workflow of ``.github``; YAML 1.1 parses its key ``on`` as True."""
    content: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return content


def commands(name: str) -> str:
    """All commands of the jobs of a workflow."""
    return "\n".join(step.get("run", "") for job in workflow(name)["jobs"].values() for step in job["steps"])


def test_ci_tests_each_stated_python_on_both_systems() -> None:
    strategy = workflow("ci")["jobs"]["test"]["strategy"]
    kinds = "Programming Language :: Python :: "
    stated = [line.removeprefix(kinds) for line in PROJECT["project"]["classifiers"] if line.startswith(kinds)]
    assert strategy["matrix"] == {"os": ["ubuntu-latest", "macos-latest"], "python": stated}
    assert stated == ["3.11", "3.12", "3.13"]
    assert strategy["fail-fast"] is False
    assert PROJECT["project"]["requires-python"] == f">={stated[0]}"


@pytest.mark.parametrize("name", ["ci", "release"])
def test_workflows_do_not_ignore_failures(name: str) -> None:
    for job in workflow(name)["jobs"].values():
        assert job["timeout-minutes"] <= 60
        assert "continue-on-error" not in {key for step in [job, *job["steps"]] for key in step}
    assert not re.search(r"\|\| *(true|:|exit 0)", commands(name))


def test_ci_checks_skips_audit_floors_and_coverage() -> None:
    done = commands("ci")
    assert done.count("skips.py report.xml") == done.count("--junitxml=report.xml") == 2
    for needed in ("pip install pip-audit", ".ci/audit.py", ".ci/floors.py", "--cov", "-m slow", "make lint"):
        assert needed in done


def test_release_checks_what_it_publishes() -> None:
    content = workflow("release")
    build, publish = content["jobs"]["build"], content["jobs"]["publish"]
    assert content[True] == {"push": {"tags": ["v*"]}}
    assert content["permissions"] == {"contents": "read"}
    assert "permissions" not in build
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert not [step for step in publish["steps"] if "run" in step]
    assert "$GITHUB_REF_NAME" in commands("release")
    assert re.search(r"WHEEL=.*pytest -m slow tests/test_packaging\.py", commands("release"))


def test_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert [reference["url"] for reference in citation["references"]] == ["https://arxiv.org/abs/2507.04667"]


def test_pre_commit_runs_the_programs_of_the_dev_extra() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: hook for repository in repositories for hook in repository["hooks"]}
    assert {"ruff-check", "ruff-format", "mypy", "end-of-file-fixer", "check-added-large-files"} <= hooks.keys()
    installed = {re.split("[>=]", line)[0] for line in PROJECT["project"]["optional-dependencies"]["dev"]}
    for name in ("ruff-check", "ruff-format", "mypy"):
        assert Path(hooks[name]["entry"].split()[0]).name in installed


def test_package_contains_the_configurations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = tavlo("fit", "-c", "configs/exp/demo.yaml", "--print_config")
    assert outcome.code == 0 and "tavlo_pl.models.tavlo.TAVLO" in outcome.out, outcome.err
    outcome = tavlo(
        "fit", "--model=configs/model/ezvsl.yaml", "--trainer", "configs/trainer/cpu.yaml", "--print_config"
    )
    assert outcome.code == 0 and "tavlo_pl.models.ezvsl.EZVSL" in outcome.out, outcome.err
    assert "nowhere.yaml" in tavlo("fit", "-c", "configs/exp/nowhere.yaml").err
    assert len(glob(packaged.pattern("configs/search/*.yaml"))) > 5
    (tmp_path / "configs" / "exp").mkdir(parents=True)
    (tmp_path / "configs" / "exp" / "demo.yaml").write_text(
        "model: 3\n"
    )  # a file in the working directory takes precedence
    assert tavlo("fit", "-c", "configs/exp/demo.yaml", "--print_config").code == 2
    assert packaged.pattern("configs/search/*.yaml") == "configs/search/*.yaml"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from a copy of the checkout."""
    folder = tmp_path_factory.mktemp("sdist")
    for name in ("tavlo_pl", "configs", "tests"):
        shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True, ignore=IGNORED)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder / "source")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=folder / "source", check=True, capture_output=True, text=True)
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The wheel given by the variable ``WHEEL`` (set by the release workflow), or built from the sdist."""
    if ready := os.environ.get("WHEEL"):
        return Path(ready)
    folder = tmp_path_factory.mktemp("wheel")
    source = str(request.getfixturevalue("sdist"))
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), source]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_sdist_contains_the_package_and_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    top = {name.split("/")[0] for member in members if (name := member.name.partition("/")[2])}
    own = {"tavlo_pl", "tavlo_pl.egg-info", "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "setup.cfg"}
    assert top - {"MANIFEST.in"} == own
    assert all(member.isfile() for member in members), "links cannot be unpacked on every system"


@pytest.mark.slow
def test_wheel_contains_package_files_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    kinds = ("*.py", "templates/*.j2", "static/*", "nn/pretrained/*.txt")
    named = {str(path.relative_to(ROOT)) for kind in kinds for path in (ROOT / "tavlo_pl").rglob(kind)}
    named |= {f"tavlo_pl/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    named |= {str(path.relative_to(ROOT)) for path in (ROOT / "tavlo_pl" / "weights").iterdir()} | {"tavlo_pl/py.typed"}
    assert {name for name in packed if ".dist-info/" not in name} == named
    about = {name.partition(".dist-info/")[2] for name in packed if ".dist-info/" in name}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
    assert wheel.stat().st_size < 17 * 2**20  # the packaged checkpoint has at most 16 MiB


@pytest.mark.slow
def test_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    (packages,) = place.glob("lib/python*/site-packages")
    # Adds the packages of this environment without its .pth files, which link to the checkout.
    (packages / "others.pth").write_text(str(Path(torch.__file__).parents[1]))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TAVLO"))}
    options = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)]
    subprocess.run(install, check=True, env=environment, capture_output=True, text=True)
    folder = tmp_path / "empty"
    folder.mkdir()

    def call(words: str) -> str:
        command = [str(place / "bin" / "tavlo"), *words.split()]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "usage: tavlo COMMAND" in call("--help")
    code = "import tavlo_pl; print(tavlo_pl.__file__)"
    command = [str(python), "-c", code]
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(place))
    sizes = "--train_clips 4 --clips_per_scenario 1 --val_clips_per_scenario 1 --duration_s 4 --workers 1"
    call(f"data synth --out .demo/world --frame_rate 12 {sizes}")
    quiet = "--trainer.enable_progress_bar false --trainer.enable_model_summary false"
    call(
        f"fit -c configs/exp/demo.yaml --out run --trainer.max_steps 1 --data.batch_size 2 --data.num_workers 0 {quiet}"
    )
    call(f"test --ckpt_path run/checkpoints/last.ckpt {quiet}")
    assert (folder / "run" / "test" / "results.json").is_file()
    call(f"predict --data.root .demo/world/test/video --overlay_videos false --out found {quiet}")  # packaged weights
    assert (folder / "found" / "index.html").is_file()
    (start,) = json.loads((folder / "run" / "run.json").read_text())
    assert start["git"] is None and start["command"].startswith("tavlo fit -c configs/exp/demo.yaml")
