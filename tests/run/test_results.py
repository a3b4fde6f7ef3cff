"""Maps, fingerprints and tables of results."""

import json
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.errors import ConfigError, PredictionError
from tavlo_pl.io.masks import pack_mask
from tavlo_pl.run.results import SampleMaps, refuse_to_replace, to_csv

SIZE = (11, 9)
"""99 pixels, not a multiple of 8."""


def maps(order: tuple[int, ...] = (0, 1, 2)) -> SampleMaps:
    """Three samples of two clips, in a given order."""
    rng = np.random.default_rng(0)
    mask = np.array([pack_mask(bits) for bits in rng.random((3, *SIZE)) > 0.5], object)
    rows = list(order)
    return SampleMaps(
        sample_id=np.array(["a/1", "a/2", "b/1"])[rows],
        showing=np.array([0, 0, 1])[rows],
        segment=np.array([0, 2, 1])[rows],
        next_segment=np.array([1, 2, 1])[rows],
        blend=np.array([0.25, 0, 0], np.float32)[rows],
        time_s=np.array([0.25, 2.0, 4.0])[rows],
        mask=mask[rows],
        size=np.array(SIZE),
        clip=np.array(["a", "b"]),
        path=np.array(["/videos/ä.mp4", "/videos/b.mp4"]),
        frame_time_s=np.arange(6.0).reshape(2, 3),
        heatmap=rng.random((2, 3, 4, 4)).astype(np.float16),
    )


def test_sample_maps_round_trip(tmp_path: Path) -> None:
    maps().write(tmp_path / "maps.npz")
    back = SampleMaps.read(tmp_path / "maps.npz")
    for name, value in maps()._asdict().items():
        assert np.array_equal(getattr(back, name), value), name
        assert getattr(back, name).dtype == value.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["maps.npz"]


def test_sample_maps_truth_is_unpacked_to_its_size() -> None:
    bits = np.random.default_rng(0).random((3, *SIZE)) > 0.5
    assert np.array_equal(maps().truth(2), bits[2])


def test_sample_maps_lie_between_two_maps() -> None:
    kept = maps()
    first, second = kept.heatmap[0, :2].astype(np.float32)
    assert np.array_equal(kept.map_of(0), 0.75 * first + 0.25 * second)
    assert np.array_equal(kept.map_of(2), kept.heatmap[1, 1])


def test_sample_maps_reject_other_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "maps.npz", heatmap=np.zeros(3))
    with pytest.raises(PredictionError, match="no array blend, clip"):
        SampleMaps.read(tmp_path / "maps.npz")


def test_fingerprint_depends_on_names_and_masks_only() -> None:
    mark = maps().fingerprint()
    assert mark["samples"] == 3 and len(mark["sha256"]) == 64
    assert maps((2, 0, 1)).fingerprint() == mark
    assert maps()._replace(heatmap=np.zeros((2, 3, 4, 4), np.float16)).fingerprint() == mark
    other = maps().mask.copy()
    other[1] = other[0]
    assert maps()._replace(mask=other).fingerprint() != mark
    assert maps()._replace(sample_id=np.array(["a/1", "a/3", "b/1"])).fingerprint() != mark
    assert maps((0, 1)).fingerprint() != mark


def test_to_csv_has_the_columns_of_all_rows() -> None:
    assert to_csv([{"a": 1, "b": None}, {"a": "x,y", "c": 2}]) == 'a,b,c\n1,,\n"x,y",,2\n'


OPTIONS = {"rule": None, "checkpoint": "/runs/a/best.ckpt"}


def write_figures(path: Path, **changed: object) -> None:
    path.write_text(json.dumps({"metrics": {}, "version": "0", "options": OPTIONS} | changed))


def test_same_evaluation_may_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    refuse_to_replace(path, OPTIONS, overwrite=False)
    write_figures(path)
    for name in ("evaluation_results.json", "audit.json"):
        (tmp_path / name).write_text("[]")
    (tmp_path / "per_sample.csv").write_text("of an interrupted run")
    refuse_to_replace(path, OPTIONS, overwrite=False)


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("results.json", {"options": OPTIONS | {"rule": "top_half"}}, r"with other options \(rule\)"),
        ("results.json", {"options": OPTIONS | {"checkpoint": "/runs/a/last.ckpt"}}, r"\(checkpoint\)"),
        ("results.json", {"options": None}, "of another evaluation"),
        ("other.json", {}, "other.json holds results of another evaluation"),
    ],
)
def test_other_evaluation_is_not_replaced(name: str, changed: dict[str, object], words: str, tmp_path: Path) -> None:
    write_figures(tmp_path / name, **changed)
    with pytest.raises(ConfigError, match=f"{words}.*replace them with --overwrite"):
        refuse_to_replace(tmp_path / "results.json", OPTIONS, overwrite=False)
    refuse_to_replace(tmp_path / "results.json", OPTIONS, overwrite=True)
