"""The server of the page: states, locks, access control."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, Provenance
from tavlo_pl.annotate.project import ClipProposals, Project, ProposedFrame
from tavlo_pl.annotate.segmenters import Prompt
from tavlo_pl.annotate.server import SCRIPTS, STYLES, make_app
from tavlo_pl.annotate.workspace import Workspace, check_name, is_drawn, uncertainty
from tavlo_pl.data.annotations import Instance
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.errors import ConfigError
from tavlo_pl.types import Scenario
from tests.helpers.annotate import CLIPS, RATE, SIZE, make_project, write_proposals
from tests.helpers.cli import tavlo
from tests.helpers.pages import Answer, ask, running

KEY = "k" * 16
FRAME = f"/k/{KEY}/clips/0/frames/7"
ANN, BOB = "session=aaaaaaaa&annotator=ann", "session=bbbbbbbb&annotator=bob"
BOX = {"task": "Single-Sound", "audio_visual_category": "dog", "bbox": [10, 10, 30, 20]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips; the first frame of the first has a proposed box with a score of 0.5."""
    project = make_project(tmp_path_factory.mktemp("template") / "project")
    box = Instance("cat", Scenario.SINGLE_SOUND, bbox=(5, 5, 20, 20))
    proposed = FrameInstance("d0", box, "proposed", Provenance("maskrcnn", 0.5), (0.5, 1.5))
    records = [FrameRecord(number, number / RATE, SIZE[1], SIZE[0]) for number in (7, 12)]
    frames = tuple(
        ProposedFrame(FrameRecord(r.number, r.time_s, r.width, r.height, "open", instances), 0, 1.0, (("Meow", 0.9),))
        for r, instances in zip(records, ((proposed,), ()), strict=True)
    )
    write_proposals(project, ClipProposals(CLIPS[0], 2.0, None, ((0.5, 1.5),), frames))
    return project.folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    """A copy of the template."""
    return Project(Path(shutil.copytree(template, tmp_path / "project")))


@pytest.fixture
def server(project: Project) -> Iterator[str]:
    workspace = Workspace(project)
    with running(lambda port: make_app(workspace, port, KEY, "ann")) as address:
        yield address


def post(address: str, path: str, who: str, value: Any = None) -> Answer:
    return ask(address, f"{path}?{who}", "POST", None if value is None else json.dumps(value).encode())


def state(*instances: dict[str, Any], status: str = "done") -> dict[str, Any]:
    return {
        "status": status,
        "instances": [{"id": f"p{n}", "status": "accepted", **i} for n, i in enumerate(instances)],
    }


def test_decision_is_saved_in_the_avatar_layout(server: str, project: Project) -> None:
    frame = ask(server, FRAME).json
    assert frame["state"]["instances"][0]["status"] == "proposed" and frame["tags"] == [["Meow", 0.9]]
    accepted = {**frame["state"]["instances"][0], "status": "accepted", "task": "Mixed-Sound"}
    answer = post(server, FRAME, ANN, {"status": "done", "instances": [accepted, state(BOX)["instances"][0]]})
    assert answer.status == 200, answer.json
    kept, drawn = answer.json["state"]["instances"]
    assert (kept["provenance"]["by"], kept["provenance"]["score"], kept["provenance"]["edited"]) == (
        "maskrcnn",
        0.5,
        False,
    )
    assert (drawn["provenance"]["by"], drawn["provenance"]["confirmed_by"]) == ("person", "ann")
    (clip,) = AVATAR(str(project.avatar)).clips()
    assert [(each.category, each.scenario) for each in clip.annotations[0].instances] == [
        ("cat", Scenario.MIXED_SOUND),
        ("dog", Scenario.SINGLE_SOUND),
    ]
    accepted["bbox"] = [6, 5, 20, 20]
    accepted["provenance"]["by"] = "somebody"  # the server does not trust it
    again = post(server, FRAME, BOB.replace("bbbbbbbb", "aaaaaaaa"), {"status": "done", "instances": [accepted, drawn]})
    kept, drawn = again.json["state"]["instances"]
    assert (kept["provenance"]["by"], kept["provenance"]["edited"], kept["provenance"]["confirmed_by"]) == (
        "maskrcnn",
        True,
        "bob",
    )
    assert drawn["provenance"]["confirmed_by"] == "ann"
    assert again.json["undo"] == 2
    listed = ask(server, f"/k/{KEY}/project?order=clips").json
    assert listed["frames"][0] == [0, 7, "done"] and "dog" in listed["categories"]
    for count in (1, 0, 0):
        undone = post(server, f"{FRAME}/undo", ANN).json
        assert undone["undo"] == count
    assert undone["state"]["status"] == "open" and undone["state"]["instances"][0]["status"] == "proposed"


