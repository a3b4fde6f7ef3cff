"""Names of samples for the paths of videos: valid as file names on all systems, and different from each other."""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

NAME_BYTES = 200
"""Maximum length of a name; file systems allow 255 bytes, and suffixes are appended."""

_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Separators, control characters, those that turn the direction of text (as in ``x\u202egpj.mp4``), surrogates."""
_SUFFIXES = re.compile(r"\.(attention(-\d+)?|sources)$")
_DIGITS = 8


def is_valid_name(name: str) -> bool:
    """Whether a name can be a file name.

    It is not empty or too long, is valid UTF-8, and has no separator, control or direction character.
    """
    return not _NOT_IN_NAMES.search(name) and 0 < len(name.encode()) <= NAME_BYTES


def sample_names(paths: Sequence[str]) -> list[str]:
    """Returns a name for each path: the path without suffix, ``/`` written as ``__``.

    The suffix is kept where two names would be equal. A name that cannot be a file name, that ends like a file of
    another video, or that still equals another one (also in other case, or in another form of Unicode) gets the first
    digits of the hash of its path, so that it does not depend on the other videos.

    Args:
        paths: relative to a common folder, with ``/`` between the parts.
    """
    stems, full = zip(*map(plain_names, paths), strict=True)
    shared = Counter(map(_key, stems))
    names = [stem if shared[_key(stem)] == 1 else name for stem, name in zip(stems, full, strict=True)]
    equal = Counter(map(_key, names))
    return [
        name if equal[_key(name)] == 1 and is_valid_name(name) and not _SUFFIXES.search(name) else _hashed(name, path)
        for name, path in zip(names, paths, strict=True)
    ]


def plain_names(path: str) -> tuple[str, str]:
    """The name of a relative path without and with its suffix, ``/`` written as ``__``."""
    full = path.replace("/", "__")
    return os.path.splitext(full)[0], full


def _key(name: str) -> str:
    """Equal for names that are one file where case and Unicode form are ignored."""
    return unicodedata.normalize("NFC", name.casefold())


def _hashed(name: str, path: str) -> str:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:_DIGITS]
    clean = _NOT_IN_NAMES.sub("_", name).encode()[: NAME_BYTES - _DIGITS - 1].decode(errors="ignore")
    return f"{clean}-{digest}"
