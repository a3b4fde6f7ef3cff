#!/usr/bin/env python3
"""Prints the oldest versions that pyproject.toml allows, as constraints for pip:

python .ci/floors.py > floors.txt && pip install -c floors.txt -e '.[dev]'
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def floors(project: Path = PROJECT) -> dict[str, str]:
    """Name -> oldest version, of what is needed to run and to test."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    found = {}
    for line in [*content["dependencies"], *content["optional-dependencies"]["dev"]]:
        match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", line)
        if match is None:
            sys.exit(f"{project}: {line!r} says no oldest version")
        found[match[1]] = match[2]
    return found


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in floors().items()))
