"""What is fuzzed: for each kind of file from a stranger a valid one, how it is changed, and who reads it."""

import io
import json
import random
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from safetensors.torch import save

from tavlo_pl.annotate.decisions import Decisions
from tavlo_pl.annotate.exchange.coco import read_coco, to_coco
from tavlo_pl.annotate.exchange.cvat import read_cvat, to_cvat
from tavlo_pl.annotate.frames import parse_frame, read_frame
from tavlo_pl.annotate.project import Project
from tavlo_pl.data import media
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.data.clip_ids import read_ids
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.avsbench import AVSBench
from tavlo_pl.data.datasets.flickr import FlickrSoundNet
from tavlo_pl.data.datasets.is3 import IS3
from tavlo_pl.data.datasets.vggsound import read_table
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.data.heatmap_avatar import open_heatmaps
from tavlo_pl.data.heatmap_folder import HeatmapFolder
from tavlo_pl.data.index.table import SCHEMA, Index, read_probed
from tavlo_pl.data.media import DecodedClip
from tavlo_pl.data.media.archive import members
from tavlo_pl.data.scored_samples import samples_of
from tavlo_pl.data.shards.format import ENTRY, ShardSpec, from_record, to_record
from tavlo_pl.data.shards.source import Shards, Store
from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.protocols import PROTOCOLS
from tavlo_pl.predict.checkpoint import read_checkpoint
from tests.fuzz.mutate import mutate_bytes, mutate_json
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered
from tests.helpers.trees import RECTANGLE, instance, write_annotation

MASK_PIXELS = (56, 56)

CONFIG = {
    "seed_everything": 3,
    "trainer": {
        "accelerator": "cpu",
        "max_epochs": 2,
        "callbacks": [
            {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/loss"}}
        ],
        "strategy": {"class_path": "lightning.pytorch.strategies.DDPStrategy", "init_args": {"timeout": "0:30:00"}},
    },
    "model": {"class_path": "tests.helpers.tiny.Tiny", "init_args": {"width": 4, "loss_weight": 1.0}},
    "data": {
        "train": {"class_path": "tavlo_pl.data.datasets.VGGSound", "init_args": {"root": "data", "ids": None}},
        "clip": {"segments": 3, "duration_s": 2.0},
        "augment": {"colour": 0.1},
        "limits": {"pixels": 1000},
    },
}


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
        "AVATAR heatmaps": Target(
            "heatmap/abcdefghijk_00010.npy", lambda draw: mutate_bytes(_npy(draw), draw), _read_avatar_heatmap
        ),
    }
    found |= (
        _of_annotation()
        | _tables()
        | _of_weights()
        | {f"archive {packed or 'tar'}": _of_archive(packed) for packed in ("", "gz")}
    )
    found["configuration"] = Target("config.yaml", lambda draw: mutate_json(CONFIG, draw), _read_config)
    return found | {f"video {suffix}": _of_media(folder, suffix) for suffix in ("mp4", "mkv", "ts")}


def _of_annotation() -> dict[str, Target]:
    """Files of a project of ``tavlo annotate``, and of other tools that it imports."""
    shape = instance(segmentation={"size": [64, 96], "counts": [100, 6044]})
    drawn = instance() | {"id": "p1", "span_s": [0.5, 1.5], "provenance": {"by": "person", "score": 0.5}}
    frame = {"original_width": 96, "original_height": 64, "time_s": 0.7}
    state = frame | {"tavlo": {"format": 1, "status": "done", "instances": [drawn, shape]}}
    proposed = state | {"number": 7, "region": 0, "sharpness": 3.5, "tags": [["Dog", 0.5]], "heatmap": [[0.1, 0.2]]}
    proposals = {"format": 1, "duration_s": 2.0, "label": None, "regions": [[0.5, 1.5]], "frames": [proposed]}
    decision = {"at": "2026", "by": "ann", "action": "set", "frame": 7, "state": state}
    coco = to_coco({"v_1": [parse_frame(state, 7, "v_1")]})
    cvat = to_cvat("v_1", [parse_frame(state, 7, "v_1")]).encode()

    def read_journal(path: Path) -> None:
        decisions = Decisions(path.parents[1])
        decisions.complete(path.stem)
        decisions.history(path.stem, 7)

    return {
        "project frame": Target("00007.json", lambda draw: mutate_json(state, draw), read_frame),
        "proposals": Target(
            "proposals/v_1.json",
            lambda draw: mutate_json(proposals, draw),
            lambda path: Project(path.parents[1]).proposals("v_1"),
        ),
        "journal": Target("journal/v_1.jsonl", lambda draw: mutate_json(decision, draw) + b"\n", read_journal),
        "COCO": Target("coco.json", lambda draw: mutate_json(coco, draw), read_coco),
        "CVAT": Target("v_1.xml", lambda draw: mutate_bytes(cvat, draw), read_cvat),
    }


