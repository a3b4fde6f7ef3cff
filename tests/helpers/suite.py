"""Made-up samples and maps for the metrics, and suites filled with them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tavlo_pl.metrics.functional.baselines import random_maps
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME, Protocol
from tavlo_pl.metrics.suite import LocalizationSuite
from tavlo_pl.types import SCENARIOS, Scenario, Targets

SIZE = 32
SQUARE = (SIZE, SIZE)
SEGMENTS = 3


def clip_targets(clip: int, row: int) -> Targets:
    """Two samples of a clip at a row of a batch: one of a scenario that varies, one of single_sound."""
    scenario = SCENARIOS[clip % 4]
    mask = torch.zeros(2, SIZE, SIZE, dtype=torch.bool)
    if scenario != Scenario.OFF_SCREEN:
        mask[0, 4 : 10 + clip, 6:20] = True
    mask[1, 10:20, 3 : 8 + clip] = True
    return Targets(
        mask=mask,
        row=torch.tensor([row, row]),
        segment=torch.tensor([clip % SEGMENTS, (clip + 1) % SEGMENTS]),
        next_segment=torch.tensor([clip % SEGMENTS, (clip + 1) % SEGMENTS]),
        blend=torch.zeros(2),
        index=torch.tensor([5 * clip, 5 * clip + 1]),
        clip=torch.tensor([clip, clip]),
        scenarios=flags(scenario, Scenario.SINGLE_SOUND),
        cross_event=torch.tensor([clip % 3 == 0] * 2),
        time_s=torch.tensor([0.36, 1.6], dtype=torch.float64),
        sources=torch.tensor([1 + clip % 2, 1]),
        sample_id=[f"clip_{clip:05d}/{frame:05d}/{name}" for frame, name in ((9, scenario), (40, "single_sound"))],
        category=[f"class {clip}", "dög+cat"],
        cue=["", "memory+synchrony"],
    )


def flags(*scenarios: Scenario) -> Tensor:
    """(N, 4) bool, one scenario a sample."""
    return torch.eye(len(SCENARIOS), dtype=torch.bool)[[scenario.id for scenario in scenarios]]


def protocol(*rules: str, **choices: Any) -> Protocol:
    """Small square maps with a threshold for each map; other rules and choices where they are given."""
    return replace(AVATAR_PER_FRAME, **({"size": SQUARE} | ({"rules": rules} if rules else {}) | choices))


def joined(parts: list[Targets]) -> Targets:
    """The targets of one batch."""
    columns: list[Any] = [
        torch.cat(column) if isinstance(column[0], Tensor) else [text for texts in column for text in texts]
        for column in zip(*parts, strict=True)
    ]
    return Targets(*columns)


def clip_maps(clips: list[int]) -> dict[str, Tensor]:
    """Maps that depend on the clip alone."""
    maps = random_maps(torch.tensor(clips) + 1000, cells=14) * 2 - 1
    maps = maps.reshape(len(clips), 4, 7, 7)[:, :SEGMENTS]
    return {"model": maps, "mismatched_audio": -maps}


def batches(clips: list[int], size: int) -> Iterator[tuple[dict[str, Tensor], Targets]]:
    """Maps and targets of some clips, a few clips at a time."""
    for start in range(0, len(clips), size):
        part = clips[start : start + size]
        yield clip_maps(part), joined([clip_targets(clip, row) for row, clip in enumerate(part)])


def filled(clips: list[int], size: int = 2, rules: Sequence[str] = (), **options: Any) -> LocalizationSuite:
    """A suite that was updated with some clips."""
    suite = LocalizationSuite(protocol(*rules), **options)
    for maps, targets in batches(clips, size):
        update(suite, maps, targets)
    return suite


def update(suite: LocalizationSuite, maps: dict[str, Tensor], targets: Targets) -> None:
    """Updates with a batch, and with maps for silence."""
    suite.update(maps, targets, {"silence": 0.9 * maps["model"]})


def moments(scenario: Scenario, categories: list[str], peaks: list[int]) -> tuple[dict[str, Tensor], Targets]:
    """A clip with one moment a second: the source is the upper half, the peak of each map in one of four quarters."""
    count = len(peaks)
    mask = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    mask[:, : SIZE // 2] = scenario != Scenario.OFF_SCREEN
    maps = torch.zeros(1, count, 4)
    maps[0, torch.arange(count), torch.tensor(peaks)] = 1
    number = torch.arange(count)
    targets = Targets(
        mask, torch.zeros_like(number), number, number, torch.zeros(count), number + 100 * scenario.id,
        torch.full_like(number, scenario.id), flags(*[scenario] * count), torch.ones(count, dtype=torch.bool),
        number.double(), torch.ones_like(number),
        [f"clip_{scenario.id}/{n:05d}/{scenario}" for n in range(count)], categories, [""] * count,
    )  # fmt: skip
    return {"model": maps.reshape(1, count, 2, 2)}, targets
