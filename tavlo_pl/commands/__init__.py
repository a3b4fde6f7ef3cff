"""The verbs that need no Trainer, one file each, and what all verbs share: short errors and exit codes.

Nothing here imports torch or Lightning, so that these verbs and ``--help`` answer at once.
"""

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from tavlo_pl import env
from tavlo_pl.config import security
from tavlo_pl.errors import RunFailedError, TavloError
from tavlo_pl.io.os_errors import refusal

LONGEST_SENTENCE = 4_000
"""Letters of what is told; a list of weights that are missing has as many."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""

TERMINATED = 143
"""Exit code after SIGTERM."""


class ShortErrors(ArgumentParser):
    """A parser that takes no abbreviations and answers a wrong option with one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """As inherited; whatever a configuration makes of the parser is a wrong option too."""
        try:
            return super().parse_args(*args, **kwargs)
        except TavloError:
            raise
        except Exception as error:  # noqa: BLE001  # bytes that are no text, numbers that are too long, …
            self.error(f"the configuration cannot be read: {error}")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the sentence and exits with code 2.

        jsonargparse parses classes inside of classes with inner parsers, whose errors it catches and words
        itself: those have ``exit_on_error`` off and are left to it.
        """
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        program = parser.prog.replace(" [options]", "")
        if denied := re.search(r"Importing '([^']*)' is not allowed", message):  # meant for programmers
            message = (
                f"the configuration names {denied[1]}, and naming a class runs its module: that is done for "
                f"{', '.join(security.IMPORTABLE)} alone; if you trust it, add --allow_import {denied[1].split('.')[0]}"
            )
        sentence = one_line(message)
        print(f"{program}: {sentence} (options: {program} --help)", file=sys.stderr)
        sys.exit(2)


def to_exit_code(verb: str, run: Callable[[], object], allow_import: Sequence[str] = ()) -> int:
    """Runs a verb and turns what happened into an exit code, with one sentence on stderr where it failed.

    Args:
        verb: named in front of the sentence.
        run: does the work; raises a ``TavloError`` for everything that the user should be told.
        allow_import: packages whose classes its configuration may name besides the known ones.

    Returns:
        0, or what the error asks for: 2 for a user's mistake, 1 for a failed run, 130 after Ctrl-C.
    """
    try:
        try:
            security.confine(allow_import)
            run()
        except OSError as error:
            if told := refusal(error):
                raise told from error
            raise
        except BrokenProcessPool as error:
            raise RunFailedError(
                "one of its processes was ended from outside (too little memory?); the same command goes on"
            ) from error
    except TavloError as error:
        if env.debug():
            traceback.print_exc()
        process = f" (process {env.process_number()})" if env.process_number() else ""
        print(f"tavlo {verb}{process}: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"tavlo {verb}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:  # noqa: BLE001  # nobody foresaw it, so it is no mistake of the user
        if env.debug():
            traceback.print_exc()
        print(f"tavlo {verb}: {type(error).__name__}: {one_line(error)} ({env.DEBUG}=1 shows where)", file=sys.stderr)
        return RunFailedError.exit_code
    return 0


def one_line(message: object) -> str:
    """What is told, as one line: names from files of strangers may hold what would make a terminal do things."""
    words = " ".join(str(message).split())
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words)
    return text if len(text) <= LONGEST_SENTENCE else f"{text[:LONGEST_SENTENCE]}..."


def first_line(function: Callable[..., object]) -> str:
    """The first line of a docstring: what ``--help`` says about a verb."""
    return (function.__doc__ or "").strip().splitlines()[0]
