#!/usr/bin/env python3
"""Prints the oldest versions that pyproject.toml allows, as constraints for pip.

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
    extras = content["optional-dependencies"]
    own = re.compile(rf"{content['name']}\[(\w+)\]")  # an extra that takes another one in
    lines = [*content["dependencies"], *extras["dev"]]
    lines += [line for taken in extras["dev"] if (extra := own.fullmatch(taken)) for line in extras[extra[1]]]
    found = {}
    for line in lines:
        if own.fullmatch(line):
            continue
        match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", line)
        if match is None:
            sys.exit(f"{project}: {line!r} says no oldest version")
        found[match[1]] = match[2]
    return found


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in floors().items()))
