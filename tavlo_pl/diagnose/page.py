"""The diagnosis to look at: a table for the screen, and one HTML page that needs no other file."""

import io
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from tavlo_pl.diagnose import probes
from tavlo_pl.diagnose.measures import Figure
from tavlo_pl.diagnose.perturbations import Maps
from tavlo_pl.diagnose.probes import Diagnosis
from tavlo_pl.types import Batch
from tavlo_pl.viz.colormap import colour
from tavlo_pl.viz.overlay import Scale, blend, contact_sheet, outline, resize, resize_mask
from tavlo_pl.viz.page import drawing, facts, grid, html_page, paragraph, picture, section, table_html
from tavlo_pl.viz.plots import Interval, interval_plot
from tavlo_pl.viz.table import Table

SHOWN_CLIPS = 4
PICTURE_HEIGHT_PX = 120

SPEAKS = {True: "+", False: "-", None: ""}
VERDICTS = {True: "This speaks for the model.", False: "This speaks against the model.", None: ""}
DECIDES = " It decides."

TRIALS = (
    "Frames under their maps, one scale a clip: what its own sound lights most is opaque. "
    "The source is outlined where it is annotated."
)


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """One row a figure, and below what each probe says of the model."""
    rows = []
    for finding in diagnosis.findings:
        mark = f"{finding.name}{' *' * finding.decides} {SPEAKS[finding.passed]}".strip()
        for name, (value, low, high) in finding.figures.items():
            rows.append([mark, _words(name), f"{value:.3f}", f"{low:.3f} to {high:.3f}"])
            mark = ""
    return Table(
        title="Does the model listen?",
        header=["probe", "figure", "value", "95 % interval"],
        rows=rows,
        notes=[
            "+ speaks for the model, - against it; * decides. Intervals: bootstrap by clip.",
            *(f"{finding.name}: {finding.sentence}" for finding in diagnosis.findings),
        ],
    )


def diagnosis_page(clips: Batch, maps: Maps, diagnosis: Diagnosis, origin: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        clips: what was shown.
        maps: what the model made of it.
        diagnosis: what that means.
        origin: what was diagnosed, and how; the last table.

    Returns:
        HTML with all pictures in it.
    """
    drawn = {"centre": _centre_picture(maps)}
    return html_page(
        "This model listens" if diagnosis.listens else "This model leaks",
        [
            section("Verdict", paragraph(diagnosis.sentence), _rules()),
            section("The same moments in every trial", paragraph(TRIALS), _trials(clips, maps)),
            *(
                section(
                    finding.question,
                    paragraph(f"{finding.sentence} {VERDICTS[finding.passed]}{DECIDES * finding.decides}"),
                    _plot(finding.figures),
                    drawn.get(finding.name, ""),
                )
                for finding in diagnosis.findings
            ),
            section("All figures", table_html(diagnosis_table(diagnosis))),
            section("What was diagnosed", facts({_words(name): str(value) for name, value in origin.items()})),
        ],
    )


def _plot(figures: Mapping[str, Figure]) -> str:
    """The figures of a probe with their intervals on one axis."""
    named = {f"{_words(name)}: {figure.value:.3f}": {"": Interval(*figure)} for name, figure in figures.items()}
    return drawing(interval_plot(named, ""))


def _trials(clips: Batch, maps: Maps) -> str:
    """One column a trial, the same few clips in each."""
    late = maps.shifted.shape[1]
    columns: dict[str, Tensor | None] = {"picture": None, "own sound": maps.own, "another clip's": maps.wrong[:, 0]}
    if late:
        columns[f"own, {late} segment{'s' * (late > 1)} late"] = maps.shifted[:, -1]
    columns |= {_words(name): heard for name, heard in maps.made_up.items()}
    columns["mirrored"] = maps.flipped
    sheets = [
        picture(_png(contact_sheet([[draw] for draw in _column(clips, maps.own, trial, name == "mirrored")])), name)
        for name, trial in columns.items()
    ]
    return grid(sheets, PICTURE_HEIGHT_PX)


def _column(clips: Batch, own: Tensor, trial: Tensor | None, mirrored: bool) -> list[np.ndarray]:
    """A moment of each of the first clips, under its map in a trial."""
    drawn = []
    for row in range(min(SHOWN_CLIPS, len(own))):
        segment, mask = _moment(clips, row, own.shape[1])
        plain = resize(clips["frames"][row, segment].permute(1, 2, 0).numpy(), PICTURE_HEIGHT_PX)
        if mirrored:
            plain = np.ascontiguousarray(plain[:, ::-1])
            mask = None if mask is None else mask[:, ::-1]
        if trial is not None:
            plain = blend(plain, Scale.of(own[row].numpy())(trial[row, segment].numpy()))
        drawn.append(plain if mask is None else outline(plain, resize_mask(mask, plain.shape[:2])))
    return drawn


def _moment(clips: Batch, row: int, segments: int) -> tuple[int, np.ndarray | None]:
    """The first annotated segment of a clip and its source, or its middle and nothing."""
    truth = probes.on_screen(clips.get("targets"))
    found = [] if truth is None else (truth.row == row).nonzero()[:, 0].tolist()
    if truth is None or not found:
        return segments // 2, None
    return int(truth.segment[found[0]]), truth.mask[found[0]].numpy()


def _centre_picture(maps: Maps) -> str:
    """The mean of all maps beside the centred disk."""
    pair = [maps.own.mean((0, 1)).numpy(), probes.centred_disk_of_cells(maps.own).numpy()]
    drawn = [resize(colour(Scale.of(each)(each)), PICTURE_HEIGHT_PX) for each in pair]
    return picture(_png(contact_sheet([drawn], 8)), "Mean of all maps, and the centred disk.")


def _rules() -> str:
    items = "".join(f"<li>{escape(rule)}</li>" for rule in probes.RULES)
    return f"<p>A model listens if all of this holds of it, and leaks otherwise:</p><ul>{items}</ul>"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
