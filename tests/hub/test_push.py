"""`tavlo push`: the files of a repository, and their upload to a hub on the loopback interface."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
import yaml

import tavlo_pl
from tavlo_pl.io import hub
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.hub import FakeHub, serving
from tests.helpers.results import write_results
from tests.helpers.run import data_config

FILES = {"README.md", "config.yaml", "model.safetensors", "results.json"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with a best checkpoint of the tiny model and results of it."""
    from tests.helpers.tiny import Tiny

    torch.manual_seed(0)
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    config = {"model": {"class_path": "tests.helpers.tiny.Tiny"}, "data": data_config(tmp_path), "seed_everything": 3}
    content = {"config": yaml.safe_dump(config), "version": "0.1.0", "threshold": 0.25}
    best = folder / "checkpoints" / "best.ckpt"
    torch.save({"state_dict": Tiny().state_dict(), "tavlo": content}, best)
    mark = {"path": str(best), "sha256": hashlib.sha256(best.read_bytes()).hexdigest()}
    about = {"checkpoint": mark, "version": "0.1.0", "seed": 3, "command": f"tavlo test {best}", "parameters": 1234}
    about |= {"options": {"checkpoint": str(best)}, "data_fingerprint": {"samples": 2, "sha256": "a"}}
    write_results(folder / "test", {"a": 0.5, "b": 0.7}, **about)
    return folder


def push(run: Path, *options: object) -> Outcome:
    return tavlo("push", run, *(options or ("a/b",)), "--allow_import", "tests")


def test_dry_run_writes_the_files(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.io.extras.import_module", lambda name: pytest.fail(f"imported {name}"))
    outcome = push(run, "a/b", "--license", "cc-by-4.0", "--dry_run", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert files.keys() == FILES
    assert not [name for name, content in files.items() if str(tmp_path).encode() in content], "paths of the machine"
    _, header, text = files["README.md"].decode().split("---\n", 2)
    stated = yaml.safe_load(header)
    assert stated["license"] == "cc-by-4.0" and stated["library_name"] == "tavlo_pl" and stated["tags"]
    assert "Protocol `avatar_per_frame`, 2 samples, seed 3" in text and "Tiny, 1,234 parameters" in text
    assert "| mean cIoU | 60.0" in text and 'checkpoint="hf://a/b"' in text and "&" not in text
    assert json.loads(files["results.json"])["metrics"]["rules"] == ["top_half"]
    model = tavlo_pl.load(tmp_path / "out" / "model.safetensors", "cpu", allow_import=("tests",))
    stored = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_upload_is_what_an_address_loads(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = FakeHub()
    with serving(content, tmp_path / "cache", monkeypatch):
        outcome = push(run, "a/b", "--private", "--revision", "v1", "--message", "first")
        assert outcome.code == 0 and outcome.out.endswith("uploaded: hf://a/b@v1\n"), outcome.err
        found = tavlo_pl.load("hf://a/b@v1", "cpu", allow_import=("tests",))
        assert push(run, "a/b").code == 0  # into an existing repository
    assert content.created[0]["visibility"] == "private" and content.messages[0] == "first"
    assert {name: files.keys() for name, files in content.repositories["a/b"].items()} == {"main": FILES, "v1": FILES}
    assert found.state_dict().keys() == torch.load(run / "checkpoints" / "best.ckpt")["state_dict"].keys()


def test_refused_upload_is_one_sentence(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = FakeHub()
    content.refused["a/b"] = 403, ""
    with serving(content, tmp_path, monkeypatch):
        outcome = push(run)
    assert outcome.code == 1 and "hf://a/b: the hub denies access" in outcome.err and len(outcome.err.splitlines()) == 1
    outcome = push(run)  # no server
    assert outcome.code == 1 and "the hub cannot be reached" in outcome.err, outcome.err


@pytest.mark.parametrize("name", ["a", "a/b/c", "hf://a/b", "a/b@v1"])
def test_wrong_names_are_refused(run: Path, name: str) -> None:
    outcome = push(run, name)
    assert outcome.code == 2 and "give owner/name" in outcome.err


def test_results_of_the_best_checkpoint_are_needed(run: Path, tmp_path: Path) -> None:
    results = run / "test" / "results.json"
    content = json.loads(results.read_text())
    results.write_text(json.dumps(content | {"checkpoint": {"path": "x", "sha256": "0"}}))
    assert "results of another checkpoint" in push(run, "a/b", "--dry_run", tmp_path / "out").err
    results.unlink()
    outcome = push(run, "a/b", "--dry_run", tmp_path / "out")
    assert outcome.code == 2 and "first run tavlo test --ckpt_path" in outcome.err
    assert "no checkpoint at" in push(tmp_path, "a/b").err
    assert not (tmp_path / "out" / hub.FILE).exists()
