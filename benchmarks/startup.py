"""How long does the command line take to answer?

Run it with ``make bench``.

Processes of their own, rounds interleaved, processor time of the process and its children. The yardstick is
``import lightning.pytorch``, which every verb with a Trainer needs.
"""

import statistics
import sys

from benchmarks.report import Row, command_cpu_s, ratio, write

ROUNDS = 3
TAVLO = [sys.executable, "-m", "tavlo_pl"]
COMMANDS = {
    "import lightning.pytorch": [sys.executable, "-c", "import lightning.pytorch"],
    "tavlo --version": [*TAVLO, "--version"],
    "tavlo --help": [*TAVLO, "--help"],
    "tavlo fit --help": [*TAVLO, "fit", "--help"],
    "tavlo fit --print_config": [*TAVLO, "fit", "-c", "configs/exp/tavlo.yaml", "--print_config"],
}
WANTED = {"tavlo --version": "under 0.3 s", "tavlo --help": "at most 0.7 s above the import"}


def main() -> None:
    """Measures and writes."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(command_cpu_s(command))
    (yardstick, bare), *others = taken.items()
    rows: list[Row] = []
    for name, values in others:
        more = statistics.median(a - b for a, b in zip(values, bare, strict=True))
        told = f"{statistics.median(values):.2f} s CPU, {more:+.2f} s to the import's {statistics.median(bare):.2f}"
        rows.append(ratio(name, values, bare, f"× {yardstick}", told, WANTED.get(name, "")))
    write("startup", rows)


if __name__ == "__main__":
    main()
