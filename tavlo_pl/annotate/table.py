"""One Parquet table of all proposals of a project."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tavlo_pl.annotate.frames import instance_to_json
from tavlo_pl.annotate.project import Project
from tavlo_pl.io.atomic import atomic_path

SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("frame", pa.int64()),
        ("time_s", pa.float64()),
        ("region_start_s", pa.float64()),
        ("region_end_s", pa.float64()),
        ("sharpness", pa.float64()),
        ("tag", pa.string()),
        ("tag_score", pa.float64()),
        ("by", pa.string()),
        ("id", pa.string()),
        ("category", pa.string()),
        ("score", pa.float64()),
        ("left", pa.float64()),
        ("top", pa.float64()),
        ("width", pa.float64()),
        ("height", pa.float64()),
    ]
)
"""A row is a proposed instance; a frame without one has a row whose ``by`` is null."""

ROWS_AT_ONCE = 10_000


def write_proposals(project: Project, path: Path) -> int:
    """Writes the table; returns the number of proposed frames.

    Raises:
        AnnotationError: proposals of a clip cannot be read.
    """
    rows: list[dict[str, Any]] = []
    frames = 0
    with atomic_path(path) as part, pq.ParquetWriter(part, SCHEMA) as writer:
        for proposals in project.all_proposals():
            for frame in proposals.frames:
                frames += 1
                start_s, end_s = proposals.regions[frame.region]
                tag, tag_score = frame.tags[0] if frame.tags else (None, None)
                known = {
                    "clip": proposals.clip,
                    "frame": frame.record.number,
                    "time_s": frame.record.time_s,
                    "region_start_s": start_s,
                    "region_end_s": end_s,
                    "sharpness": frame.sharpness,
                    "tag": tag,
                    "tag_score": tag_score,
                }
                rows += [known | fields for fields in _instances(frame.record.instances)]
            if len(rows) >= ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    return frames


def _instances(instances: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for each in instances:
        box = instance_to_json(each.instance).get("bbox", [None] * 4)
        sides = dict(zip(("left", "top", "width", "height"), box, strict=True))
        provenance = each.provenance
        found.append(
            {"by": provenance.by, "id": each.id, "category": each.instance.category, "score": provenance.score, **sides}
        )
    return found or [{}]
