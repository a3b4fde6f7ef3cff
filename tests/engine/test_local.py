"""The local engine, which is also the fast stand-in for the interface that the Ray engine implements."""

import os
import signal
from collections.abc import Iterator
from multiprocessing import get_context

import pytest

from tavlo_pl.engine import local
from tavlo_pl.engine.base import AHEAD
from tavlo_pl.engine.local import LocalEngine
from tavlo_pl.errors import MediaError, RunFailedError


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forked processes: 0.05 s instead of 2 s."""
    monkeypatch.setattr(local, "get_context", lambda _: get_context("fork"))


def square(number: int) -> int:
    return number * number


def odd_fails(number: int) -> int:
    if number % 2:
        raise MediaError(f"{number} is odd")
    return number


def dies(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_items(forked: None, workers: int) -> None:
    assert list(LocalEngine(workers).map(square, range(30))) == [number**2 for number in range(30)]
    assert sorted(LocalEngine(workers).map(square, range(30), in_order=False)) == [n**2 for n in range(30)]
    assert list(LocalEngine(workers).map(square, [])) == []


@pytest.mark.parametrize("in_order", [True, False])
def test_items_in_flight_are_bounded(forked: None, in_order: bool) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    results = LocalEngine(2).map(square, items(), in_order=in_order)
    assert taken == 0
    for done in range(1, 101):
        next(results)
        assert taken <= done + AHEAD * 2


def test_exception_of_a_call_is_raised(forked: None) -> None:
    results = LocalEngine(2).map(odd_fails, range(9))
    assert next(results) == 0
    with pytest.raises(MediaError, match="1 is odd"):
        next(results)


def test_killed_process_ends_the_run(forked: None) -> None:
    with pytest.raises(RunFailedError, match="one of its processes was killed"):
        list(LocalEngine(2).map(dies, range(9)))


def test_begin_runs_in_each_new_process_only(forked: None) -> None:
    os.environ.pop("TAVLO_TEST_BEGUN", None)
    assert set(LocalEngine(2).map(begun, range(9), begin=begin)) == {True}
    assert set(LocalEngine(1).map(begun, range(9), begin=begin)) == {False}


def begin() -> None:
    os.environ["TAVLO_TEST_BEGUN"] = "1"


def begun(_: int) -> bool:
    return "TAVLO_TEST_BEGUN" in os.environ
