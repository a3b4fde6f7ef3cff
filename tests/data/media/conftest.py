"""The videos of `tests.helpers.media_cases`, each written at its first use."""

from collections.abc import Callable

import pytest

from tests.helpers.clips import NumberedClip, write_numbered
from tests.helpers.media_cases import CASES


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], NumberedClip]:
    """Write a case at its first use."""
    folder, written = tmp_path_factory.mktemp("media"), {}

    def get(name: str) -> NumberedClip:
        if name not in written:
            written[name] = write_numbered(folder / name, **CASES[name])
        return written[name]

    return get
