"""The commands without a Trainer, one file each, and what all commands share: short errors and exit codes.

Nothing here imports torch or Lightning, so that these commands and ``--help`` start fast.
"""

import ast
import json
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from difflib import get_close_matches
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from tavlo_pl import env
from tavlo_pl.config import security
from tavlo_pl.errors import INTERRUPTED, RunFailedError, TavloError
from tavlo_pl.io.messages import one_line
from tavlo_pl.io.os_errors import describe_os_error
from tavlo_pl.io.tracebacks import describe_failure


def _as_yaml(argument: str) -> str:
    """Returns the argument of an inner parser with its value in YAML.

    jsonargparse (4.53) gives a value to the parser of a nested class as text of Python, in which null is "None".
    """
    option, equals, value = argument.partition("=")
    if "None" not in value:
        return argument
    try:
        return f"{option}{equals}{json.dumps(ast.literal_eval(value))}"
    except (ValueError, SyntaxError, TypeError):  # another text with this word
        return argument


class ShortErrors(ArgumentParser):
    """Argument parser without abbreviations, whose errors are one sentence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, args: Any = None, *more: Any, **kwargs: Any) -> Any:
        """Parses a command line; any exception that a configuration causes is reported as a wrong option."""
        if args is not None and not self.exit_on_error:
            args = [_as_yaml(arg) for arg in args]
        try:
            return super().parse_args(args, *more, **kwargs)
        except TavloError:
            raise
        except Exception as error:  # noqa: BLE001  # bytes that are not UTF-8, numbers that are too long, …
            self.error(f"the configuration cannot be read: {error}")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the message on one line and exits with code 2.

        jsonargparse parses nested classes with inner parsers, whose errors it catches and rewords; those have
        ``exit_on_error`` off and keep the inherited behaviour.
        """
        if not self.exit_on_error:
            super().error(message, ex)
        parser = vars(ex).get("subcommand_parser", self) if ex else self  # jsonargparse sets it for an unknown option
        program = parser.prog.replace(" [options]", "")
        message = security.denied_import(message) or message + nearest_option(message, parser)
        if missing := re.search(r"arguments are required: (\w+)\.model\b", message):
            program = f"tavlo {missing[1]}"
            message = (
                f"{missing[1]} needs a model and data: give a configuration such as -c configs/exp/demo.yaml (its "
                "videos: tavlo data synth --out .demo/world) or -c configs/exp/tavlo.yaml (AVATAR)"
            )
        print(f"{program}: {one_line(message)} (options: {program} --help)", file=sys.stderr)
        sys.exit(2)


def nearest_option(message: str, parser: ArgumentParser) -> str:
    """Returns ``; did you mean --ckpt_path?`` for an unknown option with a similar one; empty otherwise.

    An option is similar if its name or the last part of its name is.

    Args:
        message: of the parser.
        parser: of the command.
    """
    found = re.search(r"[Uu]nrecognized arguments: .*?(--[\w.]+)", message)
    if found is None:
        return ""
    known = [option for option in vars(parser).get("_option_string_actions", {}) if option.startswith("--")]
    name = found[1].removeprefix("--")
    ends = {option.rpartition(".")[2].removeprefix("--"): option for option in reversed(known)}
    close = get_close_matches(found[1], known, n=1) or [
        ends[end] for end in get_close_matches(name.rpartition(".")[2], ends, n=1)
    ]
    exact = [option for option in known if option.removeprefix("--").endswith(f".{name}")]
    return "".join(f"; did you mean {option}?" for option in (exact or close)[:1])


def to_exit_code(command: str, run: Callable[[], object], allow_import: Sequence[str] = ()) -> int:
    """Runs a command and returns its exit code; an error is printed to stderr as one line.

    Args:
        command: name of the command, printed before the message.
        run: does the work; raises a ``TavloError`` for everything that the user should know.
        allow_import: packages whose classes its configuration may name besides the known ones.

    Returns:
        0, 2 for a mistake of the user, 1 for a failed run, 70 for a bug, 130 after Ctrl-C.
    """
    try:
        _run(command, run, allow_import)
    except TavloError as error:
        if env.debug():
            traceback.print_exc()
        process = f" (process {env.process_number()})" if env.process_number() else ""
        print(f"tavlo {command}{process}: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"tavlo {command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _run(command: str, run: Callable[[], object], allow_import: Sequence[str]) -> None:
    """Runs a command; an exception that is no ``TavloError`` becomes one."""
    try:
        security.restrict_imports(allow_import)
        run()
    except TavloError:
        raise
    except BrokenProcessPool as error:
        raise RunFailedError(
            "one of its processes was killed, perhaps for lack of memory; run the same command again to continue"
        ) from error
    except Exception as error:
        raise describe_os_error(error) or describe_failure(error, command) from error
