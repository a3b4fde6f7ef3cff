"""Writes the files of a report."""

import json
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.report import examples
from tavlo_pl.report.compare import compare, comparison_table
from tavlo_pl.report.load import read_runs
from tavlo_pl.report.page import report_page

PAGE = "report.html"
COMPARISON = "comparison.json"


def write_report(paths: Sequence[Path], out: Path | None = None) -> Path:
    """Writes the page, its overlay videos, and for several runs ``comparison.json``; prints the comparison.

    Args:
        paths: folders written by ``tavlo test`` or ``tavlo score``.
        out: folder of the page; by default ``report``, for several runs ``comparison``, in the folder of the first run.

    Returns:
        Path of the page.

    Raises:
        ConfigError: a path has no results.
    """
    runs = read_runs(paths)
    comparisons = [compare(runs[0], other) for other in runs[1:]]
    folder = out or runs[0].folder / ("comparison" if comparisons else "report")
    if comparisons:
        groups = {heading: names for each in comparisons for heading, names in examples.gained_and_lost(each).items()}
        clips = examples.clips_of(runs[0], groups)
    else:
        groups, clips = examples.best_and_worst(runs[0]), examples.best_middle_worst(runs[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(total=sum(map(len, groups.values())) + len(clips), desc="samples and videos", unit="item") as bar:
        shown = {heading: examples.show_all(runs, names, bar) for heading, names in groups.items()}
        videos = examples.write_overlay_videos(runs, clips, folder, bar)
    page = report_page(runs, comparisons, {heading: found for heading, found in shown.items() if found}, videos)
    if comparisons:
        content = {"comparisons": [each.to_json() for each in comparisons]}
        write_text_atomic(folder / COMPARISON, json.dumps(content, indent=2) + "\n")
        print("\n" + "\n\n".join(comparison_table(each).to_text() for each in comparisons) + "\n")
    write_text_atomic(folder / PAGE, page)
    print(f"page: {folder / PAGE}")
    return folder / PAGE
