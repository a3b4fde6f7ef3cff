"""The limits of every test here: `MOST_S` seconds of processor time, and `MOST_MIB` of memory more than before."""

from collections.abc import Iterator

import pytest

from tests.helpers.hostile import limited


@pytest.fixture(autouse=True)
def within_limits() -> Iterator[None]:
    with limited():
        yield
