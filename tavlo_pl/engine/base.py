"""The interface of engines: a stream of results with a limit on what is in flight."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, Self, TypeVar

AHEAD = 4
"""Items in flight for each process: one is worked on, the others hide the time of transfers. A clip has about 1 MB."""

T = TypeVar("T")
R = TypeVar("R")
Handle = TypeVar("Handle", bound=Hashable)


def no_setup() -> None:
    """The default of ``begin``: does nothing."""


class Tasks(ABC, Generic[Handle, T, R]):
    """Calls of one function that are in flight; `Handle` identifies a call."""

    @abstractmethod
    def limit(self) -> int:
        """Largest number of calls in flight, at least 1."""

    @abstractmethod
    def submit(self, item: T) -> Handle:
        """Starts the call for an item, or queues it."""

    @abstractmethod
    def first_done(self, handles: Sequence[Handle]) -> Handle:
        """Waits until one of some calls has ended, and returns it."""

    @abstractmethod
    def result(self, handle: Handle) -> R:
        """Waits for the result of a call; raises its exception.

        Raises:
            RunFailedError: the process of the call died, more often than it is repeated.
        """


class Engine(ABC):
    """Runs one function for many items in parallel; a context manager that releases its processes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027
        """Releases what the engine holds between calls of `map`; nothing by default."""

    @abstractmethod
    def tasks(
        self, function: Callable[[T], R], begin: Callable[[], object]
    ) -> AbstractContextManager[Tasks[Hashable, T, R]]:
        """Opens the calls of a function; calls in flight are cancelled when the block ends. See `map`."""

    @staticmethod
    @abstractmethod
    def task_device() -> str | None:
        """Within a call: the torch device that it has; None for a GPU if there is one."""

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        in_order: bool = True,
        begin: Callable[[], object] = no_setup,
    ) -> Iterator[R]:
        """Calls a function for each item.

        Nothing is started before the first item. Items are taken when a call can be queued, so that neither they nor
        the results fill the memory.

        Args:
            function: a picklable function; a call that is repeated must have the same effect.
            items: picklable; iterated in this process.
            in_order: yield the results in the order of the items; otherwise each as soon as it is there.
            begin: called once in each process that is started for the calls.

        Yields:
            The results.

        Raises:
            RunFailedError: a process died (see `Tasks.result`).
        """
        items = iter(items)
        for first in items:
            with self.tasks(function, begin) as tasks:
                running: dict[Hashable, None] = {tasks.submit(first): None}
                for item in items:
                    while len(running) >= tasks.limit():
                        yield _take(tasks, running, in_order)
                    running[tasks.submit(item)] = None
                while running:
                    yield _take(tasks, running, in_order)


def _take(tasks: Tasks[Hashable, T, R], running: dict[Hashable, None], in_order: bool) -> R:
    """Removes one call from those in flight and returns its result."""
    handle = next(iter(running)) if in_order else tasks.first_done(list(running))
    del running[handle]
    return tasks.result(handle)