def _tables() -> dict[str, Target]:
    """Index and shards: Parquet and Arrow."""
    indexed = [dict.fromkeys(SCHEMA.names) | {"sample_id": f"v_{n}", "path": "v.mp4", "reason": ""} for n in range(20)]
    index = _parquet(indexed, SCHEMA)
    spec = ShardSpec(segments=2, frames_per_segment=1, duration_s=0.5, image_size=16)
    clip = DecodedClip(np.zeros((2, 16, 16, 3), np.uint8), np.array([0.1, 0.4]), np.zeros(8000, np.float32))
    record = to_record("v_1", "dog", 0.0, spec, clip).serialize().to_pybytes()
    place = {"shard": 0, "offset": 0, "bytes": len(record), "crc32": 1}
    entries = [{"sample_id": f"v_{n}", "category": "dog", "start_s": 0.0, "reason": None, **place} for n in range(20)]
    shards = _parquet(entries, ENTRY)
    note = {"spec": asdict(spec), "clips": 20}

    def read_record(path: Path) -> None:
        data = path.read_bytes()
        decoded = from_record(data, zlib.crc32(data), (0, 1), (8, 8), str(path))
        assert decoded.frames.shape == (2, 8, 8, 3)

    return {
        "index": Target(
            "index.parquet",
            lambda draw: mutate_bytes(index, draw),
            lambda path: [list(Index(str(path), split=None).clips()), read_probed(path)],
        ),
        "index of shards": Target(
            "index.parquet",
            lambda draw: mutate_bytes(shards, draw),
            lambda path: list(Shards(str(path.parent)).clips()),
        ),
        "shard": Target("00000.arrow", lambda draw: mutate_bytes(record, draw), read_record),
        "shards.json": Target(
            "shards.json", lambda draw: mutate_json(note, draw), lambda path: Store(str(path.parent)).spec
        ),
    }


def _of_weights() -> dict[str, Target]:
    content = {"state_dict": {"a.weight": torch.zeros(3, 2), "b": torch.ones(2)}, "tavlo": {"config": "model: 3"}}
    file = io.BytesIO()
    torch.save(content, file)

    def make_safe(draw: random.Random) -> bytes:
        return mutate_bytes(save(content["state_dict"], metadata={"tavlo": '{"config": "model: 3"}'}), draw)

    return {
        "checkpoint": Target("best.ckpt", lambda draw: mutate_bytes(file.getvalue(), draw), read_checkpoint),
        "safetensors": Target("best.safetensors", make_safe, read_checkpoint),
    }


def _of_archive(packed: str) -> Target:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{packed}") as tar:  # type: ignore[call-overload]
        for name, size in (("a.mp4", 900), ("b/c.txt", 10), ("long/" * 40 + "d.mp4", 3000)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    return Target(
        f"part.tar{packed and '.'}{packed}",
        lambda draw: mutate_bytes(file.getvalue(), draw),
        lambda path: list(members(path)),
    )


def _read_config(path: Path) -> None:
    """As far as ``--print_config``: nothing is made of it."""
    outcome = tavlo("fit", "-c", path, "--print_config", "--allow_import", "tests")
    if outcome.code == ConfigError.exit_code:
        raise ConfigError(outcome.err)
    assert outcome.code == 0, outcome.err


def _parquet(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    """A Parquet file; numbers that a row lacks are 0."""
    numbers = {field.name: 0 for field in schema if not pa.types.is_string(field.type)}
    filled = [numbers | {name: value for name, value in row.items() if value is not None} for row in rows]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(filled, schema), file)
    return file.getvalue()


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
            for unit in ("scenario", "frame"):
                for sample in frame.samples(unit, "both"):
                    sample.truth(MASK_PIXELS)


def _read_mask(path: Path) -> None:
    frame = [{"image": "v_1.png", "class": "dog", "gt_mask": path.name}]
    (path.parent / "avsbench.json").write_text(json.dumps(frame))
    _draw_all(AVSBench(str(path.parent / "avsbench.json")))


def _read_heatmap(path: Path) -> None:
    entry = [{"file": path.stem, "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]}]
    (path.parent / "vggss.json").write_text(json.dumps(entry))
    maps = HeatmapFolder(path.parent)
    for sample in samples_of(VGGSS(str(path.parent / "vggss.json")).clips(), PROTOCOLS["vggss_ezvsl"]):
        maps.map_of(sample)


def _read_avatar_heatmap(path: Path) -> None:
    root = path.parents[1]
    write_annotation(root, path.stem, "00020", [instance("Single-Sound"), instance("Off-Screen", segmentation=None)])
    maps = open_heatmaps(root, None, "linear")
    for sample in samples_of(AVATAR(str(root), videos=False).clips(), PROTOCOLS["avatar"]):
        maps.map_of(sample)


def _npy(draw: random.Random) -> bytes:
    file = io.BytesIO()
    shape = draw.choice(((3, 7, 7), (3, 1, 7, 7)))
    np.save(file, np.ones(shape, draw.choice((np.float16, np.float32, np.float64))))
    return file.getvalue()


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(file, "png")
    return file.getvalue()


def _npz(draw: random.Random) -> bytes:
    file = io.BytesIO()
    save = draw.choice((np.savez, np.savez_compressed))
    save(file, heatmap=np.ones((3, 7, 7), np.float16), frame_time_s=np.arange(3.0), duration_s=np.float64(3))
    return file.getvalue()
