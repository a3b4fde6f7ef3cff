"""What a reader of untrusted files must do with a hostile one: refuse it soon, in one sentence, with exit code 2."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
def limited() -> Iterator[None]:
    """Asserts that the block takes at most `MOST_S` of processor time, and on Linux `MOST_MIB` more than before."""
    began_s, before_kib = time.process_time(), _reset_peak_kib()
    yield
    took_s, after_kib = time.process_time() - began_s, _peak_kib()
    assert took_s <= MOST_S, f"{took_s:.1f} s of processor time"
    grown_mib = (after_kib - before_kib) / 2**10
    assert grown_mib <= MOST_MIB, f"{grown_mib:.0f} MiB more than before"


def _reset_peak_kib() -> int:
    """Sets the peak of the memory of this process to what it has now, and returns it; elsewhere, more than any peak."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return 2**62
    return _peak_kib()


def _peak_kib() -> int:
    """The peak of the memory of this process since it was reset; 0 on other systems than Linux."""
    try:
        text = Path("/proc/self/status").read_bytes()
    except OSError:
        return 0
    return int(text.split(b"VmHWM:")[1].split(maxsplit=1)[0])
