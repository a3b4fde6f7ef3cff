"""CPU time of short commands, relative to ``import lightning.pytorch``, which every command with a Trainer needs.

Each command is a process; its CPU time includes its child processes. Rounds alternate between the commands.
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
    "tavlo fit --help_all": [*TAVLO, "fit", "--help_all"],
    "tavlo fit --print_config": [*TAVLO, "fit", "-c", "configs/exp/tavlo.yaml", "--print_config"],
}
PREDICTED = {"tavlo --version": "under 0.3 s", "tavlo --help": "at most 0.7 s above the import"}


def main() -> None:
    """Measures and writes the results."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            taken[name].append(command_cpu_s(command))
    (reference, reference_s), *others = taken.items()
    rows: list[Row] = []
    for name, values in others:
        more = statistics.median(a - b for a, b in zip(values, reference_s, strict=True))
        detail = (
            f"{statistics.median(values):.2f} s CPU, {more:+.2f} s to the import's {statistics.median(reference_s):.2f}"
        )
        rows.append(ratio(name, values, reference_s, f"× {reference}", detail, PREDICTED.get(name, "")))
    write("startup", rows)


if __name__ == "__main__":
    main()
