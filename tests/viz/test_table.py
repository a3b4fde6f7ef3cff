"""Tables of a test, computed by the suite from random maps."""

from typing import Any

import pytest
import torch

from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.types import SCENARIOS, BadClip, Scenario, Targets
from tavlo_pl.viz.table import Table, beyond_table, group_table, results_tables
from tests.helpers.suite import flags, protocol

SIZE = 32


def targets(scenarios: list[Scenario]) -> Targets:
    """One sample per scenario and clip, with the source in the upper left quarter."""
    count = len(scenarios)
    mask = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    for row, scenario in enumerate(scenarios):
        mask[row, : SIZE // 2, : SIZE // 2] = scenario != Scenario.OFF_SCREEN
    number = torch.arange(count)
    return Targets(
        mask=mask,
        row=number,
        segment=torch.zeros(count, dtype=torch.int64),
        next_segment=torch.zeros(count, dtype=torch.int64),
        blend=torch.zeros(count),
        index=number,
        clip=number,
        scenarios=flags(*scenarios),
        cross_event=torch.zeros(count, dtype=torch.bool),
        time_s=torch.zeros(count, dtype=torch.float64),
        sources=torch.ones(count, dtype=torch.int64),
        sample_id=[f"clip{n}/00000/{scenario}" for n, scenario in enumerate(scenarios)],
        category=["dog"] * count,
        cue=["appearance"] * count,
    )


@pytest.fixture
def metrics() -> dict[str, Any]:
    suite = LocalizationSuite(protocol())
    wanted = targets([*SCENARIOS, *SCENARIOS])
    heatmap = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    suite.update({"model": heatmap, "mismatched_audio": heatmap.flip(0)}, wanted, {"silence": heatmap / 2})
    suite.update_left_out([BadClip(9, "broken", "broken.mp4: damaged", 3)])
    result: dict[str, Any] = suite.compute()
    return result


def cells(table: Table) -> dict[str, dict[str, str]]:
    return {name: dict(zip(table.header[1:], row, strict=True)) for name, *row in table.rows}


def test_results_table_has_one_column_per_scenario(metrics: dict[str, Any]) -> None:
    main, *_, others = results_tables(metrics)
    rows = ["model", "mismatched_audio", "whole_image", "centred_disk", "random", "ceiling"]
    assert [row[0] for row in main.rows] == [*rows, "samples (clips)"]
    assert list(main.header) == ["", "single_sound", "mixed_sound", "multi_entity", "on_screen", "off_screen"]
    assert [row[0] for row in others.rows] == [f"{rule} {row}" for rule in ("top_half", "adaptive") for row in rows]


def test_results_table_cells_are_the_metrics(metrics: dict[str, Any]) -> None:
    main, *_, others = results_tables(metrics)
    figures = metrics["scenarios"]["multi_entity"]["rows"]["mismatched_audio"]["top_tenth"]
    low, high = figures["ciou_mean_interval"]
    wanted = f"{100 * figures['ciou_mean']:.1f} ±{50 * (high - low):.1f} / {100 * figures['ciou_at_50']:.1f}"
    assert cells(main)["mismatched_audio"]["multi_entity"] == wanted
    ceiling = metrics["scenarios"]["on_screen"]["ceiling"]["top_tenth"]
    assert (
        cells(main)["ceiling"]["on_screen"] == f"{100 * ceiling['ciou_mean']:.1f} / {100 * ceiling['ciou_at_50']:.1f}"
    )
    off_screen = metrics["scenarios"]["off_screen"]["rows"]["model"]["universal:0.9"]
    low, high = off_screen["tn_rate_interval"]
    assert cells(main)["model"]["off_screen"] == f"{100 * off_screen['tn_rate']:.1f} ±{50 * (high - low):.1f}"
    assert cells(main)["ceiling"]["off_screen"] == "–"
    assert cells(main)["samples (clips)"]["on_screen"] == "6 (6)"
    half = metrics["scenarios"]["mixed_sound"]["rows"]["model"]["top_half"]
    shown = cells(others)["top_half model"]["mixed_sound"]
    assert shown == f"{100 * half['ciou_mean']:.1f} / {100 * half['ciou_at_50']:.1f}"


def test_beyond_table_has_the_other_metrics(metrics: dict[str, Any]) -> None:
    beyond = beyond_table(metrics)
    assert beyond is not None
    shown = cells(beyond)
    assert list(shown) == [
        "AUC",
        "pointing, share of time",
        "pia, mismatched_audio",
        "pia, silence",
        "AP",
        "max-F1",
        "LocAcc",
    ]
    figures = metrics["scenarios"]["on_screen"]["rows"]["silence"]["universal:0.9"]
    low, high = figures["pia_interval"]
    assert shown["pia, silence"]["model"] == f"{100 * figures['pia']:.1f} ±{50 * (high - low):.1f}"
    assert (shown["pia, silence"]["random"], shown["AP"]["random"]) == ("–", "–")
    assert shown["pointing, share of time"]["whole_image"] == "25.0 ±0.0"
    late = beyond_table(metrics | {"scenarios": {"cross_event": {"rows": {"model": {"top_tenth": {"median_s": 1.2}}}}}})
    assert late is not None
    assert cells(late) == {"switch delay, median, s": {"model": "1.20"}}


def test_group_table_has_one_row_per_group(metrics: dict[str, Any]) -> None:
    category, size = group_table(metrics, "category"), group_table(metrics, "size")
    assert category is not None and size is not None
    assert list(cells(category)) == ["dog"]
    assert list(cells(size)) == ["large"]
    main = cells(results_tables(metrics)[0])
    assert cells(size)["large"]["model"] == main["model"]["on_screen"]
    assert cells(size)["large"]["samples (clips)"] == "6 (6)"
    titles = [table.title.partition(":")[0] for table in results_tables(metrics)[2:]]
    assert titles == ["By size of the source", "By number of sources", "By what identifies the source", "Other rules"]
    assert group_table(metrics | {"breakdown": {"category": {}}}, "category") is None


def test_results_table_notes_state_rule_size_and_left_out(metrics: dict[str, Any]) -> None:
    assert all("32×32 (bilinear)" in table.to_text() and "rule" in table.to_text() for table in results_tables(metrics))
    text = results_tables(metrics)[0].to_text()
    for words in (
        "rule top_tenth",
        "32×32",
        "bilinear",
        "universal:0.9",
        "1 clips with 3 samples (broken: broken.mp4: damaged)",
    ):
        assert words in text


def test_results_table_lists_only_some_clips_left_out(metrics: dict[str, Any]) -> None:
    names = [f"clip{n}" for n in range(30)]
    left_out = {"clips": 30, "samples": 60, "reasons": dict.fromkeys(names, "damaged")}
    text = results_tables(metrics | {"left_out": left_out})[0].to_text()
    assert "30 clips with 60 samples" in text
    assert "clip9" not in text


def test_results_table_of_off_screen_clips_has_no_values() -> None:
    suite = LocalizationSuite(protocol())
    suite.update({"model": torch.rand(1, 1, 4, 4)}, targets([Scenario.OFF_SCREEN]))
    tables = results_tables(suite.compute())
    assert len(tables) == 1
    assert cells(tables[0])["model"] == {"off_screen": "–"}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_results_table_without_annotations() -> None:
    (table,) = results_tables(LocalizationSuite(protocol()).compute())
    assert "No annotated sample" in table.to_text()


def test_to_text_aligns_columns_to_the_right() -> None:
    table = Table("title", ["", "one", "two"], [["a", "1", "22222"], ["bb", "333", "4"]], ["note"])
    rule = "-" * 14
    lines = ["title", rule, "    one    two", rule, "a     1  22222", "bb  333      4", rule, "note"]
    assert table.to_text().split("\n") == lines


def test_to_markdown_is_a_github_table() -> None:
    text = Table("title of_it", ["", "one"], [["a_b", "1"]], ["note"]).to_markdown()
    assert text == "**title of_it**\n\n|  | one |\n| --- | ---: |\n| a_b | 1 |\n\nnote\n"
