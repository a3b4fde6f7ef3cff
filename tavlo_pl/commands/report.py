"""``tavlo report RUN [RUN…]``: one static page of a tested run, or of several compared with the first."""

from pathlib import Path

from tavlo_pl.commands import ShortErrors, to_exit_code


def main(args: list[str]) -> int:
    """Runs ``tavlo report …`` and returns the exit code.

    Args:
        args: the words after ``tavlo report``.
    """
    parser = ShortErrors(prog="tavlo report", description="Makes one page of a tested run, or compares several.")
    parser.add_argument("runs", nargs="+", type=Path, help="Folders that tavlo test or tavlo score has written.")
    parser.add_argument(
        "--out", type=Path | None, help="Folder of the page. Default: report or comparison in the first run."
    )

    def run() -> None:
        given = parser.parse_args(args)
        from tavlo_pl.report.write import write_report  # needs torch, and --help does not

        write_report(given.runs, given.out)

    return to_exit_code("report", run)
