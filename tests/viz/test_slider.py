"""What the page hands to the browser, against the formulas of the metrics."""

import json
import re
from base64 import b64decode
from typing import Any, get_args

import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.upsample import Interpolation, upsample
from tavlo_pl.viz.slider import Shown, samples_html, upsampling_weights

SIZE = 32


def shown(**changes: Any) -> Shown:
    truth = np.zeros((SIZE, SIZE), bool)
    truth[:10, :20] = True
    maps = {"one": np.linspace(-0.5, 0.75, 12, dtype=np.float16).reshape(3, 4)}
    return Shown("clip/00001", ["dog"], b"jpeg", 1.5, truth, maps, {"one": "cIoU 0.5"})._replace(**changes)


def handed_over(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def floats(text: str) -> np.ndarray:
    return np.frombuffer(b64decode(text), np.float32)


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_weights_of_both_sides_upsample_as_the_metrics_do(interpolation: Interpolation) -> None:
    heatmap = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    down, along = (upsampling_weights(cells, SIZE, interpolation) for cells in heatmap.shape)
    wanted = upsample(heatmap[None], SIZE, interpolation)[0].numpy()
    assert np.allclose(down @ heatmap.numpy() @ along.T, wanted, atol=1e-5)


def test_the_browser_gets_maps_truth_and_weights() -> None:
    sample = shown()
    data = handed_over(samples_html({"Best": [sample]}, "top_tenth", "bilinear", None))
    (given,) = data["maps"]
    assert np.array_equal(floats(given["map"]).reshape(given["height"], given["width"]), sample.maps["one"])
    bits = np.unpackbits(np.frombuffer(b64decode(data["truths"][given["truth"]]), np.uint8))
    assert np.array_equal(bits.reshape(SIZE, SIZE).astype(bool), sample.truth)
    assert np.array_equal(floats(data["weights"]["4"]).reshape(SIZE, 4), upsampling_weights(4, SIZE, "bilinear"))
    assert (data["low"], data["high"]) == (-0.5, 0.75)


@pytest.mark.parametrize(
    ("rule", "universal", "by", "start"),
    [
        ("top_tenth", 0.4, "share", {"share": 0.1, "score": 0.4}),
        ("top_half", None, "share", {"share": 0.5, "score": 0.125}),
        ("adaptive", 0.4, "share", {"share": 0.1, "score": 0.4}),
        ("fixed:0.3", 0.4, "score", {"share": 0.1, "score": 0.3}),
        ("universal:0.9", 0.4, "score", {"share": 0.1, "score": 0.4}),
    ],
)
def test_the_slider_starts_at_the_rule(rule: str, universal: float | None, by: str, start: dict[str, float]) -> None:
    data = handed_over(samples_html({"Best": [shown()]}, rule, "bilinear", universal))
    assert data["by"] == by
    assert data["start"] == pytest.approx(start)


def test_each_map_belongs_to_its_sample() -> None:
    two = shown(maps={"one": np.zeros((3, 4)), "two": np.ones((2, 2))}, scores={"one": "", "two": ""})
    html = samples_html({"Best": [two, two], "Worst": [two]}, "top_half", "bilinear", None)
    assert [each["truth"] for each in handed_over(html)["maps"]] == [0, 0, 1, 1, 2, 2]
    assert re.findall(r'data-map="(\d)"', html) == list("012345")
    assert re.findall(r'data-truth="(\d)"', html) == list("012")


def test_names_are_escaped_and_flat_maps_have_a_scale() -> None:
    sample = shown(title="</script>", maps={"one": np.zeros((2, 2))})
    html = samples_html({"<i>": [sample]}, "top_half", "bilinear", None)
    assert "</script>" not in html.removesuffix("</script>")
    assert "<i>" not in html
    data = handed_over(html)
    assert data["high"] > data["low"]


def test_without_a_frame_the_map_is_shown_alone() -> None:
    assert "<img" in samples_html({"Best": [shown()]}, "top_half", "bilinear", None)
    assert "<img" not in samples_html({"Best": [shown(frame=None)]}, "top_half", "bilinear", None)
