"""Exported models: size, CPU time and agreement of ONNX in float32 and with 8-bit weights (dynamic quantisation).

The clips are those of a folder in AVATAR's layout: ``python -m benchmarks.export --data .results/material/test``.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from benchmarks.report import Row, cpu_s, ratio, single, write
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.export.model import ExportedModel
from tavlo_pl.export.write import write as export
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tavlo_pl.types import Batch

ROUNDS = 5
Run = Callable[[Tensor, Tensor], Tensor]


def session(path: Path) -> Run:
    """The maps of an ONNX file, computed by one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = onnxruntime.InferenceSession(str(path), options)
    return lambda frames, waveform: torch.from_numpy(
        made.run(None, {"frames": frames.numpy(), "waveform": waveform.numpy()})[0]
    )


def pointing(maps: Tensor, batch: Batch) -> list[bool]:
    """Of each sample with a visible source, whether the centre of its highest cell is on the source."""
    targets = batch["targets"]
    hits = []
    for scores, mask in zip(targets.maps_of(maps)[targets.on_screen], targets.mask[targets.on_screen], strict=True):
        row, column = divmod(int(scores.argmax()), scores.shape[1])
        place = [
            int((cell + 0.5) * n / cells)
            for cell, n, cells in zip((row, column), mask.shape, scores.shape, strict=True)
        ]
        hits.append(bool(mask[place[0], place[1]] > 0))
    return hits


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, default=packaged_checkpoint())
    parser.add_argument("--clips", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    localizer = load_localizer(given.checkpoint, "cpu")
    data = ClipDataModule(test=AVATAR(given.data), clip=localizer.spec, batch_size=1, num_workers=0)
    data.setup("test")
    batches = [
        batch for batch, _ in zip(data.test_dataloader(), range(given.clips), strict=False) if "targets" in batch
    ]
    inputs = [
        (batch["frames"].contiguous(), batch["waveform"].unflatten(1, (localizer.spec.segments, -1)).contiguous())
        for batch in batches
    ]
    with tempfile.TemporaryDirectory() as folder:
        full, folded, small = (Path(folder, f"{name}.onnx") for name in ("full", "folded", "int8"))
        export(localizer, full, "onnx")
        quant_pre_process(full, folded, skip_symbolic_shape=True)  # weights of convolutions must be constants
        # ConvInteger of onnxruntime's CPU takes unsigned weights alone
        quantize_dynamic(folded, small, weight_type=QuantType.QUInt8)
        runs: dict[str, Run] = {"torch": ExportedModel(localizer).eval(), "ONNX": session(full), "int8": session(small)}
        sizes = {"ONNX": full.stat().st_size, "int8": small.stat().st_size}
        with torch.inference_mode():
            maps = {name: [run(*pair) for pair in inputs] for name, run in runs.items()}
            taken = {
                name: [cpu_s(lambda run=run: run(*inputs[0])) for _ in range(ROUNDS)] for name, run in runs.items()
            }
    write("export", rows(maps, taken, sizes, batches))


def rows(
    maps: dict[str, list[Tensor]], taken: dict[str, list[float]], sizes: dict[str, int], batches: list[Batch]
) -> list[Row]:
    """The results of all ways."""
    found: list[Row] = []
    hits = {
        name: np.mean([hit for each, batch in zip(own, batches, strict=True) for hit in pointing(each, batch)])
        for name, own in maps.items()
    }
    for name in ("ONNX", "int8"):
        pairs = list(zip(maps[name], maps["torch"], strict=True))
        largest = max(float((a - b).abs().max()) for a, b in pairs)
        same = np.mean([(a.flatten(-2).argmax(-1) == b.flatten(-2).argmax(-1)).float().mean().item() for a, b in pairs])
        milliseconds = {way: 1000 * statistics.median(taken[way]) for way in (name, "torch")}
        detail = f"{milliseconds[name]:.0f} ms CPU a clip against {milliseconds['torch']:.0f}"
        found += [
            single(f"{name}: size", sizes[name] / 2**20, "MiB"),
            ratio(f"{name}: time", taken[name], taken["torch"], "× torch", detail),
            single(f"{name}: largest difference of a score", largest, "", f"of {len(batches)} clips"),
            single(f"{name}: maps with the same peak cell", 100 * float(same), "%"),
            single(f"{name}: pointing", 100 * float(hits[name]), "%", f"torch: {100 * hits['torch']:.1f} %"),
        ]
    return found


if __name__ == "__main__":
    main()
