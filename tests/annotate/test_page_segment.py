"""The segment tool of the page in a browser, with SAM 2 of random weights."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.frames import FrameRecord, mask_of
from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.segmenters import Prompt, make_segmenter
from tests.helpers.annotate import CLIPS, make_project
from tests.helpers.annotate_page import click, drag, open_page, serving, shown, until_decided
from tests.helpers.browser import chromium
from tests.helpers.sam2 import write_tiny_sam2

pytestmark = pytest.mark.slow


def test_clicks_and_a_box_make_masks(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    model = write_tiny_sam2(tmp_path / "sam2")
    with serving(project, "--segmenter", str(model)) as server, chromium() as page:
        open_page(page, server)
        shown(page, CLIPS[0], 7)
        page.keyboard.press("w")
        click(page, 30, 20)
        until_decided(project, 1)
        (first,) = last_state(project).instances
        page.keyboard.down("Shift")
        click(page, 80, 50)
        page.keyboard.up("Shift")
        until_decided(project, 2)
        (second,) = last_state(project).instances
        page.keyboard.press("Escape")  # a new source
        drag(page, (10, 5), (60, 50))
        until_decided(project, 3)
        instances = last_state(project).instances
        assert [each.provenance.by for each in instances] == ["sam2", "sam2"]
        assert [each.instance.rle is not None and not each.provenance.edited for each in instances] == [True, True]
        assert first.id == second.id and first.instance.rle != second.instance.rle
        segmenter = make_segmenter(str(model))
        with Image.open(project.image(CLIPS[0], "00007")) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert segmenter is not None
        found = segmenter.segment(pixels, Prompt(((30.0, 20.0, True),)))
        assert found is not None and agreement(found[0], mask_of(first.instance, last_state(project))) > 0.95


def last_state(project: Project) -> FrameRecord:
    """The last state of the first frame in the journal, which is written before its file."""
    return Decisions(project.folder).history(CLIPS[0], 7)[-1]


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Share of equal pixels: the position of a click is rounded to pixels of the screen."""
    return float((one == other).mean())
