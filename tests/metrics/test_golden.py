import numpy as np
import pytest

from tests.metrics import vggss


def test_golden_values_need_no_shared_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests against the peers' evaluators may not skip, so their values come with the repository."""

    def refuse(*parts: str) -> None:
        pytest.fail(f"reads {parts} of the folder 'shared'")

    monkeypatch.setattr(vggss, "shared_file", refuse)
    for read in (vggss.expected, vggss.golden_boxes, vggss.maps):
        read.cache_clear()
    expected, maps = vggss.expected(), vggss.maps().numpy()
    assert list(vggss.golden_boxes()) == expected["files"]
    assert maps.shape == (expected["n"], 7, 7)
    assert maps.dtype == np.float32
    assert len(expected["slavc"]["samples"]) == len(expected["rule_half"]["ciou"]) == expected["n"]


def test_golden_boxes_are_entries_of_the_full_list() -> None:
    full = vggss.all_boxes()
    assert {file: full[file] for file in vggss.golden_boxes()} == vggss.golden_boxes()
