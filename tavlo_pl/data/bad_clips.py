"""Reports clips that cannot be read: replaced in training, an error or left out in evaluation."""

import csv
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tavlo_pl.errors import ConfigError, MediaError, RunFailedError
from tavlo_pl.types import BadClip

FILE_NAME = "bad_clips.csv"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BadClipPolicy:
    """What happens to clips that cannot be read.

    Args:
        action: in validation, test and diagnosis: ``error`` ends the run and names the clip, ``skip`` leaves it out and
            reports it. Training always replaces the clip by another one and reports it once.
        max_share: training ends when more than this share of its clips cannot be read.

    Raises:
        ConfigError: ``max_share`` is outside [0, 1].
    """

    action: Literal["error", "skip"] = "error"
    max_share: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.max_share <= 1:
            raise ConfigError(f"data.bad_clips.max_share is {self.max_share}; it must be from 0 to 1.")

    def max_tries(self, clips: int) -> int:
        """Number of clips that are tried for one training item; that many bad ones end the run."""
        return int(self.max_share * clips) + 1


DEFAULT_POLICY = BadClipPolicy()
"""An error in evaluation; at most 5 % of the training clips."""


class BadClipReporter:
    """Applies a policy to the bad clips of each batch, in the main process.

    Args:
        policy: the policy.

    Attributes:
        left_out: bad clips of the current evaluation on this process, by index.
    """

    def __init__(self, policy: BadClipPolicy) -> None:
        self.policy = policy
        self.left_out: dict[int, BadClip] = {}
        self._reported: set[str] = set()

    def report_training(self, bad_clips: Sequence[BadClip], clips: int, folder: Path) -> None:
        """Logs training clips that are bad for the first time and appends them to ``bad_clips.csv``.

        Args:
            bad_clips: of one batch, not empty.
            clips: number of training clips.
            folder: of the run.

        Raises:
            RunFailedError: more clips are bad than the policy allows.
        """
        fresh = [
            bad for bad in {bad.sample_id: bad for bad in bad_clips}.values() if bad.sample_id not in self._reported
        ]
        for bad in fresh:
            log.warning("Training continues without %s: %s", bad.sample_id, bad.reason)
        self._reported |= {bad.sample_id for bad in fresh}
        path = folder / FILE_NAME
        append_csv(path, fresh)
        if len(self._reported) > self.policy.max_share * clips:
            raise RunFailedError(
                f"{len(self._reported)} of {clips} training clips cannot be read, more than data.bad_clips.max_share "
                f"{self.policy.max_share:g} allows; the list with reasons: {path}; the last one: {bad_clips[-1].reason}"
            )

    def report_evaluation(self, bad_clips: Sequence[BadClip]) -> None:
        """Ends the run or leaves the clips out, as the policy says.

        Args:
            bad_clips: of one batch, not empty.

        Raises:
            MediaError: the policy is ``error``; the message is that of the first clip.
        """
        if self.policy.action == "error":
            raise MediaError(f"{bad_clips[0].reason} (To leave such clips out: --data.bad_clips.action skip)")
        for bad in bad_clips:
            if bad.index not in self.left_out:
                log.warning("Left out, with %d samples: %s", bad.samples, bad.reason)
            self.left_out[bad.index] = bad


def append_csv(path: Path, bad_clips: Sequence[BadClip]) -> None:
    """Appends clips to a file with the columns sample_id and reason, except those that it already lists.

    Args:
        path: of the file; it is created with its folder when there is something to write.
        bad_clips: the clips.
    """
    known: set[str] = set()
    if path.is_file():
        with path.open(newline="", encoding="utf-8-sig") as lines:
            known = {row[0] for row in csv.reader(lines) if row}
    fresh = [bad for bad in bad_clips if bad.sample_id not in known]
    if fresh:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="", encoding="utf-8") as lines:
            header = [] if known else [("sample_id", "reason")]
            csv.writer(lines).writerows(header + [(bad.sample_id, bad.reason) for bad in fresh])
