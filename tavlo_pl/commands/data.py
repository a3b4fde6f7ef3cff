"""``tavlo data``: makes, audits and indexes data sets, and prepares them for training.

Every command is a typed function: its signature defines the options and its docstring the help.
"""

from typing import Any

from jsonargparse import auto_cli

from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.commands.data_audit import audit
from tavlo_pl.commands.data_components import components
from tavlo_pl.commands.data_index import index
from tavlo_pl.commands.data_shard import shard
from tavlo_pl.config.security import take_allowed
from tavlo_pl.data.synthetic.write import write_world

COMMANDS: dict[str, Any] = {
    "synth": write_world,
    "audit": audit,
    "index": index,
    "shard": shard,
    "components": components,
}


def main(args: list[str]) -> int:
    """Runs ``tavlo data COMMAND …`` and returns the exit code.

    Args:
        args: the words after ``tavlo data``; ``--allow_import PKG`` is for data sets of one's own.
    """
    settings: dict[str, Any] = {
        "prog": "tavlo data",
        "description": "Makes, audits and indexes data sets, and prepares them for training.",
        "parser_class": ShortErrors,
    }
    words, allowed = take_allowed(args)
    return to_exit_code("data", lambda: auto_cli(COMMANDS, args=words, as_positional=False, **settings), allowed)
