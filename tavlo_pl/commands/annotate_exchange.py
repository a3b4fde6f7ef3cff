"""``tavlo annotate export`` and ``tavlo annotate import``: the formats of other tools."""

import json
from pathlib import Path
from typing import Literal

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import write_text_atomic


def export(project: str, out: str, format: Literal["avatar", "coco", "cvat", "label_studio"]) -> None:  # noqa: A002
    """Writes the annotations of finished frames in the format of another tool.

    Args:
        project: folder of a project, or one in AVATAR's layout.
        out: a new folder (avatar; cvat: one XML file a clip), or a JSON file (coco, label_studio; the
            labelling configuration is written beside it, as .xml).
        format: AVATAR's layout, COCO instances with video ids, CVAT for video 1.1, or Label Studio JSON.

    Raises:
        DatasetNotFoundError: there is no annotated frame.
        AnnotationError: an annotation cannot be read.
        ConfigError: the folder is not empty.
    """
    from tavlo_pl.annotate.exchange import coco, cvat, label_studio
    from tavlo_pl.annotate.exchange.tree import annotated, read_tree, write_tree

    tree, path = read_tree(Path(project)), Path(out)
    lost: tuple[str, ...] = ()
    if format == "avatar":
        write_tree(tree, Path(project), path)
    elif format == "coco":
        _write(path, json.dumps(coco.to_coco(tree)) + "\n")
    elif format == "label_studio":
        lost = label_studio.LOST
        _write(path, json.dumps(label_studio.to_label_studio(tree)) + "\n")
        _write(path.with_suffix(".xml"), label_studio.to_config(tree))
    else:
        lost = cvat.LOST
        for clip, frames in tree.items():
            _write(path / f"{clip}.xml", cvat.to_cvat(clip, frames))
    instances, total = len(list(annotated(tree))), sum(map(len, tree.values()))
    print(f"export: {instances:,} instances in {total:,} frames of {len(tree):,} clips: {path}")
    if lost:
        print(f"this format does not hold: {', '.join(lost)}")


def import_(file: str, out: str, format: Literal["coco", "cvat"], overwrite: bool = False) -> None:  # noqa: A002
    """Reads the annotations of another tool into a project, or into a new folder in AVATAR's layout.

    Args:
        file: a JSON file (coco), or an XML file or a folder of them (cvat).
        out: a project, or a new folder.
        format: COCO instances with video ids, or CVAT for video 1.1.
        overwrite: replace frames of the project that are decided; their earlier states remain in the journal.

    Raises:
        AnnotationError: a file cannot be read.
        ConfigError: the project lacks a clip, another annotator works on one, or the new folder is not empty.
    """
    from tavlo_pl.annotate.exchange.coco import read_coco
    from tavlo_pl.annotate.exchange.cvat import read_cvat
    from tavlo_pl.annotate.exchange.merge import merge
    from tavlo_pl.annotate.exchange.tree import write_tree
    from tavlo_pl.annotate.project import PROJECT_FILE, Project

    path, folder = Path(file), Path(out)
    if not path.exists():
        raise ConfigError(f"--file {path}: no such file or folder")
    tree = read_coco(path) if format == "coco" else read_cvat(path)
    if (folder / PROJECT_FILE).is_file():
        saved, kept = merge(Project.open(folder), tree, f"import of {format}", overwrite)
        print(f"import: {saved:,} frames saved, {kept:,} kept that are decided (--overwrite true replaces them)")
    else:
        write_tree(tree, folder, folder)
        print(f"import: {sum(map(len, tree.values())):,} frames of {len(tree):,} clips in {folder}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, text)
