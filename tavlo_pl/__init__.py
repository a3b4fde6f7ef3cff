"""tavlo_pl: which pixels make the sound heard right now?"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "localize"]


def __getattr__(name: str) -> Any:
    """``localize``, imported when it is asked for: it needs torch, and the package alone must not."""
    if name == "localize":
        return import_module("tavlo_pl.predict.api").localize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
