"""The folder ``shared`` beside some checkouts: files that are too large for the repository.

Tests of the full lists of published data sets, and of the weights of pretrained networks with their golden values, skip
without it. All other golden values are in ``tests/metrics/golden``.
"""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"


def shared_file(*parts: str) -> Path:
    """A file below the folder ``shared`` beside the checkout; skips the test where it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"needs {path.relative_to(SHARED)} in the folder 'shared' beside the checkout")
    return path
