#!/usr/bin/env python3
"""Fails if a test was skipped that may not be.

python -m pytest --junitxml report.xml && python .ci/skips.py report.xml

A test may skip only through a helper that states what the machine lacks. Golden values have no such helper.
"""

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ALLOWED = {
    "tests/helpers/shared.py": ("needs data/", "needs weights/"),  # full lists and pretrained networks
    "tests/helpers/browser.py": "needs ",  # Chromium and playwright
    "tests/helpers/extras.py": "needs fiftyone",  # a database server, which this project does not declare
    "tests/helpers/faults.py": "",  # mounting a small disk, and making a folder read-only for root
}
"""File that raises the skip -> how its reason begins."""


def main(report: Path) -> int:
    """The exit code: 1 if a skip is not allowed, or if the report holds no test."""
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314  # pytest wrote it
    skipped = [(case, found) for case in cases if (found := case.find("skipped")) is not None]
    wrong = [(case, found) for case, found in skipped if not _allowed(found)]
    for case, found in wrong:
        print(f"skips: {case.get('classname')}.{case.get('name')}: {found.text}")
    print(f"skips: {len(skipped)} of {len(cases)} tests, {len(wrong)} of them not allowed by .ci/{Path(__file__).name}")
    return int(bool(wrong) or not cases)


def _allowed(skipped: ET.Element) -> bool:
    """Whether a report's ``<skipped message="reason">file:line: reason</skipped>`` is in the table."""
    raised = re.match(r"(?P<file>.+?):\d+: ", skipped.text or "")
    reason = skipped.get("message", "")
    return raised is not None and any(
        Path(raised["file"]).as_posix().endswith(f"/{file}") and reason.startswith(begin)
        for file, begin in ALLOWED.items()
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
