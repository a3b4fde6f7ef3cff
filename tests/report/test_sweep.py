"""The table of a sweep."""

from typing import Any

from tavlo_pl.metrics.protocols import AVATAR
from tavlo_pl.report.sweep import GROUPS, sweep_table
from tavlo_pl.viz.table import NOTHING


def test_sweep_table_formats_costs() -> None:
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    row: dict[str, Any] = {
        "seeds": [0],
        "ciou_mean": dict.fromkeys(GROUPS, value),
        "ciou_auc": dict.fromkeys(GROUPS, 0.25),
        "mismatched_falls_by": [0.5],
        "tn_rate": value | {"by_seed": [0.25, 0.75]},
        "parameters": None,
        "fit_s": [1160.0],
        "inference_s": [0.0123],
    }
    cells = sweep_table({"a": row}, dict.fromkeys(GROUPS, 0.0), AVATAR).rows[0]
    assert (
        cells[2] == "50.0 ±10.0 / 25.0"
        and cells[-4] == "50.0 ±10.0 (25.0-75.0)"
        and cells[-3:] == [NOTHING, "1,160", "12.3"]
    )
    assert sweep_table({"a": row | {"fit_s": []}}, dict.fromkeys(GROUPS, 0.0), AVATAR).rows[0][-2] == NOTHING