class Square:
    """A segmenter whose mask is a square of 10 pixels around the last click; nothing beside an object."""

    name = "sam2"

    def segment(self, frame: np.ndarray, prompt: Prompt) -> tuple[np.ndarray, float] | None:
        assert frame.shape == (*SIZE, 3)
        mask = np.zeros(SIZE, bool)
        if prompt.box is not None or prompt.clicks[-1][2]:
            x, y = prompt.box[:2] if prompt.box is not None else prompt.clicks[-1][:2]
            mask[int(y) - 5 : int(y) + 5, int(x) - 5 : int(x) + 5] = True
        return (mask, 0.75) if mask.any() else None


def test_masks_of_clicks_have_the_segmenter_as_proposer(project: Project) -> None:
    workspace = Workspace(project, segmenter=Square())
    with running(lambda port: make_app(workspace, port, KEY, "ann")) as server:
        assert ask(server, f"/k/{KEY}/project").json["segmenter"] is True

        def segment(value: Any) -> Answer:
            return post(server, f"{FRAME}/segment", ANN, value)

        def save(shape: dict[str, Any]) -> dict[str, Any]:
            answer = post(server, FRAME, ANN, state({**BOX, **shape}))
            (each,) = answer.json["state"]["instances"]
            return dict(each["provenance"])

        first = segment({"clicks": [[30, 20, True]]})
        assert first.status == 200 and first.json["bbox"] == [25, 15, 10, 10]
        made = save(first.json)
        assert (made["by"], made["score"], made["edited"], made["confirmed_by"]) == ("sam2", 0.75, False, "ann")
        second = segment({"clicks": [[30, 20, True], [60, 30, True]]})
        assert second.json["bbox"] == [55, 25, 10, 10] and not save(second.json)["edited"]
        drawn = save({"bbox": [1, 2, 30, 40]})
        assert (drawn["by"], drawn["edited"]) == ("sam2", True)
        assert segment({"clicks": [], "box": [40, 40, 10, 10]}).json["bbox"] == [35, 35, 10, 10]
        nothing = segment({"clicks": [[30, 20, False]]})
        assert nothing.status == 422 and "finds nothing there" in nothing.json["error"]
        for wrong in ([], {}, {"clicks": [[1, 2]]}, {"clicks": [[1, "a", True]]}, {"box": [1, 2, 3]}):
            assert segment(wrong).status == 422
        assert ask(server, f"{FRAME}/segment?{ANN}", "POST", b"{").status == 400


def test_masks_of_clicks_need_a_segmenter(server: str) -> None:
    answer = post(server, f"{FRAME}/segment", ANN, {"clicks": [[30, 20, True]]})
    assert answer.status == 422 and "--segmenter" in answer.json["error"]
    assert ask(server, f"/k/{KEY}/project").json["segmenter"] is False


def test_clip_of_another_session_cannot_be_saved(server: str, project: Project) -> None:
    lock = f"/k/{KEY}/clips/0/lock"
    assert post(server, lock, ANN).json == {"mine": True, "annotator": "ann"}
    assert post(server, lock, BOB).json == {"mine": False, "annotator": "ann"}
    refused = post(server, FRAME, BOB, state(BOX))
    assert refused.status == 409 and "ann works on this clip" in refused.json["error"]
    assert post(server, f"{FRAME}/undo", BOB).status == 409
    assert post(server, FRAME.replace("clips/0", "clips/1"), BOB, state(BOX)).status == 200
    assert ask(server, f"/k/{KEY}/locks").json["0"] == ["ann", "aaaaaaaa"]
    post(server, f"/k/{KEY}/clips/0/unlock", ANN)
    assert post(server, FRAME, BOB, state(BOX)).status == 200
    assert Decisions(project.folder).clips() == [CLIPS[0], CLIPS[1]]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"[]", 422, "tavlo must be an object"),
        (json.dumps(state({**BOX, "task": "x"})).encode(), 422, "task is 'x'"),
        (json.dumps(state({**BOX, "bbox": [1, 2]})).encode(), 422, "bbox must be"),
        (json.dumps(state({**BOX, "span_s": [1, "a"]})).encode(), 422, "span_s must be"),
    ],
)
def test_invalid_states_are_refused(server: str, project: Project, body: bytes, status: int, words: str) -> None:
    answer = ask(server, f"{FRAME}?{ANN}", "POST", body)
    assert answer.status == status and words in answer.json["error"]
    assert Decisions(project.folder).clips() == []


@pytest.mark.parametrize("who", ["", "session=aaaaaaaa&annotator=../x", "session=a&annotator=ann", "session=aaaaaaaa"])
def test_requests_without_a_name_are_refused(server: str, who: str) -> None:
    assert post(server, FRAME, who, state(BOX)).status == 400


def test_media_of_a_clip(server: str, project: Project) -> None:
    assert ask(server, f"{FRAME}.jpg").body[:2] == b"\xff\xd8"
    project.image(CLIPS[0], "00007").unlink()
    assert ask(server, f"{FRAME}.jpg").body[:2] == b"\xff\xd8"
    assert ask(server, f"/k/{KEY}/clips/0/spectrogram.png").body[1:4] == b"PNG"
    peaks = ask(server, f"/k/{KEY}/clips/0/peaks").json
    assert len(peaks) == 800 and max(peaks[:190]) < 0.05 and min(peaks[210:590]) > 0.8
    part = ask(server, f"/k/{KEY}/clips/0/video", Range="bytes=4-7")
    assert (part.status, part.body, part.headers["content-type"]) == (206, b"ftyp", "video/mp4")
    project.video(CLIPS[1]).write_bytes(b"<html>")
    assert ask(server, f"/k/{KEY}/clips/1/video").status == 422
    assert ask(server, f"/k/{KEY}/clips/1/peaks").status == 422


