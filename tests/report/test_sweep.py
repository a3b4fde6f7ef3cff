"""Tables of a sweep, from records of its runs."""

from dataclasses import replace
from pathlib import Path

import pytest

from tavlo_pl.errors import RunFailedError
from tavlo_pl.metrics.protocols import AVATAR
from tavlo_pl.report.records import RunRecord
from tavlo_pl.report.sweep import ciou_table, misalignment, pointing_table, variant_results, write_sweep
from tavlo_pl.viz.table import NOTHING


def record(variant: str = "a", seed: int = 0, hits: float = 1.0, fit_s: float | None = 1160.0) -> RunRecord:
    """Six samples of four clips: two of Mixed-sound and one of Multi-entity among the visible ones, one off-screen."""
    return RunRecord(
        variant=variant,
        seed=seed,
        config={"seed_everything": 0},
        protocol=AVATAR.choices(),
        revision="abc",
        parameters=None,
        fit_s=fit_s,
        inference_s=0.0123,
        samples_sha256="1",
        clip=[0, 0, 1, 1, 2, 3],
        scenario=["single_sound", "single_sound", "mixed_sound", "mixed_sound", "multi_entity", "off_screen"],
        cue=["appearance", "memory", "appearance", "appearance+memory", "synchrony", ""],
        cross_event=[1, 1, 0, 0, 0, 0],
        values={
            "ciou": [0.4, 0.2, 0.6, 0.6, 0.1, None],
            "pointing": [1.0, 0.0, 1.0, 1.0, hits, None],
            "mismatched_ciou": [0.1, 0.1, 0.3, 0.3, 0.1, None],
            "mismatched_pointing": [0.0, 0.0, 1.0, 1.0, 0.0, None],
            "tn_rate": [None] * 5 + [0.75],
        },
    )


def test_variant_results_are_means_by_scenario_and_cue() -> None:
    found = variant_results([record(), record(seed=1, hits=0.0)])
    assert found["seeds"] == [0, 1]
    assert found["ciou_mean"]["cross_event"]["value"] == pytest.approx(0.3)
    assert found["pointing"]["multi_entity"]["by_seed"] == [1.0, 0.0]
    assert found["pointing"]["memory"]["value"] == pytest.approx(0.5)  # samples 1 and 3
    assert found["ciou_mean"]["on_screen"]["value"] == pytest.approx(1.9 / 5)
    assert found["mismatched_falls_by"] == pytest.approx([1 - 0.9 / 1.9] * 2)
    assert found["mismatched_falls_by_in_mixed"] == pytest.approx([0.5] * 2)
    assert found["tn_rate"]["value"] == 0.75


def test_seeds_with_different_samples_are_not_averaged() -> None:
    with pytest.raises(RunFailedError, match="the seeds of a were tested on different samples"):
        variant_results([record(), replace(record(seed=1), samples_sha256="2")])


def test_sweep_table_formats_costs_and_spread() -> None:
    results = {"a": variant_results([record(), record(seed=1, hits=0.0)]), "b": variant_results([record(fit_s=None)])}
    table = ciou_table(results, AVATAR)
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["mixed_sound"] == "60.0 ±0.0 / 57.5" and cells["seeds"] == "2"
    assert cells["off_screen tn_rate"] == "75.0 ±0.0 (75.0-75.0)" and cells["in mixed_sound"] == "50.0 (50.0-50.0)"
    assert [cells[name] for name in ("parameters", "fit, s", "clip, ms")] == [NOTHING, "1,160", "12.3"]
    assert table.rows[1][-2] == NOTHING
    pointing = pointing_table(results)
    cells = dict(zip(pointing.header, pointing.rows[0], strict=True))
    assert cells["multi_entity"].endswith("(0.0-100.0)") and cells["memory"].startswith("50.0 ±")


def test_records_are_read_back_and_make_the_same_table(tmp_path: Path) -> None:
    path = tmp_path / "records/a/0.json"
    record().write(path)
    assert RunRecord.read(path) == record()
    assert RunRecord.read(tmp_path / "none.json") is None
    path.write_text('{"variant": "of another version"}')
    assert RunRecord.read(path) is None
    tables = write_sweep([record()], [], tmp_path)
    assert (tmp_path / "table.md").read_text() == "\n".join(table.to_markdown() for table in tables)
    assert "<svg" in (tmp_path / "pointing.svg").read_text() and not (tmp_path / "curves.svg").exists()


def test_misalignment_is_plotted_over_the_pieces_of_the_audio(tmp_path: Path) -> None:
    names = ["reference", "audio_minus5", "audio_plus2", "audio_clip", "kernel_none"]
    for name in names:
        record(name, hits=float(name != "audio_plus2")).write(tmp_path / f"records/{name}/0.json")
    records = [RunRecord.read(tmp_path / f"records/{name}/0.json") for name in names]
    found = [each for each in records if each is not None]
    panels = misalignment({each.variant: variant_results([each]) for each in found})
    assert list(panels) == ["pointing", "ciou_mean"]
    on_screen = panels["pointing"]["all on-screen samples"]
    assert sorted(on_screen) == [-5, 0, 2]
    assert on_screen[-5].value == on_screen[0].value == pytest.approx(0.8) and on_screen[2].value == pytest.approx(0.6)
    assert on_screen[0].low < on_screen[0].value < on_screen[0].high
    write_sweep(found, [], tmp_path)
    assert "number of audio pieces − T" in (tmp_path / "misalignment.svg").read_text()


def test_misalignment_is_left_out_without_such_variants(tmp_path: Path) -> None:
    write_sweep([record("reference")], [], tmp_path)
    assert not (tmp_path / "misalignment.svg").exists()
    alone = misalignment({"audio_plus1": variant_results([record("audio_plus1")])})
    assert list(alone["pointing"]["synchrony"]) == [1]
