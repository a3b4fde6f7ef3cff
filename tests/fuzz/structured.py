"""Well-formed files of other content: any arrays, configurations, annotations, YAML tokens and headers of archives.

Mutation (`tests.fuzz.run`) makes files that are nearly right; these mean something else. A reader either returns finite
values or raises a `TavloError`.
"""

import io
import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tavlo_pl.config import security
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.data.heatmap_folder import HeatmapFolder
from tavlo_pl.data.media.archive import members
from tavlo_pl.data.scored_samples import samples_of
from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.protocols import PROTOCOLS
from tavlo_pl.predict.checkpoint import load_localizer
from tests.helpers.tiny import Tiny
from tests.helpers.trees import RECTANGLE, instance

ODD = st.sampled_from(
    [
        0,
        -1,
        1,
        2**31,
        2**63,
        10**30,
        10**400,
        0.5,
        -0.0,
        1e300,
        1e-300,
        math.nan,
        math.inf,
        -math.inf,
        True,
        None,
        "",
        "x",
        "1",
        [],
        {},
    ]
)
VALUES = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=5),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=4), v, max_size=3),
    max_leaves=8,
)
DTYPES = st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u8", "c8", "?", "U3", "S3", "M8[s]", "m8[s]", "g"])
SHAPES = st.sampled_from(
    [(), (0,), (1,), (3,), (4,), (3, 1), (1, 3), (4, 4), (3, 4, 4), (1, 4, 4), (0, 4, 4), (3, 0, 4), (3, 1, 4, 4)]
)


def arrays(
    dtypes: st.SearchStrategy[str] = DTYPES, shapes: st.SearchStrategy[Any] = SHAPES
) -> st.SearchStrategy[np.ndarray]:
    return st.tuples(dtypes, shapes).flatmap(lambda form: npst.arrays(np.dtype(form[0]), form[1], fill=st.nothing()))


def _mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda number: odd if number == 0 else usual)


SMALL = st.floats(0, 100, width=16)
MAPS = npst.arrays(st.sampled_from([np.float16, np.float32, np.float64]), (3, 4, 4), elements=SMALL)
TIMES = npst.arrays(st.sampled_from([np.float32, np.float64]), (3,), elements=SMALL)
ONE = npst.arrays(np.float64, st.sampled_from([(), (1,)]), elements=st.floats(1, 100))
NPZ = st.fixed_dictionaries(
    {"heatmap": _mostly(MAPS, arrays())},
    optional={
        "frame_time_s": _mostly(TIMES, arrays()),
        "frame_number": _mostly(TIMES, arrays()),
        "frame_rate": _mostly(ONE, arrays()),
        "heatmap_0000": arrays(),
        "other": arrays(),
    },
)
CLIP = {
    "segments": 3,
    "duration_s": 2.0,
    "image_size": 32,
    "mel_bands": 16,
    "columns_per_segment": 24,
    "frequencies": "mel",
}
CONFIGS = st.fixed_dictionaries(
    {
        "clip": st.fixed_dictionaries(
            {name: _mostly(_mostly(st.just(value), ODD), VALUES) for name, value in CLIP.items()}
        ),
        "model": st.fixed_dictionaries(
            {"width": _mostly(st.just(4), ODD), "loss_weight": _mostly(st.just(1.0), VALUES)}
        ),
        "threshold": _mostly(st.floats(-1, 1), st.floats() | VALUES),
        "more": st.dictionaries(
            st.sampled_from(["trainer", "out", "data", "seed_everything", "callbacks"]), VALUES, max_size=2
        ),
    }
)
INSTANCE = st.fixed_dictionaries(
    {},
    optional={
        "task": _mostly(st.sampled_from(["Single-sound", "Off-Screen", "Mixed-sound"]), VALUES),
        "audio_visual_category": VALUES,
        "bbox": st.lists(ODD, min_size=4, max_size=4) | VALUES,
        "segmentation": st.lists(st.lists(ODD | st.floats(), min_size=6, max_size=8), max_size=2)
        | st.fixed_dictionaries(
            {"size": st.lists(ODD, min_size=2, max_size=2), "counts": st.lists(ODD, max_size=5) | VALUES}
        )
        | VALUES,
    },
)
AVATAR_RECORD = st.fixed_dictionaries(
    {
        "original_width": _mostly(st.integers(1, 200), VALUES),
        "original_height": _mostly(st.integers(1, 200), VALUES),
        "annotations": st.lists(INSTANCE.map(lambda changes: instance(segmentation=RECTANGLE) | changes), max_size=3)
        | VALUES,
    }
)
TOKENS = [
    "a",
    "b",
    ": ",
    ":",
    "- ",
    "\n",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "*b",
    "<<: ",
    "!!int ",
    "!!python/name:os ",
    "!x ",
    "'",
    '"',
    "1",
    "9" * 50,
    "1:30",
    ".5",
    "1e9",
    ".nan",
    "~",
    "null",
    "true",
    "|\n",
    ">\n",
    "? ",
    "#",
    "%",
    "---\n",
    "...\n",
    "\t",
    "\\ud800",
    "class_path: torch.load",
    "0x",
    "_",
    "\0",
]
YAML = st.lists(st.sampled_from(TOKENS), max_size=40).map("".join)
MEMBER = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a.mp4", "b/c.mp4", "../a.mp4", "/a.mp4", "x" * 300 + ".mp4", "", ".", "a\udcff.mp4"]),
        "type": st.sampled_from([b"0", b"0", b"0", b"5", b"1", b"2", b"3", b"6", b"S", b"L", b"x", b"g", b"7", b"\0"]),
        "pax": st.dictionaries(
            st.sampled_from(
                [
                    "size",
                    "path",
                    "mtime",
                    "uid",
                    "GNU.sparse.major",
                    "GNU.sparse.minor",
                    "GNU.sparse.map",
                    "GNU.sparse.size",
                    "GNU.sparse.realsize",
                ]
            ),
            st.sampled_from(["0", "1", "-1", "x", "9" * 30, "0,1", "1,0,5", "nan", ""]),
            max_size=4,
        ),
        "content": st.sampled_from([b"", b"x" * 10, b"\0\0\0\x18ftypmp42" + bytes(600)]),
    }
)


