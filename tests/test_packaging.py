"""What is handed on: the versions that are stated, and the wheel, which has to work away from the checkout."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from datetime import date
from glob import glob
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tavlo_pl.config import packaged
from tests.helpers.cli import tavlo

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info")


def script(name: str) -> ModuleType:
    """A script of ``.ci``, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def test_the_constraints_are_dated_and_hold_every_floor() -> None:
    text = (ROOT / "constraints.txt").read_text()
    (stated,) = re.findall(r"as of (\d{4}-\d\d-\d\d)", text)
    assert date(2026, 11, 1) < date.fromisoformat(stated)
    pinned = {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)}
    floors = script("floors").floors()
    assert {"torch", "numpy", "lightning", "pytest"} <= floors.keys()
    for name, floor in floors.items():
        assert numbers(pinned[name.lower()]) >= numbers(floor), name
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text)


@pytest.mark.parametrize(
    ("printed", "code", "told"),
    [
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, 0, "1 of 1 packages looked up, 0 with known"),
        ({"dependencies": [{"name": "a", "skip_reason": "not found"}]}, 0, "not done (who was asked knows none of 1"),
        (None, 0, "audit: not done (Max retries exceeded)"),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]},
            1,
            "a 1: CVE-1, mended in 2",
        ),
    ],
    ids=["sound", "unknown", "no network", "vulnerable"],
)
def test_the_audit_tells_a_vulnerable_version_and_passes_without_network(
    capsys: pytest.CaptureFixture[str], printed: object, code: int, told: str
) -> None:
    shown = "" if printed is None else json.dumps(printed)
    program = f"import sys; print({shown!r}); sys.exit('Max retries exceeded')"
    assert script("audit").main((sys.executable, "-c", program)) == code
    assert told in capsys.readouterr().out


def test_configurations_come_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    (tmp_path / "configs" / "exp" / "demo.yaml").write_text("model: 3\n")  # one's own comes first
    assert tavlo("fit", "-c", "configs/exp/demo.yaml", "--print_config").code == 2
    assert packaged.pattern("configs/search/*.yaml") == "configs/search/*.yaml"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("tavlo_pl", "configs"):
        shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True, ignore=IGNORED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_what_it_should_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    kinds = ("*.py", "templates/*.j2", "static/*")
    named = {str(path.relative_to(ROOT)) for kind in kinds for path in (ROOT / "tavlo_pl").rglob(kind)}
    named |= {f"tavlo_pl/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    named |= {str(path.relative_to(ROOT)) for path in (ROOT / "tavlo_pl" / "weights").iterdir()} | {"tavlo_pl/py.typed"}
    assert {name for name in packed if ".dist-info/" not in name} == named
    about = {name.partition(".dist-info/")[2] for name in packed if ".dist-info/" in name}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
    assert wheel.stat().st_size < 5 * 2**20


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    (packages,) = place.glob("lib/python*/site-packages")
    # Packages of this environment, without its links to the checkout: those stand in .pth files, read nowhere else.
    (packages / "others.pth").write_text(str(Path(torch.__file__).parents[1]))
    options = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TAVLO"))}

    def call(words: str) -> str:
        command = [str(place / "bin" / "tavlo"), *words.split()]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "usage: tavlo VERB" in call("--help")
    code = "import tavlo_pl; print(tavlo_pl.__file__)"
    found = subprocess.run([str(python), "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert found.stdout.startswith(str(place))
    sizes = "--train_clips 4 --clips_per_scenario 1 --val_clips_per_scenario 1 --duration_s 4 --workers 1"
    call(f"data synth --out .demo/world --frame_rate 12 {sizes}")
    quiet = "--trainer.enable_progress_bar false --trainer.enable_model_summary false"
    call(
        f"fit -c configs/exp/demo.yaml --out run --trainer.max_steps 1 --data.batch_size 2 --data.num_workers 0 {quiet}"
    )
    call(f"test --ckpt_path run/checkpoints/last.ckpt {quiet}")
    assert (folder / "run" / "test" / "results.json").is_file()
    call(f"predict --data.root .demo/world/test/video --films false --out found {quiet}")  # the ready checkpoint
    assert (folder / "found" / "index.html").is_file()
    (start,) = json.loads((folder / "run" / "run.json").read_text())
    assert start["git"] is None and start["command"].startswith("tavlo fit -c configs/exp/demo.yaml")