@pytest.mark.parametrize(
    "path",
    ["/k/wrong/project", f"/k/{KEY}/clips/3/peaks", f"/k/{KEY}/clips/0/frames/8", f"/k/{KEY}/clips/-1/peaks",
     f"/k/{KEY}/clips/0/frames/{'9' * 5000}", f"/k/{KEY}/clips/..%2f/video", "/static/../server.py", f"/k/{KEY}/"],
)  # fmt: skip
def test_other_paths_are_not_served(server: str, path: str) -> None:
    assert ask(server, path).status in (400, 404)


def test_page_loads_only_its_static_files(server: str) -> None:
    page = ask(server, "/", Origin=server)
    assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    text = page.body.decode()
    assert "<style" not in text and " style=" not in text and "http" not in text
    for name in (*STYLES, *SCRIPTS):
        assert ask(server, f"/static/{name}").status == 200
    assert ask(server, "/", Host="attacker.example").status == 403
    assert ask(server, "/", Host=f"localhost:{urlsplit(server).port}").status == 200
    for origin in ("https://attacker.example", "null"):
        assert ask(server, f"{FRAME}?{ANN}", "POST", b"{}", Origin=origin).status == 403


def test_blind_pass_shows_no_proposals_and_has_its_own_files(project: Project) -> None:
    Decisions(project.folder).save(CLIPS[0], FrameRecord(7, 0.7, 96, 64, "done"), "ann")
    workspace = Workspace(project, "bob", 1.0)
    frame = workspace.frame(0, 7)
    assert frame["state"] == {"format": 1, "status": "open", "instances": []}
    assert frame["tags"] == [] and frame["heatmap"] is None and workspace.categories == set()
    workspace.save(0, 7, state(BOX), "bbbbbbbb", "bob")
    assert [each.status for each in Decisions(project.second / "bob").frames(CLIPS[0])] == ["done"]
    assert Decisions(project.folder).frames(CLIPS[0])[0].instances == ()
    names = [f"clip_{n}" for n in range(400)]
    small, large = ({name for name in names if is_drawn(name, share)} for share in (0.2, 0.5))
    assert small < large and 50 < len(small) < 110 and all(is_drawn(name, 1.0) for name in names)
    with pytest.raises(ConfigError, match="raise --share"):
        Workspace(project, "bob", 1e-9)


def test_queue_is_ordered_by_uncertainty(project: Project) -> None:
    record = FrameRecord(12, 1.2, 96, 64)
    sure = FrameInstance(
        "d0", Instance("cat", Scenario.SINGLE_SOUND, bbox=(5, 5, 20, 20)), "proposed", Provenance("m", 0.9)
    )
    assert uncertainty((sure,)) == pytest.approx(0.2) and uncertainty(()) == 1
    frames = (ProposedFrame(FrameRecord(7, 0.7, 96, 64, "open", (sure,)), 0, 1.0), ProposedFrame(record, 0, 1.0))
    write_proposals(project, ClipProposals(CLIPS[0], 2.0, None, ((0.5, 1.5),), frames))
    workspace = Workspace(project)
    assert [(each.clip, each.number) for each in workspace.entries("uncertain")][-1] == (0, 7)
    assert next((each.clip, each.number) for each in workspace.entries("clips")) == (0, 7)


def test_server_completes_a_killed_decision(project: Project) -> None:
    decisions = Decisions(project.folder)
    decisions.save(CLIPS[0], FrameRecord(7, 0.7, 96, 64, "done"), "ann")
    decisions.path(CLIPS[0], FrameRecord(7, 0.7, 96, 64)).unlink()
    assert Workspace(project).queue[0, 7].status == "done"
    decisions.journal(CLIPS[1]).write_text("{}\n")
    (problem,) = Workspace(project).problems
    assert f"{CLIPS[1]}.jsonl: line 1" in problem


def test_wrong_options_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    assert "no annotation project" in tavlo("annotate", "serve", tmp_path / "none").err
    assert "--share 2" in tavlo("annotate", "serve", project.folder, "--share", 2).err
    assert "a name has 1 to 40" in tavlo("annotate", "serve", project.folder, "--annotator", "../x").err
    assert check_name(" Ann B. ") == "Ann B."
    (project.folder / "project.json").write_text("[]")
    assert "object of format 1" in tavlo("annotate", "serve", project.folder).err
    monkeypatch.setitem(__import__("sys").modules, "aiohttp", None)
    outcome = tavlo("annotate", "serve", project.folder)
    assert outcome.code == 2 and "pip install 'tavlo_pl[app]'" in outcome.err