class Structured(NamedTuple):
    """One kind of file.

    Attributes:
        share: part of all cases, in percent.
        name: of the file below a fresh folder.
        strategy: draws a value.
        write: the bytes of a file with that value.
        read: reads the file as the project does; asserts that accepted values are finite.
    """

    share: int
    name: str
    strategy: st.SearchStrategy[Any]
    write: Callable[[Any], bytes]
    read: Callable[[Path], object]


def _npz(value: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **value)  # type: ignore[arg-type]
    return file.getvalue()


def _read_npz(path: Path) -> None:
    (path.parent / "vggss.json").write_text(
        json.dumps([{"file": path.stem, "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]}])
    )
    maps = HeatmapFolder(path.parent)
    for sample in samples_of(VGGSS(str(path.parent / "vggss.json")).clips(), PROTOCOLS["vggss_ezvsl"]):
        assert np.isfinite(maps.map_of(sample)).all() and math.isfinite(maps.time_s(sample) or 0.0)
        assert all(np.isfinite(value).all() for name, value in maps._arrays(path).items() if name != "heatmap")


def _checkpoint(value: dict[str, Any]) -> bytes:
    model = {"class_path": "tests.helpers.tiny.Tiny", "init_args": value["model"]}
    config = value["more"] | {"model": model, "data": {"clip": value["clip"]}}
    file = io.BytesIO()
    about = {"config": yaml.safe_dump(config), "threshold": value["threshold"]}
    torch.save({"state_dict": Tiny().state_dict(), "tavlo": about}, file)
    return file.getvalue()


def _read_checkpoint(path: Path) -> None:
    localizer = load_localizer(path, "cpu", ("tests",))
    assert localizer.threshold is None or math.isfinite(localizer.threshold)
    assert math.isfinite(localizer.spec.duration_s) and math.isfinite(localizer.model.loss_weight)  # type: ignore[attr-defined]


def _read_avatar(path: Path) -> None:
    for clip in AVATAR(str(path.parents[2]), videos=False).clips():
        for frame in clip.annotations:
            for sample in frame.samples("scenario", "both"):
                assert sample.truth((8, 8)).shape == (8, 8)
                sample.category.encode()


def _read_yaml(path: Path) -> None:
    try:
        security.read_yaml(path.read_bytes().decode())
    except yaml.YAMLError as error:
        raise ConfigError(str(error)) from error


def _tar(value: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in value:
            info = tarfile.TarInfo(member["name"])
            info.type, info.pax_headers, info.size = member["type"], member["pax"], len(member["content"])
            archive.addfile(info, io.BytesIO(member["content"]))
    return file.getvalue()


KINDS = {
    "npz of any arrays": Structured(35, "v_000010.npz", NPZ, _npz, _read_npz),
    "checkpoint of any configuration": Structured(5, "best.ckpt", CONFIGS, _checkpoint, _read_checkpoint),
    "AVATAR of any values": Structured(
        25,
        "metadata/abcdefghijk_00010/00003.json",
        AVATAR_RECORD,
        lambda value: json.dumps(value).encode(),
        _read_avatar,
    ),
    "YAML of any tokens": Structured(25, "a.yaml", YAML, lambda text: text.encode(), _read_yaml),
    "tar of any headers": Structured(10, "a.tar", st.lists(MEMBER, max_size=4), _tar, lambda path: list(members(path))),
}


def fuzz(
    kind: Structured, count: int, first: int, folder: Path, outcome: Callable[[Callable[[Path], object], Path], str]
) -> dict[str, list[str]]:
    """Outcome -> what had it, of some files of a kind.

    Args:
        kind: of files.
        count: number of files.
        first: seed of the files.
        folder: for the file.
        outcome: runs a reader on a file and tells its outcome.
    """
    found: dict[str, list[str]] = {}
    path = folder / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)

    @seed(first)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.strategy)
    def check(value: Any) -> None:
        path.write_bytes(kind.write(value))
        found.setdefault(outcome(kind.read, path), []).append(repr(value)[:300])

    check()
    return found
