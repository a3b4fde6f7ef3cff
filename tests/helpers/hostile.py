"""What a reader of untrusted files must do with a hostile one: refuse it soon, in one sentence, with exit code 2."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.io.messages import LONGEST_MESSAGE, one_line

MOST_S = 5.0
MOST_MIB = 1024


def refusal(read: Callable[[], object]) -> str:
    """The message with which a reader refuses a file; fails if it is read, takes too long, or ends in another way."""
    began_s = time.process_time()
    with pytest.raises(TavloError) as refused:
        read()
    assert time.process_time() - began_s < MOST_S
    assert refused.value.exit_code == ConfigError.exit_code, refused.value
    message = one_line(refused.value)
    assert message.isprintable() and 10 < len(message) <= LONGEST_MESSAGE + 3
    return message


@contextmanager
def limited_memory() -> Iterator[None]:
    """Asserts that the block takes at most `MOST_MIB` more memory than the process had at its peak."""
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MOST_MIB * 2**10
