"""A limit on the time that reading one clip may take, so that one bad file does not hold up a run of days.

Three ways to hang, three answers. Python code is interrupted by a timer of the system. FFmpeg's code, which no timer
interrupts, asks for the time itself whenever it needs bytes. What neither reaches (a network disk that is gone, say)
ends the process, with the file's name.
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
"""A process that is still at the clip after so many limits is ended."""

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")


@contextmanager
def time_limit(what: object) -> Iterator[None]:
    """Interrupts the block when it takes too long; inside another such block, or beside another timer, it does nothing.

    In a thread that is not the main one there is no timer, and FFmpeg's own limit is what there is.

    Args:
        what: the file, as messages call it.

    Raises:
        SlowMediaError: it took longer than ``TAVLO_CLIP_TIMEOUT_S``.
    """
    limit_s = env.clip_timeout_s()
    is_main = threading.current_thread() is threading.main_thread()
    if not limit_s or not is_main or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise too_slow(what)

    last_resort = threading.Timer(GRACE * limit_s, _give_up, [what])
    last_resort.daemon = True
    last_resort.start()
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        last_resort.cancel()


def limited(read: Callable[Concatenate[F, P], T]) -> Callable[Concatenate[F, P], T]:
    """A function that reads the file of its first argument, under the limit."""

    @functools.wraps(read)
    def within(path: F, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with time_limit(path):
            return read(path, *args, **kwargs)

    return within


def too_slow(what: object) -> SlowMediaError:
    """The error that says so."""
    return SlowMediaError(
        f"{what}: reading it took longer than {env.clip_timeout_s():g} s; fetch it again or leave it out (a slow disk "
        f"may need a larger {env.CLIP_TIMEOUT_S})"
    )


def _give_up(what: object) -> None:
    print(f"{too_slow(what)}; it cannot be interrupted, so this process ends", file=sys.stderr, flush=True)
    os._exit(1)
