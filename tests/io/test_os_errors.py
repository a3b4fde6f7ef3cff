"""The sentence for an error of the disk."""

import errno
import os

import pytest

from tavlo_pl.io.os_errors import refusal


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EROFS, 2), (errno.EACCES, 2), (errno.EIO, None)]
)
def test_a_full_disk_is_a_failed_run_and_a_closed_one_a_mistake(number: int, code: int | None) -> None:
    told = refusal(OSError(number, os.strerror(number), "x"))
    assert (told and told.exit_code) == code
    assert refusal(ValueError()) is None
