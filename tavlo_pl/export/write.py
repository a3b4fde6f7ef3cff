"""Writes an exported model: ONNX by torch.onnx's exporter on top of torch.export, or torch.export's own file."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from tavlo_pl.errors import RunFailedError, TavloError
from tavlo_pl.export.model import INPUTS, OUTPUT, ExportedModel, example_inputs, metadata
from tavlo_pl.io import hub
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.extras import require
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tavlo_pl.predict.localizer import Localizer

Format = Literal["onnx", "torch_export"]

OPSET = 18
"""Of ONNX: the version that torch's exporter writes without conversion."""

METADATA_FILE = "tavlo.json"
"""Member of a file of torch.export with the metadata."""


def export_checkpoint(checkpoint: str | None, path: Path, kind: Format, allow_import: Sequence[str] = ()) -> None:
    """Writes the model of a checkpoint; see `write`.

    Args:
        checkpoint: a path or an address; None for the packaged checkpoint.
        path: the new file.
        kind: its format.
        allow_import: see `load_localizer`.

    Raises:
        ConfigError: the extra ``export`` is not installed, or the clip format cannot be exported.
        CheckpointError: the checkpoint is missing or unreadable.
        RunFailedError: the model has an operation that the exporter does not convert.
    """
    if kind == "onnx":
        for package in ("onnx", "onnxscript"):
            require(package, "export", "--format onnx")
    source = packaged_checkpoint() if checkpoint is None else hub.local_path(checkpoint)
    localizer = load_localizer(source, "cpu", allow_import)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _quiet():
            write(localizer, path, kind)
    except (TavloError, OSError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise RunFailedError(f"{source}: its model cannot be exported to {kind}: {reason}") from error


def write(localizer: Localizer, path: Path, kind: Format) -> None:
    """Writes a model with free B and T; inputs and output are those of the table in ``tavlo_pl.export.model``.

    Args:
        localizer: model, clip format and threshold, on the CPU.
        path: the new file.
        kind: ``onnx``, or ``torch_export`` for ``torch.export.load``.

    Raises:
        ConfigError: the clip format has no whole number of samples a segment.
    """
    about = {name: json.dumps(value) for name, value in metadata(localizer).items()}
    program = capture(ExportedModel(localizer).eval(), example_inputs(localizer.spec))
    if kind == "torch_export":
        with atomic_path(path) as part, part.open("wb") as file:
            torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(about)})
        return
    names: dict[str, Any] = {"input_names": INPUTS, "output_names": [OUTPUT], "opset_version": OPSET}
    converted = torch.onnx.export(program, **names, dynamo=True, verbose=False)
    assert converted is not None
    converted.model.metadata_props.update(about)
    with atomic_path(path) as part:
        converted.save(part, external_data=False)


def capture(module: ExportedModel, example: tuple[Tensor, Tensor]) -> ExportedProgram:
    """Traces the module with free B and T.

    Args:
        module: in evaluation mode.
        example: frames and samples.
    """
    free: dict[int, Any] = {0: Dim("B"), 1: Dim("T")}
    with torch.no_grad():
        return torch.export.export(module, example, dynamic_shapes=(free, free), strict=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides the warnings of the exporters, which concern their own code."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
