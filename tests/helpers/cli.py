"""The command line in this process: 0.3 s per call instead of 7 s for a process."""

import contextlib
import io
from dataclasses import dataclass

from tavlo_pl.__main__ import main

TRAINER_COMMANDS = ("fit", "validate", "test", "predict", "diagnose")


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def tavlo(*args: object) -> Outcome:
    """Runs ``tavlo`` and captures its output; configurations may name classes of the tests."""
    out, err = io.StringIO(), io.StringIO()
    allowed = (
        ["--allow_import", "tests"] if args and args[0] in TRAINER_COMMANDS and "--allow_import" not in args else []
    )
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*map(str, args), *allowed])
    return Outcome(code, out.getvalue(), err.getvalue())
