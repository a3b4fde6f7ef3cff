"""The sentence for an error of the disk."""

import errno
import os

import pytest

from tavlo_pl.io.os_errors import describe_os_error


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EDQUOT, 1), (errno.EFBIG, 1), (errno.EROFS, 2), (errno.EACCES, 2), (errno.EIO, None)]
)
def test_describe_os_error_exit_codes(number: int, code: int | None) -> None:
    told = describe_os_error(OSError(number, os.strerror(number), "x"))
    assert (told and told.exit_code) == code
    assert describe_os_error(ValueError()) is None
