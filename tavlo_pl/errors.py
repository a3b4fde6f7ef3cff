"""The one error tree: every mistake a user can make ends as one sentence and an exit code.

A message says what is wrong, where, and what to do. Exit code 2 is a user's mistake (bad input, bad
option, missing file); exit code 1 is a run that failed although its input was fine.
"""


class TavloError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 2


class ConfigError(TavloError):
    """An option or a combination of options that cannot be run."""


class DatasetNotFoundError(TavloError):
    """A dataset's folder, list or file is missing."""


class AnnotationError(TavloError):
    """An annotation file that cannot be read: names file, field and what is known."""


class PredictionError(TavloError):
    """Saved heatmaps that are missing or cannot be scored."""


class CheckpointError(TavloError):
    """A checkpoint that is missing, unreadable or of another model."""


class MediaError(TavloError):
    """An audio or video file that cannot be used; every message starts with its path."""


class EmptyMediaError(MediaError):
    """The file has no bytes, or no frame at all."""


class NotMediaError(MediaError):
    """The bytes are no known container (an HTML page named .mp4, say)."""


class NoVideoError(MediaError):
    """The file has no video stream."""


class NoAudioError(MediaError):
    """The file has no audio stream."""


class CorruptMediaError(MediaError):
    """Truncated or damaged: a wanted frame or its sound cannot be decoded faithfully."""


class SlowMediaError(MediaError):
    """Reading it took longer than the limit."""


class RunFailedError(TavloError):
    """The input was fine and the run failed all the same."""

    exit_code = 1
