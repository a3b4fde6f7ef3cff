"""Checkpoints at an address of the hub: download, revision, cache, and one sentence for each refusal."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

import tavlo_pl
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io import hub
from tavlo_pl.models.weights_file import write_safe
from tavlo_pl.predict.checkpoint import packaged_checkpoint
from tests.helpers.cli import tavlo
from tests.helpers.hub import FakeHub, serving

WORLD = packaged_checkpoint().with_name("world.safetensors")


def test_paths_stay_and_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.io.extras.import_module", lambda name: pytest.fail(f"imported {name}"))
    assert hub.local_path("runs/a.ckpt") == Path("runs/a.ckpt") == hub.local_path(Path("runs/a.ckpt"))


@pytest.mark.parametrize(
    "name", ["hf://", "hf://a", "hf://a/b/c", "hf://../b", "hf://a/b@", "hf://a/b@-c", "hf://a/b c"]
)
def test_malformed_addresses_are_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="give hf://owner/name or hf://owner/name@revision"):
        hub.local_path(name)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr("tavlo_pl.io.extras.import_module", without)
    with pytest.raises(ConfigError, match=r"^hf://a/b needs huggingface_hub: pip install 'tavlo_pl\[hub\]'$"):
        hub.local_path("hf://a/b")


@pytest.mark.slow
def test_revisions_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = FakeHub()
    content.repositories["a/b"] = {"main": {hub.FILE: b"new"}, "v1": {hub.FILE: b"old", "code.py": b""}}
    with serving(content, tmp_path, monkeypatch):
        assert hub.local_path("hf://a/b").read_bytes() == b"new"
        old = hub.local_path("hf://a/b@v1")
        assert old.read_bytes() == b"old"
        assert hub.local_path(f"hf://a/b@{old.parent.name}") == old
        count = len(content.asked)
        hub.local_path("hf://a/b@v1")
        assert len(content.asked) == count, "a process asks once"
        assert {line.rpartition("/")[2] for line in content.asked if "/resolve/" in line} == {hub.FILE}
    assert hub.local_path("hf://a/b@v1") == old  # the server is gone
    with pytest.raises(CheckpointError, match=r"^hf://a/b@v2: not in the cache, and the hub cannot be reached"):
        hub.local_path("hf://a/b@v2")
    hub._download.cache_clear()


@pytest.mark.parametrize(
    ("repository", "refusal", "message"),
    [
        ("a/none", None, "no such repository, or it is private"),
        ("a/empty", None, "no model.safetensors"),
        ("a/empty@v9", None, "no revision v9"),
        ("a/gated", (403, "GatedRepo"), "restricts access"),
        ("a/denied", (403, ""), "denies access"),
        ("a/broken", (418, ""), "status 418"),
    ],
)
def test_refusals_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str, refusal: tuple[int, str] | None, message: str
) -> None:
    content = FakeHub()
    content.repositories["a/empty"] = {"main": {}}
    content.refused |= {repository: refusal} if refusal else {}
    with serving(content, tmp_path, monkeypatch):
        outcome = tavlo("predict", "x.mp4", "--ckpt_path", f"hf://{repository}")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith(f"tavlo predict: hf://{repository}: ") and message in outcome.err


def test_offline_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(FakeHub(), tmp_path, monkeypatch):
        monkeypatch.setattr(import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)
        with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE forbids the download"):
            hub.local_path("hf://a/b")


def test_commands_and_python_load_an_address(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = FakeHub()
    content.repositories["a/b"] = {"main": {hub.FILE: WORLD.read_bytes()}}
    monkeypatch.chdir(tmp_path)
    video = next((world / "test" / "video").glob("*.mp4"))
    with serving(content, tmp_path / "cache", monkeypatch):
        model = tavlo_pl.load("hf://a/b", device="cpu")
        found = tavlo_pl.localize(video, "hf://a/b", device="cpu")
        outcome = tavlo("predict", video, "--ckpt_path", "hf://a/b", "--overlay_videos", "false")
    assert outcome.code == 0, outcome.err
    assert torch.equal(model.state_dict()["project.weight"], tavlo_pl.load(WORLD).state_dict()["project.weight"])
    assert found.threshold is not None and len(found.heatmap) > 0
    (page,) = tmp_path.rglob("index.html")
    assert page.is_relative_to(tmp_path / "runs" / "predict"), "no results go into the cache"


def test_downloaded_configuration_is_untrusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of another package is not imported; Trainer, loggers and folders of the configuration are ignored."""
    model = {"class_path": "antigravity.Model"}
    config = yaml.safe_dump({"model": model, "trainer": {"logger": {"class_path": "x.Logger"}}, "out": "x"})
    write_safe({"a": torch.zeros(1)}, {"config": config, "threshold": 0.1}, tmp_path / "bad.safetensors")
    content = FakeHub()
    content.repositories["a/bad"] = {"main": {hub.FILE: (tmp_path / "bad.safetensors").read_bytes()}}
    with serving(content, tmp_path / "cache", monkeypatch):
        outcome = tavlo("predict", "x.mp4", "--ckpt_path", "hf://a/bad")
    assert outcome.code == 2 and "antigravity" in outcome.err and len(outcome.err.splitlines()) == 1, outcome.err
