#!/usr/bin/env python3
"""Asks pip-audit whether a version in constraints.txt has a known vulnerability.

pip install pip-audit && python .ci/audit.py

The exit code is 1 if one has. Without network, or without pip-audit, the script prints "not done"; that passes on a
developer's machine and fails in CI (environment variable ``CI=true``), where a check that checks nothing is an error.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
TIMEOUT_S = 600


def main(command: tuple[str, ...] = (sys.executable, "-m", "pip_audit")) -> int:
    """The exit code: 1 if a version has a known vulnerability, or if CI could look up none; otherwise 0."""
    words = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json", "-r", str(CONSTRAINTS))
    try:
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return _not_done(f"no answer in {TIMEOUT_S} s")
    except OSError as error:
        return _not_done(f"pip-audit does not start: {error}")
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):  # no table: pip-audit is not installed, or it reached no database
        return _not_done((done.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1][:200])
    audited = [package for package in found if "skip_reason" not in package]
    if not audited:
        return _not_done(f"the database lists none of {len(found)} packages")
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        for known in package["vulns"]:
            fixed = ", ".join(known["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {known['id']}, fixed in {fixed}")
    print(f"audit: {len(audited)} of {len(found)} packages looked up, {len(vulnerable)} with known vulnerabilities")
    return int(bool(vulnerable))


def _not_done(why: str) -> int:
    """Prints the reason; returns 1 in CI and 0 elsewhere."""
    print(f"audit: not done ({why})")
    return int(os.environ.get("CI", "").lower() == "true")


if __name__ == "__main__":
    sys.exit(main())
