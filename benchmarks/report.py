"""Results of benchmarks: docs/performance/<name>.json, and the tables of docs/performance.md.

``python -m benchmarks.report`` writes the tables into the page. Most results are ratios of two measurements of the same
run, in rounds that alternate between them, with the range over the rounds.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.viz.table import PLACE

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "performance"
PAGE = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Row:
    """One result.

    Attributes:
        what: what was measured.
        value: median over the rounds.
        low: minimum over the rounds.
        high: maximum over the rounds.
        unit: unit of the value.
        detail: absolute values, which depend on the machine.
        predicted: prediction made before the measurement.
    """

    what: str
    value: float
    low: float
    high: float
    unit: str
    detail: str = ""
    predicted: str = ""


def ratio(
    what: str, over: Sequence[float], under: Sequence[float], unit: str, detail: str = "", predicted: str = ""
) -> Row:
    """Returns the ratio of two measurements of the same rounds."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return Row(what, statistics.median(ratios), min(ratios), max(ratios), unit, detail, predicted)


def single(what: str, value: float, unit: str, detail: str = "", predicted: str = "") -> Row:
    """Returns a result without rounds: counted, fitted or measured once."""
    return Row(what, value, value, value, unit, detail, predicted)


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


def wall_s(work: Callable[[], object]) -> float:
    """Elapsed seconds of one call; meaningful on an idle machine only."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def command_cpu_s(command: list[str]) -> float:
    """CPU seconds of a command and its child processes."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def grown_mib(work: Callable[[], object]) -> float:
    """Peak resident size of this process during a call, in MiB above the size before it (Linux only)."""
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the current size
    before, after = "VmRSS", "VmHWM"
    size = {before: status.read_text()}
    work()
    size[after] = status.read_text()
    current, peak = (int(re.findall(rf"{key}:\s*(\d+) kB", text)[0]) for key, text in size.items())
    return (peak - current) / 2**10


def write(benchmark: str, rows: Sequence[Row]) -> None:
    """Prints results and writes them as JSON."""
    for row in rows:
        text = f"{row.what:<58} {_format(row):>24} {row.unit}"
        print("; ".join(filter(None, (text, row.detail, row.predicted and f"predicted: {row.predicted}"))))
    FOLDER.mkdir(parents=True, exist_ok=True)
    content = {"command": f"python -m benchmarks.{benchmark}", "machine": machine(), "rows": [*map(asdict, rows)]}
    write_text_atomic(FOLDER / f"{benchmark}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read(benchmark: str) -> dict[str, Row]:
    """Returns the results of a benchmark by what was measured; empty if it has not been run."""
    path = FOLDER / f"{benchmark}.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    return {row["what"]: Row(**row) for row in rows}


def machine() -> dict[str, object]:
    """Processor, load and versions of this machine."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    name = re.search(r"model name\s*: (.*)", text)
    vectors = next((flag for flag in ("avx512f", "avx2") if f" {flag} " in text), None)  # decides times of networks
    return {
        "processor": ", ".join(filter(None, (name[1] if name else platform.processor(), vectors))),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "lightning", "av", "pyarrow")},
        "day": time.strftime("%Y-%m-%d"),
    }


def table(benchmark: str) -> str:
    """Returns the results of a benchmark as a Markdown table with its command and machine."""
    path = FOLDER / f"{benchmark}.json"
    if not path.is_file():
        return f"Not measured yet: `python -m benchmarks.{benchmark}`.\n"
    content = json.loads(path.read_text())
    measured_on, rows = content["machine"], [Row(**row) for row in content["rows"]]
    predicted = any(row.predicted for row in rows)
    head = ["", "ratio (range)", "", *(["predicted"] if predicted else []), "here"]
    lines = ["| " + " | ".join(head) + " |", "| --- | ---: " + "| --- " * (len(head) - 2) + "|"]
    for row in rows:
        cells = [row.what, _format(row), row.unit, *([row.predicted] if predicted else []), row.detail]
        lines.append("| " + " | ".join(cells) + " |")
    versions = ", ".join(f"{name} {number}" for name, number in measured_on["versions"].items())
    source = (
        f"`{content['command']}`, {measured_on['day']}: {measured_on['cores']} cores ({measured_on['processor']}), "
        f"load {measured_on['load']} at the end; Python {measured_on['python']}, {versions}."
    )
    return "\n".join([*lines, "", source, ""])


def _format(row: Row) -> str:
    return _short(row.value) + ("" if row.low == row.high else f" ({_short(row.low)} to {_short(row.high)})")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def main() -> None:
    """Writes the tables into the page."""
    PAGE.write_text(PLACE.sub(lambda found: f"{found[1]}{table(found[2])}{found[3]}", PAGE.read_text()))
    print(f"wrote the tables of {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
