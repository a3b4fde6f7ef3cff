"""What is fuzzed: for each kind of file from a stranger a valid one, how it is changed, and who reads it."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tavlo_pl.data import media
from tavlo_pl.data.avatar import AVATAR
from tavlo_pl.data.avsbench import AVSBench
from tavlo_pl.data.clip import ClipSource, read_ids
from tavlo_pl.data.flickr import FlickrSoundNet
from tavlo_pl.data.heatmaps import Heatmaps, samples_of
from tavlo_pl.data.is3 import IS3
from tavlo_pl.data.vggsound import read_table
from tavlo_pl.data.vggss import VGGSS
from tests.fuzz.mutate import mutate_bytes, mutate_json
from tests.helpers.clips import write_numbered
from tests.helpers.trees import RECTANGLE, instance

MASK_PIXELS = (56, 56)


class Target(NamedTuple):
    """One kind of file.

    Attributes:
        name: of the file below a fresh folder.
        make: draws the bytes of a changed one.
        read: reads it as the project does.
    """

    name: str
    make: Callable[[random.Random], bytes]
    read: Callable[[Path], object]


def targets(folder: Path) -> dict[str, Target]:
    """All of them by kind; ``folder`` holds the valid originals of those that are media."""
    avatar = {
        "original_width": 96,
        "original_height": 64,
        "annotations": [
            instance(),
            instance("Mixed-sound", "cat", segmentation=RECTANGLE * 2, bbox=[1, 2, 30, 40]),
            instance("Off-Screen", "bird", segmentation=[]),
            instance("Multi-entity", segmentation={"size": [2, 3], "counts": [1, 2, 3]}),
            instance("Multi-entity", segmentation={"size": [2, 3], "counts": "123"}),
        ],
    }
    vggss = [{"file": f"v{n}_000010", "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7], [0, 0, 1, 1]]} for n in range(2)]
    boxes = [{"image": f"cat_dog_{n}_cat.jpg", "audio": "a.wav", "gt_box": [0, 0, 100, 200]} for n in range(2)]
    frames = [{"image": f"v_{n}.png", "class": "dog", "gt_mask": "mask.png"} for n in (1, 2)]
    edges = "".join(f"<{edge}>{n}</{edge}>" for n, edge in enumerate(("xmin", "ymin", "xmax", "ymax"), 3))
    flickr = f"<annotation><object><bbox>{edges}</bbox><bbox>{edges}</bbox></object></annotation>".encode()
    table = b'abcdefghijk,10,"bird chirping, tweeting",train\nl_7B1wnTNtA,20,dog,test\nl_7B1wnTNtA_000020.mp4,cat\n'
    found = {
        "AVATAR": Target(
            "metadata/abcdefghijk_00010/00003.json",
            lambda draw: mutate_json(avatar, draw),
            lambda path: _draw_all(AVATAR(str(path.parents[2]), videos=False)),
        ),
        "VGG-SS": _of_json("vggss.json", vggss, VGGSS),
        "IS3": _of_json("is3.json", boxes, IS3),
        "AVSBench": _of_json("avsbench.json", frames, AVSBench),
        "mask picture": Target("mask.png", lambda draw: mutate_bytes(_png(), draw), _read_mask),
        "Flickr-SoundNet": Target(
            "1.xml",
            lambda draw: mutate_bytes(flickr, draw),
            lambda path: _draw_all(FlickrSoundNet(str(path.parent))),
        ),
        "vggsound.csv": Target("vggsound.csv", lambda draw: mutate_bytes(table, draw), read_table),
        "list of ids": Target("ids.txt", lambda draw: mutate_bytes(table, draw), read_ids),
        "heatmaps": Target("v_000010.npz", lambda draw: mutate_bytes(_npz(draw), draw), _read_heatmap),
    }
    return found | {f"video {suffix}": _of_media(folder, suffix) for suffix in ("mp4", "mkv", "ts")}


def _of_json(name: str, value: Any, reader: Callable[[str], ClipSource]) -> Target:
    def read(path: Path) -> None:
        (path.parent / "mask.png").write_bytes(_png())
        _draw_all(reader(str(path)))

    return Target(name, lambda draw: mutate_json(value, draw), read)


def _of_media(folder: Path, suffix: str) -> Target:
    path = folder / f"valid.{suffix}"
    write_numbered(path, seconds=1.0)
    valid = path.read_bytes()

    def read(path: Path) -> None:
        media.probe(path)
        media.frame_times(path)
        media.read_clip(path, [0.1, 0.5, 0.9], (32, 32), 0.0, 1.0)

    return Target(f"clip.{suffix}", lambda draw: mutate_bytes(valid, draw), read)


def _draw_all(source: ClipSource) -> None:
    for clip in source.clips():
        for frame in clip.annotations:
            for scenario in frame.scenarios:
                frame.truth(scenario, MASK_PIXELS)


def _read_mask(path: Path) -> None:
    frame = [{"image": "v_1.png", "class": "dog", "gt_mask": path.name}]
    (path.parent / "avsbench.json").write_text(json.dumps(frame))
    _draw_all(AVSBench(str(path.parent / "avsbench.json")))


def _read_heatmap(path: Path) -> None:
    entry = [{"file": path.stem, "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]}]
    (path.parent / "vggss.json").write_text(json.dumps(entry))
    maps = Heatmaps(path.parent)
    for sample in samples_of(VGGSS(str(path.parent / "vggss.json")).clips()):
        maps.map_of(sample)


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(file, "png")
    return file.getvalue()


def _npz(draw: random.Random) -> bytes:
    file = io.BytesIO()
    save = draw.choice((np.savez, np.savez_compressed))
    save(file, heatmap=np.ones((3, 7, 7), np.float16), frame_time_s=np.arange(3.0), duration_s=np.float64(3))
    return file.getvalue()
