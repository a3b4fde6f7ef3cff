"""Time limit for reading one clip, so that one bad file does not stop a run.

A thread counts the time in steps and interrupts the main thread with SIGALRM, so that a process that was stopped for
hours (SIGSTOP, a suspended machine) loses at most one step. FFmpeg's code, which a signal does not interrupt, checks
the time whenever it requests bytes. If neither applies, as for a network disk that does not respond, the process is
ended with a message that names the file.
"""

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Concatenate, ParamSpec, TypeVar

from tavlo_pl import env
from tavlo_pl.errors import SlowMediaError

GRACE = 2
"""The process is ended if the clip takes longer than this multiple of the limit."""

STEPS = 20
"""Steps in which the limit is counted; a pause of the process counts as one, however long it is."""

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")


class _Watch(threading.Thread):
    """Counts the steps of a limit and interrupts the main thread at its end.

    Args:
        what: the file, for the message.
        limit_s: the limit in seconds.

    Attributes:
        steps: that have passed.
        finished: set when the block has ended.
    """

    def __init__(self, what: object, limit_s: float) -> None:
        super().__init__(daemon=True)
        self._what = what
        self._step_s = limit_s / STEPS
        self.steps = 0
        self.finished = threading.Event()

    def run(self) -> None:
        while not self.finished.wait(self._step_s):
            self.steps += 1
            if self.steps == STEPS:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
            if self.steps >= GRACE * STEPS:
                _give_up(self._what)

    def interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """The handler of the signal; one that is late does nothing."""
        if not self.finished.is_set():
            raise too_slow(self._what)


_watches: list[_Watch] = []
"""That of the block in which the main thread is, if any."""


def _was_paused() -> bool:
    """Whether the process ran for less than half of the limit where FFmpeg's clock, which ran on, says more."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and bool(_watches) and _watches[0].steps < STEPS // 2


@contextmanager
def time_limit(what: object) -> Iterator[None]:
    """Interrupts the block when it exceeds the time limit; does nothing if another limit or timer is active.

    Only the main thread is interrupted; in other threads only the limit inside FFmpeg applies.

    Args:
        what: the file, for the message.

    Raises:
        SlowMediaError: the block took longer than ``TAVLO_CLIP_TIMEOUT_S``.
    """
    limit_s = env.clip_timeout_s()
    is_main = threading.current_thread() is threading.main_thread()
    if not limit_s or not is_main or _watches or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return
    watch = _Watch(what, limit_s)
    _watches.append(watch)
    before = signal.signal(signal.SIGALRM, watch.interrupt)
    watch.start()
    try:
        yield
    finally:
        watch.finished.set()
        _watches.remove(watch)
        watch.join()  # no signal is sent after it, so that the handler of before gets none
        signal.signal(signal.SIGALRM, before)


def limited(read: Callable[Concatenate[F, P], T]) -> Callable[Concatenate[F, P], T]:
    """Decorates a function whose first argument is a file with `time_limit`; it is called again after a pause."""

    @functools.wraps(read)
    def within(path: F, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with time_limit(path):
            while True:
                try:
                    return read(path, *args, **kwargs)
                except SlowMediaError:
                    if not _was_paused():
                        raise

    return within


def too_slow(what: object) -> SlowMediaError:
    """Returns the error for a file that exceeded the limit."""
    return SlowMediaError(
        f"{what}: reading it took longer than {env.clip_timeout_s():g} s; fetch it again or leave it out (a slow disk "
        f"may need a larger {env.CLIP_TIMEOUT_S})"
    )


def _give_up(what: object) -> None:
    print(f"{too_slow(what)}; it cannot be interrupted, so this process ends", file=sys.stderr, flush=True)
    os._exit(1)
