"""The folder of facts and lists that lies beside some checkouts; tests that need it skip without it."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


def shared_file(*parts: str) -> Path:
    """A file below the folder ``shared`` beside the checkout; skips the test where it is not there."""
    path = SHARED.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"needs {Path(*parts)} in a folder 'shared' beside the checkout")
    return path
