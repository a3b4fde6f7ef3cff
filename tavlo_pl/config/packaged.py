"""The configurations that come with the package: ``-c configs/exp/demo.yaml`` works in any folder.

``tavlo_pl/configs`` is a link to the checkout's ``configs``, whose files go into the wheel.
"""

import re
from glob import has_magic
from pathlib import Path

FOLDER = "configs"
PACKAGE = Path(__file__).parents[1]


def find(word: str) -> str:
    """A word of the command line; one that names a configuration of ours that is not below the working directory
    becomes its path in the package.

    Args:
        word: ``configs/exp/demo.yaml``, or an option with it: ``--model=configs/model/tavlo.yaml``.
    """
    match = re.fullmatch(rf"(-[^=]*=)?({FOLDER}/[^\s'\"]*\.yaml)", word)
    if match is None or has_magic(match[2]) or Path(match[2]).exists() or not (PACKAGE / match[2]).is_file():
        return word
    return f"{match[1] or ''}{PACKAGE / match[2]}"


def pattern(word: str) -> str:
    """A pattern of files, in the package where the working directory has no such folder."""
    return str(PACKAGE / word) if word.startswith(f"{FOLDER}/") and not Path(FOLDER).exists() else word
