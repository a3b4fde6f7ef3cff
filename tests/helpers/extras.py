"""Packages that this project does not declare; tests of documented snippets skip without them."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest


def undeclared(package: str) -> ModuleType:
    """Imports a package; skips the test where it is not installed."""
    if find_spec(package) is None:
        pytest.skip(f"needs {package}")
    return import_module(package)
