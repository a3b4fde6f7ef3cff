"""The page of ``tavlo annotate serve`` in a browser: real clicks, drags and keys."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import FrameRecord, mask_of, read_frame
from tavlo_pl.annotate.project import Project
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.types import Scenario
from tests.helpers.annotate import CLIPS, make_project
from tests.helpers.annotate_page import click, drag, open_page, saved, serving, shown, until
from tests.helpers.browser import PATIENCE_MS, chromium

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytestmark = pytest.mark.slow


def drag_span(page: "Page", lane: int, from_share: float, to_share: float) -> None:
    """Drags along the lane of a source, between shares of the clip's length."""
    box = page.locator(".lane").nth(lane).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + from_share * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + to_share * box["width"], y, steps=5)
    page.mouse.up()


def name(page: "Page", category: str) -> None:
    """Types the category of the selected source."""
    page.keyboard.press("c")
    page.keyboard.type(category)
    page.keyboard.press("Enter")
    saved(page)


def annotate_with_pointer(page: "Page", project: Project) -> None:
    """A polygon with a moved point and a dragged span, and a box, on the first frame; then the frame is finished."""
    shown(page, CLIPS[0], 7)
    page.click("[data-tool=polygon]")
    for point in ((10, 10), (50, 10), (50, 40), (10, 40)):
        click(page, *point)
    click(page, 10, 10)  # the first point closes it
    saved(page)
    name(page, "dog")
    page.keyboard.press("2")
    page.keyboard.press("s")
    drag(page, (50, 40), (60, 50))
    saved(page)
    drag_span(page, 0, 0.75, 0.9)  # the right edge of the span of the region, which ends at 1.5 of 2 s
    saved(page)
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    drag(page, (60, 5), (90, 25))
    saved(page)
    name(page, "cat")
    page.keyboard.press("Enter")
    shown(page, CLIPS[0], 12)
    first, second = read_frame(Decisions(project.folder).path(CLIPS[0], FrameRecord(7, None, 1, 1))).annotations
    assert (first.instance.category, first.instance.scenario) == ("dog", Scenario.MIXED_SOUND)
    assert np.reshape(first.instance.polygons[0], (-1, 2)) == pytest.approx(
        np.array([[10, 10], [50, 10], [60, 50], [10, 40]]), abs=0.5
    )
    assert first.span_s is not None and first.span_s[1] == pytest.approx(1.8, abs=0.03)
    assert second.instance.bbox == pytest.approx((60, 5, 30, 20), abs=0.5)
    assert second.instance.category == "cat"
    assert first.provenance.by == "person" and first.provenance.confirmed_by == "ann"


def annotate_with_brush(page: "Page", project: Project) -> None:
    """A mask by the brush, cut by the eraser; undone to the brush alone and redone."""
    shown(page, CLIPS[1], 7)
    page.click("[data-tool=brush]")
    drag(page, (20, 30), (60, 30))
    saved(page)
    page.keyboard.press("e")
    drag(page, (40, 20), (40, 40))
    saved(page)
    path = Decisions(project.folder).path(CLIPS[1], FrameRecord(7, None, 1, 1))
    cut = read_frame(path)
    page.keyboard.press("u")
    saved(page)
    whole = read_frame(path)
    masks = [mask_of(each.instances[0].instance, each) for each in (whole, cut)]
    assert masks[0][30, 40] and not masks[1][30, 40] and masks[1][30, 22] and masks[0].sum() > masks[1].sum() > 300
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    shown(page, CLIPS[1], 12)


def test_page_annotates_three_clips_across_a_kill(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    with chromium() as page:
        with serving(project) as server:
            messages = open_page(page, server)
            annotate_with_pointer(page, project)
            page.keyboard.press("x")  # cannot tell
            annotate_with_brush(page, project)
            page.keyboard.press("v")  # a source that is not visible
            saved(page)
            server.kill()
            page.keyboard.press("u")
            page.wait_for_selector("#problem:not([hidden])")
            assert "does not answer" in (page.text_content("#problem") or "")
            assert all("ERR_" in text or "Failed to load" in text for text in messages), messages
        before = [
            frame.to_json()
            for clip in Decisions(project.folder).clips()
            for frame in Decisions(project.folder).frames(clip)
        ]
        with serving(project) as server:
            messages = open_page(page, server)
            after = [
                frame.to_json()
                for clip in Decisions(project.folder).clips()
                for frame in Decisions(project.folder).frames(clip)
            ]
            assert after == before
            shown(page, CLIPS[1], 12)  # the first open frame
            assert page.locator(".source").count() == 1
            page.keyboard.press("Enter")
            shown(page, CLIPS[2], 7)
            page.keyboard.press("k")  # keys alone: a box in the middle, moved and resized
            for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowDown", "]", "3", ".", "Enter"):
                page.keyboard.press(key)
            shown(page, CLIPS[2], 12)
            page.keyboard.press("Space")
            until(page, "document.getElementById('player').currentTime > 0.4")
            page.keyboard.press("Space")
            page.keyboard.press("Enter")
            until(page, "document.getElementById('progress').textContent.startsWith('6 of 6')")
            assert not [text for text in messages if "ERR_CONNECTION" not in text]  # of the page of the killed server
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                assert page.evaluate("document.documentElement.scrollWidth") <= 1280
                assert page.evaluate("document.documentElement.scrollHeight") <= 720
    clips = AVATAR(str(project.avatar)).clips()
    found = {clip.sample_id: [[i.scenario for i in f.instances] for f in clip.annotations] for clip in clips}
    assert found == {
        CLIPS[0]: [[Scenario.MIXED_SOUND, Scenario.SINGLE_SOUND]],
        CLIPS[1]: [[Scenario.SINGLE_SOUND], [Scenario.OFF_SCREEN]],
        CLIPS[2]: [[Scenario.MULTI_ENTITY]],
    }
    assert clips[2].annotations[0].instances[0].bbox == pytest.approx((16, 16, 48, 36))


