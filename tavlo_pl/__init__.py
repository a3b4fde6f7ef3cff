"""tavlo_pl: which pixels make the sound heard right now?"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load", "localize"]


def __getattr__(name: str) -> Any:
    """``load`` and ``localize``, imported on first use: they need torch, and the package alone must not."""
    if name in ("load", "localize"):
        return vars(import_module("tavlo_pl.predict.api"))[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
