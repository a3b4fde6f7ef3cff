"""Runs the work on a video of a page in a process of its own, which can be killed.

A decoder may take hours for a small file, in one call that no exception interrupts. The process is killed when its
video is removed from the page, when it makes no progress for the time limit of a clip, and with the server.
"""

import multiprocessing
import pickle
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

from tavlo_pl import env
from tavlo_pl.errors import RunFailedError, TavloError
from tavlo_pl.io.timeout import too_slow
from tavlo_pl.io.workers import exit_with_parent

CHECK_S = 0.1
"""Interval at which a running process is checked."""

Report = Callable[[float], None]
"""Reports seconds of the video that were processed."""

_processes = multiprocessing.get_context("forkserver")


def preload(module: str) -> None:
    """Sets the module that the server of processes imports once, so that each process starts with it."""
    _processes.set_forkserver_preload([module])


class RemovedError(Exception):
    """The video was removed from the page while it was worked on."""


def run(
    task: Callable[..., Any], folder: Path, arguments: tuple[Any, ...], report: Report, removed: Event, what: object
) -> Any:
    """Runs a function in a process and returns its result.

    Args:
        task: a function of a module, called with `arguments` and a `Report`.
        folder: private folder for the arguments, which may be large.
        arguments: of the function.
        report: called with what the process reports.
        removed: when it is set, the process is killed.
        what: the video, for messages.

    Raises:
        RemovedError: `removed` was set.
        SlowMediaError: the process reported nothing for the time limit.
        RunFailedError: the process was killed.
        TavloError: what the function raised.
    """
    path = folder / "arguments"
    path.write_bytes(pickle.dumps(arguments))
    ours, theirs = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_work, args=(task, path, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return _result(ours, report, removed, what)
    finally:
        process.kill()
        process.join()
        ours.close()
        path.unlink(missing_ok=True)


def _result(messages: Connection, report: Report, removed: Event, what: object) -> Any:
    """Waits for the result; see `run`."""
    limit_s, waited_s = env.clip_timeout_s(), 0.0
    while True:
        if removed.is_set():
            raise RemovedError
        if messages.poll(CHECK_S):
            try:
                kind, value = messages.recv()
            except EOFError:
                raise RunFailedError(f"{what}: its process was killed, perhaps for lack of memory") from None
            if kind == "result":
                return value
            if kind == "error":
                raise value
            report(value)
            waited_s = 0.0
            continue
        waited_s += CHECK_S  # counted, so that a pause of the whole program takes nothing from the limit
        if limit_s and waited_s > limit_s:
            raise too_slow(what)


def _work(task: Callable[..., Any], path: Path, messages: Connection) -> None:
    """Runs in the process."""
    exit_with_parent()
    try:
        arguments = pickle.loads(path.read_bytes())  # noqa: S301  # written by `run` in a private folder
        messages.send(("result", task(*arguments, lambda seconds: messages.send(("progress", seconds)))))
    except TavloError as error:
        messages.send(("error", error))
    except MemoryError:
        messages.send(("error", RunFailedError("there is not enough memory for this video")))
    except Exception as error:  # noqa: BLE001  # shown on the page
        messages.send(("error", RunFailedError(f"{type(error).__name__}: {error}")))