def test_tavlo_test_scores_the_annotated_tree(tmp_path: Path) -> None:
    from tavlo_pl.predict.checkpoint import packaged_checkpoint
    from tests.helpers.cli import tavlo

    project = make_project(tmp_path / "project")
    with serving(project) as server, chromium() as page:
        open_page(page, server)
        for clip in CLIPS:
            shown(page, clip, 7)
            page.keyboard.press("k")
            saved(page)
            page.keyboard.press("Enter")
            shown(page, clip, 12)
            page.keyboard.press("x")
        until(page, "document.getElementById('progress').textContent.startsWith('6 of 6')")
    outcome = tavlo(
        "test", "--ckpt_path", packaged_checkpoint().with_name("world.safetensors"), "--out", tmp_path / "run",
        "--data.num_workers", 0,
        "--data.test", "tavlo_pl.data.datasets.AVATAR", "--data.test.init_args.root", project.avatar,
        "--data.clip.duration_s", 2,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "Single-Sound" in outcome.out or "single" in outcome.out.lower()


def test_two_browsers_keep_the_work_of_both(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    with serving(project) as server, chromium() as one:
        assert one.context.browser is not None
        other = one.context.browser.new_context().new_page()
        other.set_default_timeout(PATIENCE_MS)
        open_page(one, server, "ann")
        shown(one, CLIPS[0], 7)
        open_page(other, server, "bob")
        shown(other, CLIPS[0], 7)
        other.wait_for_selector("#problem:not([hidden])")
        assert "ann works on this clip" in (other.text_content("#problem") or "")
        other.keyboard.press("k")
        other.keyboard.press("n")
        other.keyboard.press("n")
        shown(other, CLIPS[1], 7)
        for page in (one, other):
            page.keyboard.press("k")
            saved(page)
        until(one, "document.getElementById('queue').textContent.includes('bob')")
        for page in (one, other):
            page.keyboard.press("Enter")
        shown(one, CLIPS[0], 12)
        shown(other, CLIPS[1], 12)
    decisions = Decisions(project.folder)
    assert [[d.by for d in decisions.decisions(clip)] for clip in CLIPS[:2]] == [["ann"] * 2, ["bob"] * 2]
    assert [len(frame.annotations) for clip in CLIPS[:2] for frame in decisions.frames(clip)] == [1, 1]


def test_key_is_answered_within_100_ms_with_5000_frames(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", [f"clip{n:07d}_{n:05d}" for n in range(4)], frames=range(20))
    for clip in project.clips():  # 1,250 clips of 4 frames each, as links to the same files
        proposals = project.proposals(clip)
        for copy in range(62):
            name = f"{clip}{copy:03d}"
            project.proposals_path(name).symlink_to(project.proposals_path(clip))
            project.video(name).symlink_to(project.video(clip))
            (project.folder / "frames" / name).symlink_to(project.folder / "frames" / clip)
        assert len(proposals.frames) == 20
    with serving(project) as server, chromium() as page:
        open_page(page, server)
        assert page.evaluate("document.getElementById('progress').textContent").endswith("of 5040 frames finished")
        used_ms, took_ms = [], []
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        for _ in range(15):
            before_ms = thread_ms(session)
            took_ms.append(
                page.evaluate(
                    "() => new Promise(done => { const start = performance.now();"
                    "new MutationObserver((_, watch) => { watch.disconnect(); done(performance.now() - start); })"
                    ".observe(document.getElementById('place'), {childList: true});"
                    "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'n', bubbles: true})); })"
                )
            )
            used_ms.append(thread_ms(session) - before_ms)
            page.wait_for_timeout(300)
        print(f"CPU ms a key: {np.sort(used_ms).round(1)}; elapsed ms: {np.sort(took_ms).round()}")
        # CPU time, since other work on the machine delays the answer
        assert np.median(used_ms) < 100, (used_ms, took_ms)


def thread_ms(session: "CDPSession") -> float:
    """CPU time of the thread of the page, which runs its scripts and draws."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(1000 * float(each["value"]) for each in metrics if each["name"] == "ThreadTime")
