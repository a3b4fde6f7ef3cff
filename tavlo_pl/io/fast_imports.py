"""Imports torch and Lightning in two thirds of the time; every command with a Trainer begins with it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_utilities.core.imports import RequirementCache

UNUSED = ("transformers", "matplotlib")
"""Packages that torchmetrics, which Lightning imports, loads where they are installed, for metrics of text and for
plots of metrics; nothing here uses these."""


@contextmanager
def fast_imports() -> Iterator[None]:
    """Leaves `UNUSED` out of torchmetrics while the block runs, and imported modules out of all garbage collections.

    Modules stay until the process ends; collections that visit their objects took a fifth of the time of a short
    `tavlo predict`.
    """
    is_installed, was_enabled = RequirementCache.__bool__, gc.isenabled()

    def is_wanted(cache: RequirementCache) -> bool:
        return not str(cache.requirement).startswith(UNUSED) and is_installed(cache)

    RequirementCache.__bool__ = is_wanted  # type: ignore[method-assign, assignment, unused-ignore]
    gc.disable()  # every collection would visit the objects of all modules so far, none of which is garbage
    try:
        yield
    finally:
        RequirementCache.__bool__ = is_installed  # type: ignore[method-assign, assignment, unused-ignore]
        gc.freeze()  # later collections do not visit them either
        if was_enabled:
            gc.enable()
