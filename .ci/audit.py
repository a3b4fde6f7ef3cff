#!/usr/bin/env python3
"""Asks pip-audit whether a version in constraints.txt is known to be vulnerable; without network it says so and passes:

pip install pip-audit && python .ci/audit.py
"""

import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
TIMEOUT_S = 600


def main(command: tuple[str, ...] = (sys.executable, "-m", "pip_audit")) -> int:
    """The exit code: 1 where a version is known to be vulnerable; 0 too where nobody could be asked."""
    words = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json", "-r", str(CONSTRAINTS))
    try:
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        found = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        return _left_out(f"no answer in {TIMEOUT_S} s")
    except (OSError, ValueError, KeyError):  # it prints no table where it is missing, or reached nobody
        return _left_out((done.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1][:200])
    asked = [package for package in found if "skip_reason" not in package]
    if not asked:
        return _left_out(f"who was asked knows none of {len(found)} packages")
    vulnerable = [package for package in asked if package["vulns"]]
    for package in vulnerable:
        for known in package["vulns"]:
            fixed = ", ".join(known["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {known['id']}, mended in {fixed}")
    print(f"audit: {len(asked)} of {len(found)} packages looked up, {len(vulnerable)} with known vulnerabilities")
    return int(bool(vulnerable))


def _left_out(why: str) -> int:
    print(f"audit: not done ({why})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
