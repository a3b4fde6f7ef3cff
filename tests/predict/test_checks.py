"""Wrong values of the Python API raise errors that name the choices."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tavlo_pl
from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.checks import check_rate, to_device
from tavlo_pl.predict.folder import PredictOptions
from tests.helpers.predict import localizer


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"aspect": "sqash"}, "aspect is 'sqash'; it must be one of squash, keep"),
        ({"aspect": None}, "aspect is None"),
        ({"aspect": "KEEP"}, "aspect is 'KEEP'"),
        ({"maps_per_second": "4"}, "maps_per_second is '4'; it must be positive"),
        ({"maps_per_second": True}, "maps_per_second is True"),
        ({"maps_per_second": 0}, "maps_per_second is 0"),
        ({"maps_per_second": float("nan")}, "maps_per_second is nan"),
        ({"maps_per_second": 1e9}, "at most 1000"),
        ({"device": "gpu"}, "device is 'gpu', which this machine does not have; it has cpu"),
        ({"device": "cuda:99"}, "device is 'cuda:99'"),
        ({"device": 1.5}, "device is 1.5"),
        ({"allow_import": "tests"}, "allow_import is 'tests'; it must be a tuple"),
    ],
)
def test_localize_names_the_choices(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        tavlo_pl.localize(tmp_path / "gone.mp4", **options)
    assert words in str(raised.value)
    if "aspect" in options or "maps_per_second" in options:
        with pytest.raises(ConfigError):
            localizer().localize(tmp_path / "gone.mp4", **options)
        with pytest.raises(ConfigError):
            PredictOptions(**options)
    else:
        with pytest.raises(ConfigError):
            tavlo_pl.load(tmp_path / "gone.ckpt", **options)


def test_options_that_are_possible_pass() -> None:
    for rate in (None, 4, 0.5, np.float32(2), np.int64(3), 1000):
        check_rate(rate)
    assert to_device("cpu").type == "cpu" and to_device(None).type in ("cpu", "cuda")
    with pytest.raises(ConfigError, match="layout is 'Avatar'; it must be one of tavlo, avatar"):
        PredictOptions(layout="Avatar")  # type: ignore[arg-type]
