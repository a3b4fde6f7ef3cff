"""The diagnosis as a table for the terminal and as one self-contained HTML page."""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from tavlo_pl.diagnose import probes
from tavlo_pl.diagnose.measures import Figure
from tavlo_pl.diagnose.perturbations import Maps
from tavlo_pl.diagnose.probes import Diagnosis, Finding
from tavlo_pl.types import Batch
from tavlo_pl.viz.colormap import colour
from tavlo_pl.viz.overlay import Scale, blend, contact_sheet, outline, resize, resize_mask
from tavlo_pl.viz.page import render
from tavlo_pl.viz.plots import Interval, interval_plot
from tavlo_pl.viz.table import Table

SHOWN_CLIPS = 4
FRAME_HEIGHT_PX = 120
MARKS = {True: "+", False: "-", None: ""}


class FindingSection(NamedTuple):
    """Variables of the template for one probe.

    Attributes:
        finding: the result.
        svg: plot of its values with their intervals.
        image: bytes of a PNG file, for the centre prior: the mean of all maps beside the centred disk.
    """

    finding: Finding
    svg: str
    image: bytes | None


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """One row a value, and the sentence of each probe as a note."""
    rows = []
    for finding in diagnosis.findings:
        name = f"{finding.name}{' *' * finding.decisive} {MARKS[finding.passed]}".strip()
        for figure_name, (value, low, high) in finding.figures.items():
            rows.append([name, _plain(figure_name), f"{value:.3f}", f"{low:.3f} to {high:.3f}"])
            name = ""
    return Table(
        title="Do the heatmaps depend on the audio?",
        header=["probe", "measure", "value", "95 % interval"],
        rows=rows,
        notes=[
            "+ passed, - failed, * decisive. Intervals: bootstrap by clip.",
            *(f"{finding.name}: {finding.sentence}" for finding in diagnosis.findings),
        ],
    )


def diagnosis_page(clips: Batch, maps: Maps, diagnosis: Diagnosis, provenance: Mapping[str, Any]) -> str:
    """Renders the page.

    Args:
        clips: the clips.
        maps: of the model under all perturbations.
        diagnosis: the findings.
        provenance: model, data and version; the last table of the page.

    Returns:
        HTML with all images inside.
    """
    depends = "depend" if diagnosis.depends_on_audio else "do not depend"
    return render(
        __package__,
        "diagnose.html.j2",
        title=f"The heatmaps {depends} on the audio",
        diagnosis=diagnosis,
        rules=probes.RULES,
        examples=_examples(clips, maps),
        least_px=FRAME_HEIGHT_PX,
        findings=[_finding_section(finding, maps) for finding in diagnosis.findings],
        table=diagnosis_table(diagnosis),
        provenance=_flat(provenance),
    )


def _finding_section(finding: Finding, maps: Maps) -> FindingSection:
    return FindingSection(
        finding, _plot(finding.figures), _centre_image(maps) if finding.name == "centre_prior" else None
    )


def _plot(figures: Mapping[str, Figure]) -> str:
    """The values of a probe with their intervals on one axis."""
    named = {f"{_plain(name)}: {figure.value:.3f}": {"": Interval(*figure)} for name, figure in figures.items()}
    return interval_plot(named, "")


def _examples(clips: Batch, maps: Maps) -> dict[str, bytes]:
    """Perturbation -> PNG file with one frame of each of the first clips under its map."""
    delays = maps.shifted.shape[1]
    columns: dict[str, Tensor | None] = {
        "frame": None,
        "own audio": maps.own,
        "audio of another clip": maps.mismatched[:, 0],
    }
    if delays:
        columns[f"audio delayed by {delays} segment{'s' * (delays > 1)}"] = maps.shifted[:, -1]
    columns |= {_plain(name): each for name, each in maps.synthetic.items()}
    columns["mirrored frames"] = maps.mirrored
    return {
        name: _png(contact_sheet([[image] for image in _column(clips, maps.own, each, each is maps.mirrored)]))
        for name, each in columns.items()
    }


def _column(clips: Batch, own: Tensor, perturbed: Tensor | None, mirrored: bool) -> list[np.ndarray]:
    """One frame of each of the first clips, under its map if there is one; the scale is that of the own audio."""
    images = []
    for row in range(min(SHOWN_CLIPS, len(own))):
        segment, mask = _annotated_segment(clips, row, own.shape[1])
        image = resize(clips["frames"][row, segment].permute(1, 2, 0).numpy(), FRAME_HEIGHT_PX)
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            mask = None if mask is None else mask[:, ::-1]
        if perturbed is not None:
            image = blend(image, Scale.of(own[row].numpy())(perturbed[row, segment].numpy()))
        images.append(image if mask is None else outline(image, resize_mask(mask, image.shape[:2])))
    return images


def _annotated_segment(clips: Batch, row: int, segments: int) -> tuple[int, np.ndarray | None]:
    """The first annotated segment of a clip and its mask, or the middle segment and None."""
    truth = probes.on_screen(clips.get("targets"))
    found = [] if truth is None else (truth.row == row).nonzero()[:, 0].tolist()
    if truth is None or not found:
        return segments // 2, None
    return int(truth.segment[found[0]]), truth.mask[found[0]].numpy()


def _centre_image(maps: Maps) -> bytes:
    """The mean of all maps beside the centred disk, as a PNG file."""
    pair = [maps.own.mean((0, 1)).numpy(), probes.centred_disk_of_cells(maps.own).numpy()]
    drawn = [resize(colour(Scale.of(each)(each)), FRAME_HEIGHT_PX) for each in pair]
    return _png(contact_sheet([drawn], 8))


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Name -> text; nested mappings become one entry a value."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        parts = (
            {f"{name} {part}": each for part, each in value.items()} if isinstance(value, Mapping) else {name: value}
        )
        flat |= {_plain(part): str(each) for part, each in parts.items()}
    return flat


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
