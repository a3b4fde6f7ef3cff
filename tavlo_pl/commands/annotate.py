"""``tavlo annotate``: makes a benchmark in AVATAR's layout from one's own videos.

Every command is a typed function: its signature defines the options and its docstring the help.
"""

from typing import Any

from jsonargparse import auto_cli

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.commands.annotate_agreement import agreement
from tavlo_pl.commands.annotate_exchange import export, import_
from tavlo_pl.commands.annotate_propagate import propagate
from tavlo_pl.commands.annotate_propose import propose
from tavlo_pl.commands.annotate_serve import serve

COMMANDS: dict[str, Any] = {
    "propose": propose,
    "serve": serve,
    "propagate": propagate,
    "agreement": agreement,
    "export": export,
    "import": import_,
}


def main(args: list[str]) -> int:
    """Runs ``tavlo annotate COMMAND …`` and returns the exit code.

    Args:
        args: the words after ``tavlo annotate``; the project may follow the command without ``--project``.
    """
    settings: dict[str, Any] = {
        "prog": "tavlo annotate",
        "description": "Makes a benchmark in AVATAR's layout from one's own videos.",
        "parser_class": ShortErrors,
    }
    if len(args) > 1 and not args[1].startswith("-"):
        args = [args[0], "--project", *args[1:]]
    return to_exit_code("annotate", lambda: auto_cli(COMMANDS, args=args, as_positional=False, **settings))
