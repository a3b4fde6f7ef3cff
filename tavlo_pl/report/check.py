"""Checks the figures of ``results.json``, which may come from another program or another person."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from tavlo_pl.io.parsing import brief, is_number
from tavlo_pl.metrics.figure import FORMATS, read_figures
from tavlo_pl.metrics.protocols import Protocol
from tavlo_pl.viz.table import CEILING

MARKS = ("checkpoint", "data_fingerprint", "fingerprint")


def check_results(results: Any) -> None:
    """Checks the parts of the content that tables and plots use.

    Args:
        results: the value of the file.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: a part is missing or of another form.
    """
    metrics = _mapping(results["metrics"], "metrics")
    for name in ("rules", "figures"):
        _require(isinstance(metrics[name], list) and bool(metrics[name]), name, metrics[name])
    texts = [*metrics["rules"], metrics["off_screen_rule"], metrics["interpolation"]]
    _require(all(isinstance(text, str) for text in texts), "rules", texts)
    for figure in read_figures(metrics):
        named = (figure.name, figure.label, figure.note, figure.column, figure.metric, figure.group)
        _require(all(isinstance(text, str) for text in named) and figure.unit in [*FORMATS], "figures", named)
    thresholds = _mapping(metrics["universal_threshold"], "universal_threshold")
    _each({row: value for row, value in thresholds.items() if value is not None}, "thresholds", _check_number)
    _each(metrics["scenarios"], "scenarios", _check_group)
    _each(metrics.get("breakdown", {}), "breakdown", lambda groups, name: _each(groups, name, _check_group))
    left_out = _mapping(metrics["left_out"], "left_out")
    _require(all(type(left_out[name]) is int for name in ("clips", "samples")), "left_out", left_out)
    _each(left_out["reasons"], "reasons", lambda reason, name: _require(isinstance(reason, str), name, reason))
    protocol = Protocol.of(_mapping(metrics["protocol"], "protocol"))
    _require(all(isinstance(rule, str) for rule in protocol.rules) and bool(protocol.sentence()), "protocol", protocol)
    for name in MARKS:
        if results.get(name) is not None:
            _mapping(results[name], name)


def _check_group(group: Any, name: str) -> None:
    """Checks the figures of a group of samples."""
    counts = [_mapping(group, name)[count] for count in ("samples", "clips")]
    _require(all(type(count) is int for count in counts), name, counts)
    _each(group["rows"], name, _check_rules)
    _check_rules(group.get(CEILING, {}), name)


def _check_rules(by_rule: Any, name: str) -> None:
    _each(by_rule, name, lambda values, _: _each(values, name, _check_value))


def _check_value(value: Any, name: str) -> None:
    """Checks a figure, or the two ends of its interval."""
    if name.endswith("_interval"):
        _require(isinstance(value, list) and len(value) == 2, name, value)
    for number in value if name.endswith("_interval") else [value]:
        _check_number(number, name)


def _check_number(value: Any, name: str) -> None:
    is_undefined = isinstance(value, float) and math.isnan(value)
    _require(is_number(value) or is_undefined, name, value)


def _each(value: Any, name: str, check: Callable[[Any, str], object]) -> None:
    for key, each in _mapping(value, name).items():
        check(each, key)


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    _require(isinstance(value, dict), name, value)
    found: Mapping[str, Any] = value
    return found


def _require(holds: bool, name: str, value: Any) -> None:
    if not holds:
        raise ValueError(f"{name} is {brief(value)}")
