from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.data.datasets.flickr import FlickrSoundNet
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.types import Scenario
from tests.helpers.trees import sample_of

BOX = "<bbox><annotator>{}</annotator><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bbox>"


def write(folder: Path, name: str, *boxes: tuple[object, ...]) -> None:
    inside = "".join(BOX.format(number, *box) for number, box in enumerate(boxes))
    (folder / name).write_text(f"<root><annotation>{inside}</annotation></root>")


def test_two_annotators_make_it_certain(tmp_path: Path) -> None:
    write(tmp_path, "10000130166.xml", (0, 0, 128, 256), (64, 0, 128, 256), (64, 0, 256, 128))
    write(tmp_path, "9.b.xml", (0, 0, 256, 256))
    clips = FlickrSoundNet(str(tmp_path)).clips()
    assert [clip.sample_id for clip in clips] == ["10000130166", "9"]
    truth = sample_of(clips[0].annotations[0], Scenario.SINGLE_SOUND).truth((224, 224))
    expected = np.zeros((224, 224), np.float32)
    expected[:, :112] = 0.5
    expected[:, 56:112] = 1
    expected[:112, 112:] = 0.5
    assert (truth == expected).all()
    assert len(sample_of(clips[0].annotations[0], Scenario.SINGLE_SOUND).instances) == 3


def test_edges_are_cut_down_to_whole_pixels(tmp_path: Path) -> None:
    write(tmp_path, "1.xml", (1, 0, 255, 256), (1, 0, 255, 256))
    truth = sample_of(FlickrSoundNet(str(tmp_path)).clips()[0].annotations[0], Scenario.SINGLE_SOUND).truth((224, 224))
    assert np.flatnonzero(truth[0]).tolist() == list(range(int(224 * 1 / 256), int(224 * 255 / 256)))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no such folder with files <image>\.xml"):
        FlickrSoundNet(str(tmp_path)).clips()
    write(tmp_path, "1.xml", (0, 0, "x", 256))
    with pytest.raises(AnnotationError, match=r"1\.xml: bbox\[0\] must have whole numbers xmin, ymin, xmax, ymax"):
        FlickrSoundNet(str(tmp_path)).clips()
    write(tmp_path, "1.xml")
    with pytest.raises(AnnotationError, match=r"1\.xml: no element bbox"):
        FlickrSoundNet(str(tmp_path)).clips()
    (tmp_path / "1.xml").write_text("{}")
    with pytest.raises(AnnotationError, match=r"1\.xml: no XML file"):
        FlickrSoundNet(str(tmp_path)).clips()
