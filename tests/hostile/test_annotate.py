"""Clips that hang the decoder of ``tavlo annotate serve``."""

import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tavlo_pl import env
from tavlo_pl.annotate import decode
from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.server import READERS, make_app
from tavlo_pl.annotate.workspace import Workspace
from tests.app.test_server import soon
from tests.helpers.annotate import CLIPS, hang, make_project
from tests.helpers.clips import write_numbered
from tests.helpers.pages import ask, running

KEY = "k" * 16
CLIP = f"/k/{KEY}/clips/"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", CLIPS[:2])


@pytest.fixture
def server(project: Project) -> Iterator[str]:
    with running(lambda port: make_app(Workspace(project), port, KEY, "ann")) as address:
        yield address


def test_hanging_clip_is_killed_and_blocks_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "peaks", hang)
    monkeypatch.setenv(env.CLIP_TIMEOUT_S, "3")
    with ThreadPoolExecutor(READERS - 2) as pages:
        waiting = [pages.submit(ask, server, f"{CLIP}0/peaks") for _ in range(READERS - 2)]
        soon(multiprocessing.active_children)
        saved = f"{CLIP}0/frames/7?session=aaaaaaaa&annotator=ann"
        assert ask(server, saved, "POST", json.dumps({"status": "done", "instances": []}).encode()).status == 200
        assert ask(server, f"{CLIP}1/spectrogram.png").status == 200
        assert len(multiprocessing.active_children()) == 1 and not any(each.done() for each in waiting)
        for each in waiting:  # one process for all
            assert each.result().status == 422 and "reading it took longer than 3 s" in each.result().json["error"]
    began_s = time.monotonic()
    assert ask(server, f"{CLIP}0/spectrogram.png").status == 422
    assert time.monotonic() - began_s < 2  # known to be slow
    assert not multiprocessing.active_children()


def test_end_of_the_server_kills_the_work(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "peaks", hang)
    with ThreadPoolExecutor(1) as page:
        with running(lambda port: make_app(Workspace(project), port, KEY, "ann")) as address:
            page.submit(ask, address, f"{CLIP}0/peaks")
            soon(multiprocessing.active_children)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 20
        soon(lambda: not multiprocessing.active_children())


def test_endless_file_is_left(server: str, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(env.CLIP_TIMEOUT_S, "1")
    path = write_numbered(tmp_path / "endless.mkv").path
    os.truncate(path, path.stat().st_size * 2 // 3)
    os.truncate(path, 2**40)
    project.image(CLIPS[0], "00007").unlink()
    project.video(CLIPS[0]).unlink()
    path.rename(project.video(CLIPS[0]))
    for name in ("peaks", "video", "spectrogram.png", "frames/7.jpg"):
        answer = ask(server, f"{CLIP}0/{name}")
        assert answer.status == 422 and "took longer than 1 s" in answer.json["error"], name
    assert ask(server, f"{CLIP}1/video").status == 200


def test_image_that_is_none_is_refused(server: str, project: Project) -> None:
    path = project.image(CLIPS[0], "00007")
    os.truncate(path, 2**30)
    assert ask(server, f"{CLIP}0/frames/7.jpg").status == 422
    path.unlink()
    os.mkfifo(path)
    assert ask(server, f"{CLIP}0/frames/7.jpg").body[:2] == b"\xff\xd8"  # decoded from the video
