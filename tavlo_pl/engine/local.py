"""The local engine: processes of this machine."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from typing_extensions import override

from tavlo_pl.engine.base import AHEAD, Engine, Tasks
from tavlo_pl.errors import RunFailedError
from tavlo_pl.io.workers import exit_with_parent

T = TypeVar("T")
R = TypeVar("R")


class LocalEngine(Engine):
    """Calls functions in processes of this machine.

    Args:
        workers: number of processes; 1 for this process only, which then starts no other.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @override
    @contextmanager
    def tasks(self, function: Callable[[T], R], begin: Callable[[], object]) -> Iterator[Tasks[Any, T, R]]:
        if self.workers == 1:
            yield DirectCalls(function)
            return
        with ProcessPoolExecutor(self.workers, get_context("spawn"), _begin, (begin,)) as pool:
            try:
                yield PoolCalls(pool, function, self.workers)
            finally:
                pool.shutdown(cancel_futures=True)

    @staticmethod
    @override
    def task_device() -> None:
        return None


def _begin(begin: Callable[[], object]) -> None:
    exit_with_parent()
    begin()


class DirectCalls(Tasks[int, T, R]):
    """Calls a function in this process, when its result is taken.

    Args:
        function: is called.
    """

    def __init__(self, function: Callable[[T], R]) -> None:
        self._function = function
        self._items: dict[int, T] = {}
        self._submitted = 0

    @override
    def limit(self) -> int:
        return 1

    @override
    def submit(self, item: T) -> int:
        self._submitted += 1
        self._items[self._submitted] = item
        return self._submitted

    @override
    def first_done(self, handles: Sequence[int]) -> int:
        return handles[0]

    @override
    def result(self, handle: int) -> R:
        return self._function(self._items.pop(handle))


class PoolCalls(Tasks[Future[R], T, R]):
    """Calls a function in the processes of a pool.

    Args:
        pool: the processes.
        function: is called.
        workers: number of processes.
    """

    def __init__(self, pool: ProcessPoolExecutor, function: Callable[[T], R], workers: int) -> None:
        self._pool = pool
        self._function = function
        self._workers = workers

    @override
    def limit(self) -> int:
        return AHEAD * self._workers

    @override
    def submit(self, item: T) -> Future[R]:
        return self._pool.submit(self._function, item)

    @override
    def first_done(self, handles: Sequence[Future[R]]) -> Future[R]:
        return next(iter(wait(handles, return_when=FIRST_COMPLETED).done))

    @override
    def result(self, handle: Future[R]) -> R:
        try:
            return handle.result()
        except BrokenProcessPool as error:
            raise RunFailedError(
                "one of its processes was killed, perhaps for lack of memory; run the same command again to continue"
            ) from error
