"""``tavlo report RUN [RUN…]``: an HTML page about a test, or a comparison of several tests with the first."""

from pathlib import Path

from tavlo_pl.commands import ShortErrors, to_exit_code


def main(args: list[str]) -> int:
    """Runs ``tavlo report …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo report``.
    """
    parser = ShortErrors(
        prog="tavlo report", description="Writes an HTML page about a test, or a comparison of several."
    )
    parser.add_argument("runs", nargs="+", type=Path, help="Folders written by tavlo test or tavlo score.")
    parser.add_argument(
        "--out",
        type=Path | None,
        help="Folder of the page. Default: the folder report, or comparison, in the first run.",
    )

    def run() -> None:
        given = parser.parse_args(args)
        from tavlo_pl.report.write import write_report  # it imports torch, which --help does not need

        write_report(given.runs, given.out)

    return to_exit_code("report", run)
