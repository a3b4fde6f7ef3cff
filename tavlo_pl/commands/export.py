"""``tavlo export``: the model of a checkpoint as one file that runs without this package."""

from pathlib import Path
from typing import Any, Literal

from jsonargparse import auto_cli

from tavlo_pl.commands import ShortErrors, to_exit_code


def export(
    out: str,
    ckpt_path: str | None = None,
    format: Literal["onnx", "torch_export"] = "onnx",  # noqa: A002  # the name of the option
    allow_import: list[str] = [],  # noqa: B006  # a list, so that jsonargparse parses one; it is not changed
) -> None:
    """Writes a model with its audio front end: frames and samples of any number of clips and segments to heatmaps.

    Args:
        out: the new file, such as model.onnx or model.pt2.
        ckpt_path: checkpoint written by tavlo fit, or hf://owner/name. Default: the packaged one.
        format: onnx for onnxruntime and others, or torch_export for torch.export.load.
        allow_import: packages whose classes the configuration of the checkpoint may name.

    Raises:
        ConfigError: the extra ``export`` is not installed, or the clip format cannot be exported.
        CheckpointError: the checkpoint is missing or unreadable.
        RunFailedError: the model has an operation that the exporter does not convert.
    """
    from tavlo_pl.export.write import export_checkpoint  # it imports torch, which --help does not need

    export_checkpoint(ckpt_path, Path(out), format, allow_import)
    print(f"written: {out} ({Path(out).stat().st_size / 2**20:.1f} MiB)")


def main(args: list[str]) -> int:
    """Runs ``tavlo export …`` and returns the exit code.

    Args:
        args: the arguments after ``tavlo export``.
    """
    settings: dict[str, Any] = {"prog": "tavlo export", "parser_class": ShortErrors}
    return to_exit_code("export", lambda: auto_cli(export, args=args, as_positional=False, **settings))
