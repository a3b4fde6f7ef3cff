"""Named protocols: completeness, labels of changed ones, and values that papers state."""

import json
from dataclasses import fields

import pytest

from tavlo_pl.errors import ConfigError
from tavlo_pl.metrics.protocols import AVATAR, PROTOCOLS, Protocol, ProtocolOptions, parse_size
from tavlo_pl.metrics.suite import METRICS, LocalizationSuite


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=str)
def test_protocol_states_every_choice(protocol: Protocol) -> None:
    choices = protocol.choices()
    assert list(choices) == [field.name for field in fields(Protocol)]
    assert Protocol.of(json.loads(json.dumps(choices))) == protocol
    assert protocol.label == protocol.name and not protocol.modified
    figures = {figure.name for metric in METRICS for figure in metric.figures}
    assert set(protocol.statistics) <= figures
    suite = LocalizationSuite(protocol)
    assert [rule.name for rule in suite.rules] == list(protocol.rules)
    assert {figure["name"] for figure in suite.compute()["figures"] if figure["main"]} == {
        *protocol.statistics,
        "tn_rate",
    }


def test_avatar_is_what_its_authors_do() -> None:
    assert (AVATAR.size, AVATAR.rules, AVATAR.pooled, AVATAR.samples) == (
        (360, 640),
        ("universal:0.9",),
        "all",
        "frame",
    )
    assert AVATAR.statistics == ("ciou_mean", "ciou_auc") and AVATAR.time == "linear"


def test_a_changed_protocol_says_so() -> None:
    changed = AVATAR.change(time="nearest", rules=("top_tenth",))
    assert changed.label == "avatar, modified (time, rules)"
    assert "Protocol avatar, modified (time, rules): rule top_tenth, maps upsampled to 640×360" in changed.sentence()
    assert changed.change(time="linear", rules=AVATAR.rules) == AVATAR
    assert AVATAR.change(time="linear").label == "avatar"


def original() -> tuple[int, int]:
    """The size of the annotated frames."""
    return 108, 192


def test_options_choose_and_change_a_protocol() -> None:
    assert ProtocolOptions().chosen("is3", original) == PROTOCOLS["is3"]
    chosen = ProtocolOptions(protocol="avatar", rule="top_half", size="90x160", pooled="on_screen").chosen(
        "is3", original
    )
    assert (chosen.rules, chosen.size, chosen.pooled) == (("top_half",), (90, 160), "on_screen")
    assert chosen.label == "avatar, modified (size, rules, pooled)"
    assert ProtocolOptions(size="original").chosen("avatar", original).size == (108, 192)
    with pytest.raises(ConfigError, match="no such protocol; known are avatar, avatar_per_frame, vggss_ezvsl"):
        ProtocolOptions(protocol="vggss").chosen("is3", original)


@pytest.mark.parametrize(("text", "size"), [("224", (224, 224)), ("360x640", (360, 640)), ("1X8192", (1, 8192))])
def test_sizes_are_height_and_width(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "0", "8193", "-1", "3x", "3x4x5", "½", "1e3", "٣"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be HEIGHTxWIDTH"):
        parse_size(text)
