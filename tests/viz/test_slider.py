"""The data of the sample cards against the formulas of the metrics, and the HTML of the cards."""

import json
import re
from base64 import b64decode
from typing import Any, get_args

import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.upsample import Interpolation, upsample
from tavlo_pl.viz import page
from tavlo_pl.viz.slider import Shown, make_viewer, upsampling_weights

SIZE = 32


def shown(**changes: Any) -> Shown:
    truth = np.zeros((SIZE, SIZE), bool)
    truth[:10, :20] = True
    maps = {"one": np.linspace(-0.5, 0.75, 12, dtype=np.float16).reshape(3, 4)}
    return Shown("clip/00001", ["dog"], b"jpeg", 1.5, truth, maps, {"one": "cIoU 0.5"})._replace(**changes)


def cards(*arguments: Any) -> str:
    """HTML of the sample cards."""
    source = '{% from "samples.html.j2" import sample_cards %}{{ sample_cards(viewer) }}'
    return page.environment(page.SHARED).from_string(source).render(viewer=make_viewer(*arguments))


def embedded(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def floats(text: str) -> np.ndarray:
    return np.frombuffer(b64decode(text), np.float32)


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_upsampling_weights_equal_the_metrics_upsampling(interpolation: Interpolation) -> None:
    heatmap = torch.rand(5, 7, generator=torch.Generator().manual_seed(0))
    down, along = (upsampling_weights(cells, SIZE, interpolation) for cells in heatmap.shape)
    wanted = upsample(heatmap[None], (SIZE, SIZE), interpolation)[0].numpy()
    assert np.allclose(down @ heatmap.numpy() @ along.T, wanted, atol=1e-5)


def test_viewer_data_contains_maps_masks_and_weights() -> None:
    sample = shown()
    data = embedded(cards({"Best": [sample]}, "top_tenth", "bilinear", None))
    (given,) = data["maps"]
    assert np.array_equal(floats(given["map"]).reshape(given["height"], given["width"]), sample.maps["one"])
    bits = np.unpackbits(np.frombuffer(b64decode(data["truths"][given["truth"]]), np.uint8))
    assert np.array_equal(bits.reshape(SIZE, SIZE).astype(bool), sample.truth)
    assert np.array_equal(floats(data["weights"][1]["4"]).reshape(SIZE, 4), upsampling_weights(4, SIZE, "bilinear"))
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
def test_viewer_starts_at_the_threshold_of_the_rule(
    rule: str, universal: float | None, by: str, start: dict[str, float]
) -> None:
    data = embedded(cards({"Best": [shown()]}, rule, "bilinear", universal))
    assert data["by"] == by
    assert data["start"] == pytest.approx(start)


def test_cards_refer_to_the_maps_of_their_sample() -> None:
    two = shown(maps={"one": np.zeros((3, 4)), "two": np.ones((2, 2))}, scores={"one": "", "two": ""})
    html = cards({"Best": [two, two], "Worst": [two]}, "top_half", "bilinear", None)
    assert [each["truth"] for each in embedded(html)["maps"]] == [0, 0, 1, 1, 2, 2]
    assert re.findall(r'data-map="(\d)"', html) == list("012345")
    assert re.findall(r'data-truth="(\d)"', html) == list("012")


def test_cards_escape_names_and_scale_constant_maps() -> None:
    name = "</script><i>"
    sample = shown(title=name, lines=[name], maps={name: np.zeros((2, 2))}, scores={name: name})
    html = cards({"<i>": [sample]}, "top_half", "bilinear", None)
    assert html.count("</script>") == 1  # that of the data
    assert "<i>" not in html
    assert "&lt;/script&gt;&lt;i&gt;" in html
    data = embedded(html)
    assert data["high"] > data["low"]


def test_cards_without_a_frame_have_no_image() -> None:
    assert "<img" in cards({"Best": [shown()]}, "top_half", "bilinear", None)
    assert "<img" not in cards({"Best": [shown(frame=None)]}, "top_half", "bilinear", None)
