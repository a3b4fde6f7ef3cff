"""Time limit for reading one clip, so that one bad file does not stop a run.

Python code is interrupted by a system timer (SIGALRM). FFmpeg's code, which a timer does not interrupt, checks the time
whenever it requests bytes. If neither applies, as for a network disk that does not respond, the process is ended with a
message that names the file.
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

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")


@contextmanager
def time_limit(what: object) -> Iterator[None]:
    """Interrupts the block when it exceeds the time limit; does nothing if another timer is active.

    Only the main thread has a timer; in other threads only the limit inside FFmpeg applies.

    Args:
        what: the file, for the message.

    Raises:
        SlowMediaError: the block took longer than ``TAVLO_CLIP_TIMEOUT_S``.
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
    """Decorates a function whose first argument is a file with `time_limit`."""

    @functools.wraps(read)
    def within(path: F, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with time_limit(path):
            return read(path, *args, **kwargs)

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
