"""Errors and exit codes: every mistake of a user ends as a one-sentence message and an exit code.

A message says what is wrong, where, and what to do.
"""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as in shells."""

TERMINATED = 143
"""Exit code after SIGTERM: 128 + SIGTERM."""


INTERNAL = 70
"""Exit code of a bug of this package: EX_SOFTWARE of sysexits."""


class TavloError(Exception):
    """Base of all errors that are shown to the user without a traceback.

    Attributes:
        exit_code: 2 for a mistake of the user (wrong option, bad input, missing file), 1 for a failed run, 70 for a
            bug.
    """

    exit_code = 2


class ConfigError(TavloError):
    """An option, or a combination of options, that cannot be run."""


class DatasetNotFoundError(TavloError):
    """A folder, list or file of a dataset is missing."""


class AnnotationError(TavloError):
    """An annotation file cannot be read."""


class PredictionError(TavloError):
    """Saved heatmaps are missing or cannot be scored."""


class CheckpointError(TavloError):
    """A checkpoint is missing, unreadable or of another model."""


class MediaError(TavloError):
    """An audio or video file cannot be used; the message starts with its path."""


class EmptyMediaError(MediaError):
    """The file has no bytes, or no frame."""


class NotMediaError(MediaError):
    """The file is of no known container format, such as an HTML page named .mp4."""


class NoVideoError(MediaError):
    """The file has no video stream."""


class NoAudioError(MediaError):
    """The file has no audio stream."""


class CorruptMediaError(MediaError):
    """The file is truncated or damaged: a requested frame or its audio cannot be decoded."""


class SlowMediaError(MediaError):
    """Reading the file took longer than the limit."""


class UnreachableMediaError(MediaError):
    """The file is at an address that cannot be read at present; the same command tries it again."""


class RunFailedError(TavloError):
    """The input was valid and the run failed."""

    exit_code = 1


class InternalError(TavloError):
    """A bug: an exception that no code expected. The message names the file with its traceback."""

    exit_code = INTERNAL
