"""Annotations, predictions, tables and names of strangers, given to the command line: one sentence, exit code 2."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tavlo_pl.data.index.table import SCHEMA
from tavlo_pl.data.shards.format import ENTRY
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.results import write_results
from tests.helpers.run import tiny_config
from tests.helpers.trees import instance, write_avatar

pytestmark = pytest.mark.filterwarnings("ignore")

CLIP = "abcdefghijk_00010"
NASTY = '<script>alert(1)</script>" onerror="alert(2)'


def assert_refused(outcome: Outcome, told: str) -> None:
    assert outcome.code == 2, outcome.err
    assert told in outcome.err
    sentence = outcome.err.splitlines()[-1]
    assert sentence.startswith("tavlo ") and sentence.isprintable()
    assert "Traceback" not in outcome.err


def score(folder: Path, dataset: str, annotations: Path) -> Outcome:
    words = ("--annotations", annotations, "--predictions", folder / "maps", "--out", folder / "results.json")
    return tavlo("score", "--dataset", dataset, *words)


def save_map(folder: Path, name: str = "v") -> Path:
    (folder / "maps").mkdir(exist_ok=True)
    np.savez(folder / "maps" / f"{name}.npz", heatmap=np.ones((7, 7), np.float32))
    return folder / "maps" / f"{name}.npz"


def write_vggss(folder: Path, *names: str) -> Path:
    entries = [{"file": name, "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]} for name in names]
    (folder / "vggss.json").write_text(json.dumps(entries))
    return folder / "vggss.json"


# annotations


def write_json(path: Path, begin: str, repeated: str, times: int, end: str) -> None:
    with path.open("w") as file:
        file.write(begin)
        file.writelines(repeated for _ in range(times // 1000))
        file.write(end)


def test_an_annotation_of_ten_million_points_is_refused(tmp_path: Path) -> None:
    write_avatar(tmp_path / "set", {CLIP: {"00003": [instance()]}}, empty=True)
    path = tmp_path / "set" / "metadata" / CLIP / "00003.json"
    begin, end = path.read_text().split("[[16, 8, 80, 8, 80, 40, 16, 40]]")
    save_map(tmp_path)
    write_json(path, begin + "[[", "1,2," * 1000, 10_000_000, f"1,2]]{end}")
    assert path.stat().st_size > 40_000_000
    assert_refused(score(tmp_path, "avatar", tmp_path / "set"), "00003.json: 40,000,")
    write_json(path, begin + "[[", "1,2," * 1000, 200_000, f"1,2]]{end}")
    assert_refused(score(tmp_path, "avatar", tmp_path / "set"), "at most 100000, got [1, 2,")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[" * 100_000, "no JSON file"),
        ('[{"file": "v", "class": "dog", "bbox": [[0, 0, NaN, 1]]}]', "must be a box"),
        ('[{"file": "v", "class": "dog", "bbox": [[0, 0, 1e999, 1]]}]', "must be a box"),
        ('[{"file": "v", "class": "dog", "bbox": [[0, 0, %s, 1]]}]' % ("9" * 4000), "must be a box"),
        ('[{"file": "v", "class": "dog", "bbox": [[0, 0, %s, 1]]}]' % ("9" * 5000), "no JSON file"),
        ('[{"file": "v\\u0000\\u001b[2J", "class": "dog", "bbox": [[0, 0, 1, 1]]}]', r"v\x00\x1b[2J"),
    ],
    ids=["deep", "NaN", "infinite", "long", "longer", "control characters"],
)
def test_odd_values_in_an_annotation_are_refused(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "vggss.json").write_text(content)
    save_map(tmp_path, "other")
    assert_refused(score(tmp_path, "vggss", tmp_path / "vggss.json"), told)


@pytest.mark.parametrize("place", ["../secret/mask.png", "/{}/secret/mask.png"])
def test_an_annotation_opens_no_mask_outside_of_its_folder(tmp_path: Path, place: str) -> None:
    from PIL import Image

    (tmp_path / "secret").mkdir()
    Image.new("L", (8, 8), 255).save(tmp_path / "secret" / "mask.png")
    (tmp_path / "set").mkdir()
    entry = {"image": "v_1.png", "class": "dog", "gt_mask": place.format(tmp_path)}
    (tmp_path / "set" / "avsbench.json").write_text(json.dumps([entry]))
    save_map(tmp_path)
    assert_refused(score(tmp_path, "avsbench", tmp_path / "set" / "avsbench.json"), "no mask")


# names


def test_a_name_never_leads_to_a_file_outside_of_the_predictions(tmp_path: Path) -> None:
    save_map(tmp_path)
    save_map(tmp_path, "../x")
    assert (tmp_path / "x.npz").is_file()
    for name in ("../x", f"{tmp_path}/x", "v/../../x", "x\0", "..", "-x", "v\nx"):
        assert_refused(score(tmp_path, "vggss", write_vggss(tmp_path, name)), "no heatmap for 1 of 1 samples")
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2Jb", "a\\b", "é" * 120])
def test_a_name_that_can_be_no_file_name_is_replaced(world: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / f"{name}.mp4").write_bytes(next((world / "test" / "video").iterdir()).read_bytes())
    words = ("-c", tiny_config(world, tmp_path), "--allow_untrained", "--data.root", tmp_path / "videos")
    outcome = tavlo("predict", *words, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    (archive,) = (tmp_path / "out").glob("*.npz")
    assert re.fullmatch(r"[ab_é\[2J]{3,200}-[0-9a-f]{8}", archive.stem)
    assert f"are called {archive.stem}." in outcome.out and outcome.out.replace("\n", "").isprintable()


# predictions


def npy(shape: tuple[int, ...], content: bytes = b"", kind: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + content


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"heatmap.npy": npy((10**6, 10**6))}, "no archive of arrays"),
        ({"heatmap.npy": npy((1, 5000, 5000), bytes(10**8))}, "maps of 5,000 x 5,000 cells"),
        ({"heatmap.npy": npy((1,), b"\x80\x04.", "|O")}, "allow_pickle=False"),
        ({"heatmap.npy": npy((-1, 3))}, "no archive of arrays"),
        ({"heatmap.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535}, "no archive of arrays"),
        ({f"{number}.npy": npy((1,), bytes(4)) for number in range(2000)}, "needs an array heatmap"),
    ],
    ids=["promised", "large", "object", "negative", "deep", "many"],
)
def test_predictions_without_end_are_refused(tmp_path: Path, arrays: Mapping[str, bytes], told: str) -> None:
    with zipfile.ZipFile(save_map(tmp_path), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in arrays.items():
            archive.writestr(name, content)
    outcome = score(tmp_path, "vggss", write_vggss(tmp_path, "v"))
    assert_refused(outcome, told)
    assert len(outcome.err) < 1000


def test_predictions_larger_than_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.data.heatmap_folder.LARGEST_BYTES", 1000)
    np.savez_compressed(save_map(tmp_path), heatmap=np.zeros((20, 20), np.float32))
    assert_refused(score(tmp_path, "vggss", write_vggss(tmp_path, "v")), "it would unpack to 1728 bytes")


# tables


def fit_on(source: Mapping[str, Any], world: Path, folder: Path) -> Outcome:
    config = tiny_config(world, folder)
    content = yaml.safe_load(config.read_text())
    content["data"]["train"] = source
    config.write_text(yaml.safe_dump(content))
    return tavlo("fit", "-c", config, "--out", folder / "out")


def of_index(path: Path) -> dict[str, Any]:
    return {"class_path": "tavlo_pl.data.index.Index", "init_args": {"path": str(path), "split": None}}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({name: [[2]] for name in SCHEMA.names}, "no index of tavlo data index"),
        ({name: ["1"] for name in SCHEMA.names} | {"sample_id": [None]}, "'sample_id' with null values"),
        ({"sample_id": ["a"]}, "no index of tavlo data index"),
        ({name: [b"\xff\xfe"] for name in SCHEMA.names}, "no index of tavlo data index"),
    ],
    ids=["types", "nothing", "columns", "no text"],
)
def test_an_index_of_other_columns_is_refused(world: Path, tmp_path: Path, columns: Any, told: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "index.parquet")
    assert_refused(fit_on(of_index(tmp_path / "index.parquet"), world, tmp_path), told)


def test_an_index_of_rows_without_end_is_refused(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tavlo_pl.io.parquet.MOST_ROWS", 99)
    pq.write_table(pa.table({name: ["x"] * 100 for name in SCHEMA.names}), tmp_path / "index.parquet")
    assert_refused(fit_on(of_index(tmp_path / "index.parquet"), world, tmp_path), "100 rows are more than any has")


@pytest.mark.parametrize(
    "change",
    [{"shard": 2**31 - 1}, {"shard": -1}, {"offset": -1}, {"bytes": 2**40}, {"bytes": None}, {"start_s": float("nan")}],
    ids=str,
)
def test_shards_whose_index_leads_elsewhere_are_refused(
    world: Path, tmp_path: Path, change: dict[str, float | None]
) -> None:
    row = {"sample_id": "a", "category": None, "start_s": 0.0, "reason": None, "shard": 0, "offset": 0, "bytes": 10}
    table = pa.Table.from_pylist([row | {"crc32": 1} | change], schema=pa.schema(list(ENTRY)))
    pq.write_table(table, tmp_path / "index.parquet")
    spec = {"segments": 3, "frames_per_segment": 1, "duration_s": 2.0}
    (tmp_path / "shards.json").write_text(json.dumps({"spec": spec}))
    source = {"class_path": "tavlo_pl.data.shards.Shards", "init_args": {"root": str(tmp_path)}}
    assert_refused(fit_on(source, world, tmp_path), "has invalid values; write the shards again")
    (tmp_path / "shards.json").write_text(json.dumps({"spec": {"segment": 3}}))
    assert_refused(fit_on(source, world, tmp_path), "no training shards there")


# pages


def test_the_report_escapes_names_categories_and_commands(tmp_path: Path) -> None:
    values = {"a/00001/single_sound": 0.7, "b/00001/single_sound": 0.2, "a$^$\\frac$/00001/mixed_sound": 0.5}
    folder = write_results(tmp_path / "run $^$", values, command=f"tavlo {NASTY}", data=NASTY, version=NASTY)
    table = (folder / "per_sample.csv").read_text()
    (folder / "per_sample.csv").write_text(table.replace("sound of a", "$^$ " + NASTY.replace('"', '""')))
    results = json.loads((folder / "results.json").read_text())
    figures = results["metrics"]["scenarios"]["single_sound"]
    results["metrics"]["breakdown"] = {"category": {NASTY: figures, "$^$ $\\bad": figures}}
    results["metrics"]["left_out"]["reasons"] = {NASTY: NASTY}
    (folder / "results.json").write_text(json.dumps(results))
    outcome = tavlo("report", folder)
    assert outcome.code == 0, outcome.err
    page = (folder / "report" / "report.html").read_text()
    assert "<script>alert" not in page
    assert not re.search(r"<[^<>]*onerror=\"alert", page), "an attribute"
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    (folder / "results.json").write_text(json.dumps(results | {"metrics": {"rules": [3], "scenarios": 4}}))
    outcome = tavlo("report", folder)
    assert outcome.code in (1, 2) and "Traceback" not in outcome.err and outcome.err.count("\n") == 1
