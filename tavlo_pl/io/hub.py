"""Checkpoints at the Hugging Face hub: ``hf://owner/name[@revision]`` wherever the path of a checkpoint is taken.

Nothing is asked of the network unless such an address is given. One file of the repository is read, `FILE`, through
``huggingface_hub`` and its cache; a revision in the cache needs no network. The file is as untrusted as any other.
"""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

from tavlo_pl.errors import CheckpointError
from tavlo_pl.io.extras import require
from tavlo_pl.io.messages import one_line

SCHEME = "hf://"
FILE = "model.safetensors"
"""The file that ``tavlo push`` writes; safetensors hold tensors and text, no code."""

NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
ADDRESS = re.compile(rf"{SCHEME}({NAME})(?:@([\w.][\w./-]*))?", re.ASCII)


def is_address(name: str | Path | None) -> bool:
    """Whether a checkpoint is given by the address of a repository."""
    return isinstance(name, str) and name.startswith(SCHEME)


def local_path(name: str | Path) -> Path:
    """Returns the path of a checkpoint on this machine; one at an address is downloaded into the cache of the hub.

    Args:
        name: a path, or ``hf://owner/name[@revision]``: a branch, a tag or a commit; ``main`` by default. A process
            asks once for each address.

    Raises:
        ConfigError: the extra ``hub`` is not installed.
        CheckpointError: the address is malformed, or the hub cannot be reached, has no such file or refuses it.
    """
    if not is_address(name):
        return Path(name)
    found = ADDRESS.fullmatch(str(name))
    if found is None:
        raise CheckpointError(f"{name} is no address of a repository; give hf://owner/name or hf://owner/name@revision")
    return _download(found[1], found[2])


@cache
def _download(repository: str, revision: str | None) -> Path:
    """The path of the file in the cache, whose folder has the name of the commit."""
    hub = require("huggingface_hub", "hub", f"{SCHEME}{repository}")
    try:
        return Path(hub.hf_hub_download(repository, FILE, revision=revision))
    except Exception as error:
        raise CheckpointError(explain(error, repository, revision)) from error


def explain(error: BaseException, repository: str, revision: str | None = None) -> str:
    """One sentence about an error of ``huggingface_hub``.

    Args:
        error: what it raised.
        repository: ``owner/name``.
        revision: of the address.
    """
    errors = import_module("huggingface_hub.errors")
    where = f"{SCHEME}{repository}" + (f"@{revision}" if revision else "")
    is_absent = isinstance(error, errors.LocalEntryNotFoundError)
    cause = error.__cause__ if is_absent and error.__cause__ else error
    reasons = {
        errors.GatedRepoError: "its owner restricts access; ask for access on its page, and log in (hf auth login)",
        errors.RevisionNotFoundError: f"the repository has no revision {revision or 'main'}; give a branch or a commit",
        errors.RemoteEntryNotFoundError: f"the repository has no {FILE}; give one that tavlo push has written",
        errors.RepositoryNotFoundError: "the hub has no such repository, or it is private; check the name, or log in "
        "(hf auth login)",
        errors.OfflineModeIsEnabled: "not in the cache, and HF_HUB_OFFLINE forbids the download; unset it",
    }
    status = getattr(getattr(cause, "response", None), "status_code", None)
    reason = next((text for kind, text in reasons.items() if isinstance(cause, kind)), None)
    if reason is None and status in (401, 403):
        reason = "the hub denies access; log in with an account that has the right (hf auth login)"
    elif reason is None and status is not None:
        reason = f"the hub answered with status {status}; try again later"
    elif reason is None and is_absent:
        reason = "not in the cache, and the hub cannot be reached; check the network"
    return f"{where}: {reason or f'the hub cannot be reached: {one_line(error)}'}"
