"""Switch delay: how soon the peak of the map follows a change of the sounding source."""

from typing import ClassVar

from typing_extensions import override

from tavlo_pl.metrics.base import EVERY_RULE, LocalizationMetric, Measured, Summary
from tavlo_pl.metrics.figure import CROSS_EVENT, Figure
from tavlo_pl.metrics.functional.video import delay_figures, switches
from tavlo_pl.metrics.pointing import POINTING
from tavlo_pl.metrics.recorder import Column
from tavlo_pl.metrics.samples import Samples


class SwitchDelay(LocalizationMetric):
    """Time from the first annotated frame of a new source until the peak is on it, in cross-event clips."""

    name: ClassVar[str] = "switch_delay"
    higher_is_better: bool = True
    figures: ClassVar[tuple[Figure, ...]] = (
        Figure("followed", label="switches followed", needs_time=True),
        Figure("median_s", label="switch delay, median, s", unit="seconds", higher_is_better=False, needs_time=True),
        Figure("switches", unit="count", needs_time=True),
    )
    columns: ClassVar[tuple[Column, ...]] = (POINTING,)
    groups: ClassVar[tuple[str, ...]] = (CROSS_EVENT,)

    @classmethod
    @override
    def summarize(cls, samples: Samples) -> Summary:
        """``switches``, their number; ``followed``, the share that the peak followed; ``median_s``, the median delay.

        Empty without a switch; without ``median_s`` if fewer than half are followed.
        """
        info = samples.info
        found = switches(samples.clip, info["time_s"], info["category"])
        if not found:
            return {}
        return {
            row: {EVERY_RULE: {k: v for k, v in delay_figures(found, info["time_s"], hit).items() if v is not None}}
            for row, hit in samples.measured.get(POINTING.name, {}).items()
        }

    @classmethod
    @override
    def sample_columns(cls, samples: Samples) -> Measured:
        """No columns."""
        return {}
