"""Saved heatmaps that are no heatmaps: members, headers, types, shapes and values of ``.npz`` and ``.npy`` files."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.data.heatmap_avatar import open_heatmaps
from tavlo_pl.data.heatmap_folder import HeatmapFolder
from tavlo_pl.data.scored_samples import samples_of
from tavlo_pl.metrics.protocols import PROTOCOLS
from tests.helpers.cli import tavlo
from tests.helpers.hostile import refusal
from tests.helpers.trees import instance, write_annotation

MAPS = np.ones((3, 7, 7), np.float32)
TIMES = np.arange(3.0)
STRUCTS = np.zeros(3, [("a", "f4"), ("b", "i4")])


ONE_NUMBER: dict[str, Any] = {
    "zero": 0.0, "negative": -25.0, "NaN": np.nan, "infinite": np.inf, "minus infinite": -np.inf,
    "huge": 1e300, "tiny": 1e-300, "text": "25", "bytes": b"25", "complex": 25 + 1j, "true": True,
    "date": np.datetime64("2026-01-01"),
    "duration": np.timedelta64(3, "s"), "not a time": np.datetime64("NaT"), "two": [25.0, 25.0],
    "three": [1.0, 2.0, 3.0],
    "none": [], "a table": [[25.0]], "structure": STRUCTS[0], "object": np.array(None, object),
    "long double": np.longdouble(25), "largest integer": np.uint64(2**64 - 1), "empty text": "",
    "text that is NaN": "nan",
}  # fmt: skip
"""Values of ``frame_rate``."""

EACH_NUMBER: dict[str, Any] = {
    "text": np.array(["0", "1", "2"]), "bytes": np.array([b"0", b"1", b"2"]), "complex": TIMES + 0j,
    "true": np.array([False, True, True]), "dates": np.arange(3).astype("datetime64[s]"),
    "durations": np.arange(3).astype("timedelta64[s]"), "structures": STRUCTS, "objects": np.array([0, 1, 2], object),
    "NaN": np.array([0, np.nan, 2]), "all NaN": np.full(3, np.nan), "infinite": np.array([0, 1, np.inf]),
    "minus infinite": np.array([-np.inf, 1, 2]), "huge": np.array([0, 1, 1e300]), "one": np.array([1.0]),
    "four": np.arange(4.0), "none": np.array([]), "a number": np.array(1.0), "a table": TIMES[:, None],
    "a row": TIMES[None], "long double": TIMES.astype(np.longdouble), "negative and huge": np.array([-1e300, 0, 1]),
    "one text": np.array("0 1 2"), "half": np.array([0, 1, np.inf], np.float16),
    "unsigned": np.array([0, 1, 2**63], np.uint64),
}  # fmt: skip
"""Values of ``frame_time_s`` and ``frame_number``."""

HEATMAPS: dict[str, Any] = {
    "text": np.full((3, 7, 7), "1"), "bytes": np.full((3, 7, 7), b"1"), "complex": MAPS + 1j, "true": MAPS > 0,
    "dates": np.zeros((3, 7, 7), "datetime64[s]"), "durations": np.zeros((3, 7, 7), "timedelta64[s]"),
    "structures": np.zeros((3, 7, 7), STRUCTS.dtype), "objects": np.full((3, 7, 7), 1, object),
    "long double": MAPS.astype(np.longdouble), "a number": np.array(1.0), "a row": np.ones(7),
    "four axes": MAPS[None], "eight axes": MAPS.reshape(3, 7, 7, 1, 1, 1, 1, 1), "no maps": MAPS[:0],
    "no rows": MAPS[:, :0], "no columns": MAPS[:, :, :0], "NaN": np.where(np.eye(7), np.nan, MAPS),
    "infinite": np.full((1, 7, 7), np.inf), "minus infinite": np.full((1, 7, 7), -np.inf, np.float16),
    "wide": np.ones((1, 2, 2**23 + 1), np.uint8), "high": np.ones((1, 2**23 + 1, 2), np.int8),
    "beyond float32": np.full((1, 7, 7), 1e300),
}  # fmt: skip


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version)
    return file.getvalue()


def zipped(members: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, content)
    return file.getvalue()


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    content = text.encode("latin1")
    return b"\x93NUMPY" + version + struct.pack("<H", len(content)) + content


def of_shape(shape: str, descr: str = "'<f4'", more: str = "") -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, {more}}}\n") + bytes(196)


def encrypted() -> bytes:
    content = bytearray(npz(heatmap=MAPS))
    for at in (content.find(b"PK\x03\x04") + 6, content.find(b"PK\x01\x02") + 8):
        content[at] |= 1
    return bytes(content)


def repeated(times: int) -> bytes:
    """A directory that lists one member many times."""
    content = npz(heatmap=MAPS)
    start = content.find(b"PK\x01\x02")
    end = content.find(b"PK\x05\x06")
    entry = content[start:end] * times
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, times & 0xFFFF, times & 0xFFFF, len(entry), start, 0)
    return content[:start] + entry + tail


def many(count: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"{number}.npy"), b"")
    return file.getvalue()


def other_method(method: int) -> bytes:
    content = bytearray(npz(heatmap=MAPS))
    for at in (content.find(b"PK\x03\x04") + 8, content.find(b"PK\x01\x02") + 10):
        content[at] = method
    return bytes(content)


GOOD = npy(MAPS)
FILES: dict[str, Callable[[], bytes]] = {
    "no bytes": lambda: b"",
    "text": lambda: b"heatmap",
    "zeros": lambda: bytes(1000),
    "an array": lambda: GOOD,
    "page": lambda: b"<html>" * 100,
    "pickle": lambda: b"\x80\x04N.",
    "end record alone": lambda: b"PK\x05\x06" + bytes(18),
    "cut": lambda: npz(heatmap=MAPS)[:-30],
    "cut in the middle": lambda: npz(heatmap=MAPS)[:300],
    "no array in it": lambda: zipped({"heatmap.npy": b"1 2 3"}),
    "nothing in it": lambda: zipped({"heatmap.npy": b""}),
    "magic alone": lambda: zipped({"heatmap.npy": b"\x93NUMPY"}),
    "no suffix": lambda: zipped({"heatmap": GOOD}),
    "folder": lambda: zipped({"heatmap.npy/": b""}),
    "twice": lambda: zipped([("heatmap.npy", GOOD)] * 2),
    "other case": lambda: zipped({"HEATMAP.NPY": GOOD}),
    "encrypted": encrypted,
    "listed often": lambda: repeated(5_000),
    "listed twice": lambda: repeated(2),
    "many members": lambda: many(20_000),
    "unknown method": lambda: other_method(99),
    "bzip2 that is none": lambda: other_method(12),
    "lzma that is none": lambda: other_method(14),
    "deflate that is none": lambda: other_method(8),
    "bomb": lambda: zipped({"heatmap.npy": of_shape("(1,7,7)") + bytes(2**24)}, zipfile.ZIP_DEFLATED),
    "short": lambda: zipped({"heatmap.npy": GOOD[:-1]}),
    "long": lambda: zipped({"heatmap.npy": GOOD + b"0"}),
    "version 3": lambda: zipped({"heatmap.npy": npy(MAPS, (3, 0))}),
    "version 9": lambda: zipped({"heatmap.npy": header("", b"\x09\x00")}),
    "promises 4 TB": lambda: zipped({"heatmap.npy": of_shape("(1000000, 1000, 1000)")}),
    "promises 2**70": lambda: zipped({"heatmap.npy": of_shape(f"({2**70},)")}),
    "negative": lambda: zipped({"heatmap.npy": of_shape("(-1, 7, 7)")}),
    "bool in shape": lambda: zipped({"heatmap.npy": of_shape("(True, 7, 7)")}),
    "float in shape": lambda: zipped({"heatmap.npy": of_shape("(1.0, 7, 7)")}),
    "shape is a number": lambda: zipped({"heatmap.npy": of_shape("49")}),
    "shape is a call": lambda: zipped({"heatmap.npy": of_shape("exit(3)")}),
    "shape is a text": lambda: zipped({"heatmap.npy": of_shape("'77'")}),
    "hundred axes": lambda: zipped({"heatmap.npy": of_shape(str((1,) * 100))}),
    "unknown type": lambda: zipped({"heatmap.npy": of_shape("(1, 7, 7)", "'<z4'")}),
    "type is a list": lambda: zipped({"heatmap.npy": of_shape("(1, 7, 7)", "[('a', '<f4')]")}),
    "type of subarrays": lambda: zipped({"heatmap.npy": of_shape("(1,)", "('<f4', (7, 7))")}),
    "type is nothing": lambda: zipped({"heatmap.npy": of_shape("(1, 7, 7)", "None")}),
    "type of 0 bytes": lambda: zipped({"heatmap.npy": of_shape("(1, 7, 7)", "'S0'")}),
    "type without bytes": lambda: zipped({"heatmap.npy": of_shape("(1000000000, 7, 7)", "'V0'")}),
    "one more key": lambda: zipped({"heatmap.npy": of_shape("(1, 7, 7)", more="'a': 1")}),
    "no dictionary": lambda: zipped({"heatmap.npy": header("[1, 2]")}),
    "nul": lambda: zipped({"heatmap.npy": header("\0" * 50)}),
    "deep header": lambda: zipped({"heatmap.npy": header("(" * 3000)}),
    "long header": lambda: zipped({"heatmap.npy": header(" " * 60_000)}),
    "header of digits": lambda: zipped({"heatmap.npy": header("9" * 4000)}),
    "unfinished text": lambda: zipped({"heatmap.npy": header("{'descr': '''")}),
    "pieces that differ": lambda: npz(heatmap_0000=MAPS, heatmap_0001=MAPS[:, :5]),
    "pieces of other axes": lambda: npz(heatmap_0000=MAPS, heatmap_0001=MAPS[0]),
    "a piece of text": lambda: npz(heatmap_0000=MAPS, heatmap_0001=np.array("x")),
    "a piece that is empty": lambda: npz(heatmap_0000=MAPS, heatmap_0001=MAPS[:0]),
    "pieces without times": lambda: npz(heatmap_0000=MAPS, heatmap_0001=MAPS),
    "no times": lambda: npz(heatmap=MAPS),
    "other arrays": lambda: npz(a=MAPS, b=np.array(["x"])),
    "no arrays": lambda: zipped({}),
    "other members": lambda: zipped({"a.txt": b"1", "b.npy": b"2"}),
}


def read_npz(folder: Path, content: bytes) -> None:
    (folder / "v_000010.npz").write_bytes(content)
    (folder / "vggss.json").write_text(
        json.dumps([{"file": "v_000010", "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]}])
    )
    maps = HeatmapFolder(folder)
    for sample in samples_of(VGGSS(str(folder / "vggss.json")).clips(), PROTOCOLS["vggss_ezvsl"]):
        assert np.isfinite(maps.map_of(sample)).all()
        maps.time_s(sample)


def test_unchanged_file_is_read(tmp_path: Path) -> None:
    read_npz(tmp_path, npz(heatmap=MAPS, frame_time_s=TIMES, frame_rate=25.0, note=np.array("any")))
    read_npz(tmp_path, npz(heatmap=np.asfortranarray(MAPS), frame_number=np.arange(3), frame_time_s=TIMES))
    read_npz(tmp_path, npz(heatmap=MAPS[0].astype(np.int8), frame_rate=np.array([25])))


@pytest.mark.parametrize("value", ONE_NUMBER.values(), ids=ONE_NUMBER)
def test_frame_rate_is_one_number_in_range(tmp_path: Path, value: Any) -> None:
    assert "v_000010.npz" in refusal(
        lambda: read_npz(tmp_path, npz(heatmap=MAPS, frame_time_s=TIMES, frame_rate=value))
    )


@pytest.mark.parametrize("name", ["frame_time_s", "frame_number"])
@pytest.mark.parametrize("value", EACH_NUMBER.values(), ids=EACH_NUMBER)
def test_times_are_one_number_a_map(tmp_path: Path, name: str, value: Any) -> None:
    assert name in refusal(lambda: read_npz(tmp_path, npz(heatmap=MAPS, **{name: value}))) or value.dtype.kind in "OV"


@pytest.mark.parametrize("value", HEATMAPS.values(), ids=HEATMAPS)
def test_heatmap_is_numbers_with_two_or_three_axes(tmp_path: Path, value: Any) -> None:
    assert "v_000010.npz" in refusal(
        lambda: read_npz(
            tmp_path, npz(heatmap=value, frame_time_s=np.arange(float(len(value) if np.ndim(value) else 1)))
        )
    )


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_file_that_is_no_archive_of_maps_is_refused(tmp_path: Path, make: Callable[[], bytes]) -> None:
    assert "v_000010.npz" in refusal(lambda: read_npz(tmp_path, make()))


ARRAYS: dict[str, Callable[[], bytes]] = {name: lambda value=value: npy(value) for name, value in HEATMAPS.items()} | {
    "whole numbers": lambda: npy(MAPS.astype(int)),
    "two axes": lambda: npy(MAPS[0]),
    "no bytes": lambda: b"",
    "text": lambda: b"heatmap",
    "archive": lambda: npz(heatmap=MAPS),
    "short": lambda: GOOD[:-1],
    "pickle": lambda: b"\x80\x04N.",
    "version 3": lambda: npy(MAPS, (3, 0)),
    "negative": lambda: of_shape("(-1, 7, 7)"),
    "4 TB": lambda: of_shape("(1000000, 1000, 1000)"),
    "deep header": lambda: header("(" * 3000),
    "unknown type": lambda: of_shape("(1, 7, 7)", "'<z4'"),
    "two channels": lambda: npy(np.ones((3, 2, 7, 7))),
    "few maps": lambda: npy(MAPS[:1]),
}
del ARRAYS["four axes"]  # (T, 1, h, w) with T = 1 is a map


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_array_of_avatar_is_checked(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "heatmap").mkdir()
    (tmp_path / "heatmap" / "abcdefghijk_00010.npy").write_bytes(make())
    write_annotation(tmp_path, "abcdefghijk_00010", "00020", [instance("Single-Sound")])

    def read() -> None:
        maps = open_heatmaps(tmp_path, None, "linear")
        for sample in samples_of(AVATAR(str(tmp_path), videos=False).clips(), PROTOCOLS["avatar"]):
            assert np.isfinite(maps.map_of(sample)).all()

    assert "abcdefghijk_00010.npy" in refusal(read)


def test_command_refuses_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "vggss.json").write_text(
        json.dumps([{"file": "v_000010", "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]}])
    )
    words = (
        "--annotations",
        tmp_path / "vggss.json",
        "--predictions",
        tmp_path / "maps",
        "--out",
        tmp_path / "out.json",
    )
    for arrays in ({"frame_rate": np.nan}, {"frame_rate": b"25"}, {"frame_time_s": np.array([0, np.inf, 2])}):
        (tmp_path / "maps" / "v_000010.npz").write_bytes(npz(**({"heatmap": MAPS, "frame_time_s": TIMES} | arrays)))
        outcome = tavlo("score", "--dataset", "vggss", *words)
        assert outcome.code == 2 and outcome.err.count("\n") == 1 and not (tmp_path / "out.json").exists(), outcome.err
