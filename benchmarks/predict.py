"""CPU time of ``tavlo predict`` with overlay videos, and its peak memory for a short and a long video.

Every measurement is a process of its own. The weights are random, which does not change the time.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.decode import DURATION_S, WORLD
from benchmarks.model import build_tavlo
from benchmarks.report import ROOT, ratio, single, write
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.media import write_clip
from tavlo_pl.data.synthetic.write import SyntheticJob, write_job
from tavlo_pl.nn.visual import ResNet18
from tavlo_pl.predict.folder import PredictionFolder, PredictOptions
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.run import predict_all

ROUNDS = 3
MAPS_PER_SECOND = 4.0
LONG_S = (60, 600)
SMALL = (90, 160)
LONG_IMAGE_SIZE = 64
"""Small frames, so that the long video takes a minute; memory of a batch is the same for both lengths."""


def write_long(path: Path, seconds: int) -> None:
    """Writes a long video with small frames."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (*SMALL, 3)).astype(np.uint8)
    frames = (np.roll(texture, number, axis=1) for number in range(seconds * 5))
    write_clip(path, frames, 5, rng.normal(0, 0.1, seconds * 16_000).astype(np.float32), 16_000)


def predict(path: Path, out: Path, image_size: int) -> None:
    """Predicts a video and prints its time without imports, and the peak memory of this process."""
    model = build_tavlo(ROOT / "configs/model/tavlo.yaml", ResNet18(weights="none", stride=16)).eval()
    spec = ClipSpec(segments=10, duration_s=10.0, image_size=image_size, mel_bands=64, columns_per_segment=100)
    localizer = Localizer(model, spec, None, torch.device("cpu"))
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    folder = PredictionFolder(out, PredictOptions(maps_per_second=MAPS_PER_SECOND), {})
    predict_all([("clip", path)], lambda: localizer, folder, progress=False)
    taken = {"wall_s": time.monotonic() - began_s, "cpu_s": time.process_time() - began_cpu_s}
    print(json.dumps({**taken, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure(path: Path, out: Path, image_size: int) -> dict[str, float]:
    """Elapsed and CPU seconds, and peak memory of a process that predicts a video."""
    command = [sys.executable, "-m", "benchmarks.predict", str(path), str(out), str(image_size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    taken: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return taken


def main() -> None:
    """Measures and writes the results."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_job(SyntheticJob(WORLD, folder / "world", "train", None, 0))
        (clip,) = (folder / "world").rglob("*.mp4")
        runs = [measure(clip, folder / f"out{number}", 224) for number in range(ROUNDS)]
        cpu_s = [run["cpu_s"] for run in runs]
        detail = f"{min(cpu_s):.1f} s CPU, {min(run['wall_s'] for run in runs):.1f} s elapsed, without imports"
        name = f"{DURATION_S:.0f} s of 640×360, 4 maps a second, with overlay video"
        rows = [ratio(name, [DURATION_S] * ROUNDS, cpu_s, "× real time, by CPU time", detail)]
        peaks = []
        for seconds in LONG_S:
            write_long(folder / f"{seconds}.mp4", seconds)
            peaks.append(measure(folder / f"{seconds}.mp4", folder / str(seconds), LONG_IMAGE_SIZE)["peak_mib"])
        detail = f"{peaks[1]:.0f} MiB against {peaks[0]:.0f}"
        name = f"memory of {LONG_S[1]} s of video"
        rows.append(single(name, peaks[1] / peaks[0], f"× of {LONG_S[0]} s", detail))
    write("predict", rows)


if __name__ == "__main__":
    predict(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])) if len(sys.argv) > 2 else main()
