"""Configurations in the package: ``-c configs/exp/demo.yaml`` works in any folder.

``tavlo_pl/configs`` is a link to ``configs`` of the checkout, whose files go into the wheel.
"""

import re
from glob import has_magic
from pathlib import Path

FOLDER = "configs"
PACKAGE = Path(__file__).parents[1]


def find(argument: str) -> str:
    """Replaces the name of a packaged configuration by its path, unless the working directory has such a file.

    Args:
        argument: of a command line: ``configs/exp/demo.yaml``, or ``--model=configs/model/tavlo.yaml``.

    Returns:
        The argument, with the path of the packaged file where it names one.
    """
    match = re.fullmatch(rf"(-[^=]*=)?({FOLDER}/[^\s'\"]*\.yaml)", argument)
    if match is None or has_magic(match[2]) or Path(match[2]).exists() or not (PACKAGE / match[2]).is_file():
        return argument
    return f"{match[1] or ''}{PACKAGE / match[2]}"


def pattern(files: str) -> str:
    """Returns a glob pattern, in the package where the working directory has no ``configs``."""
    return str(PACKAGE / files) if files.startswith(f"{FOLDER}/") and not Path(FOLDER).exists() else files
