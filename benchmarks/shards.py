"""Reading training clips from shards and from MP4: clips per second, time to the first batch, and size.

Synthetic clips, 640 x 360 at 30 fps, 10 s; T = 10 frames of 224 x 224 pixels and the audio, as a data loader process
makes them, on one core. Rounds alternate between both formats and count CPU time. Other programs share the caches and
the core, so the ratio is given for the sum of each round and for the fastest reading of each clip.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.decode import WORLD
from benchmarks.report import Row, cpu_s, ratio, single, wall_s, write
from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.dataset import ClipDataset
from tavlo_pl.data.datasets.vggsound import VGGSound
from tavlo_pl.data.shards.format import ENTRY, INDEX, ShardSpec
from tavlo_pl.data.shards.source import Shards
from tavlo_pl.data.shards.write import write_shards
from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.data.synthetic.write import SyntheticJob, write_job
from tavlo_pl.data.transforms import DEFAULT_AUGMENT
from tavlo_pl.engine.local import LocalEngine

CLIPS = 6
ROUNDS = 20

LISTED = 200_000


def read_all(dataset: ClipDataset, epoch: int) -> list[float]:
    """CPU seconds of each training item of an epoch."""
    return [cpu_s(partial(dataset.__getitem__, (epoch, index))) for index in range(len(dataset))]


def first_batch(source: ClipSource) -> None:
    """Sets up a data module and loads one batch of all clips."""
    data = ClipDataModule(train=source, batch_size=CLIPS, num_workers=0)
    data.setup("fit")
    next(iter(data.train_dataloader()))


def listing_s(shards: Path) -> float:
    """Seconds to list the clips of an index of 200,000 rows."""
    row = pq.read_table(shards / INDEX).to_pylist()[0]
    many = shards / "many"
    many.mkdir()
    (many / "shards.json").write_bytes((shards / "shards.json").read_bytes())
    rows = [{**row, "sample_id": f"{number:011d}_000000", "shard": number // 256} for number in range(LISTED)]
    pq.write_table(pa.Table.from_pylist(rows, schema=ENTRY), many / INDEX)
    return min(wall_s(lambda: len(Shards(str(many)).clips())) for _ in range(3))


def main() -> None:
    """Measures and writes the results."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        world, shards = Path(folder, "world"), Path(folder, "shards")
        for number in range(CLIPS):
            write_job(SyntheticJob(WORLD, world, "train", None, number))
        videos = VGGSound(str(world), split=None)
        clips: Sequence[Clip] = videos.clips()
        writing_s = cpu_s(lambda: write_shards(clips, shards, ShardSpec(), LocalEngine(1)))
        sources: dict[str, ClipSource] = {"mp4": videos, "shards": Shards(str(shards))}
        datasets = {
            name: ClipDataset(source.clips(), "train", augment=DEFAULT_AUGMENT) for name, source in sources.items()
        }
        rounds = [{name: read_all(dataset, epoch) for name, dataset in datasets.items()} for epoch in range(ROUNDS)]
        seconds = {name: np.array([taken[name] for taken in rounds]) for name in datasets}  # (rounds, clips)
        log_mel = LogMel(10, 100)
        waveform = datasets["shards"][0, 0].waveform[None]
        log_mel_s = min(cpu_s(lambda: log_mel(waveform)) for _ in range(ROUNDS))
        first_s = {
            name: min(wall_s(partial(first_batch, source)) for _ in range(3)) for name, source in sources.items()
        }
        sizes = {
            "mp4": sum(clip.path.stat().st_size for clip in clips),
            "shards": sum(path.stat().st_size for path in shards.glob("shards/*.arrow")),
        }
        listed_s = listing_s(shards)
    fastest = {name: values.min(0).mean() for name, values in seconds.items()}  # each clip's fastest reading
    rows: list[Row] = []
    for name, values in seconds.items():
        detail = (
            f"{1000 * fastest[name]:.1f} ms CPU a clip, {1000 * first_s[name]:.0f} ms to the first batch of {CLIPS}"
        )
        detail += f", {sizes[name] / CLIPS / 1e6:.2f} MB a clip"
        rates = sorted(1 / values.mean(1))
        rows.append(
            Row(f"from {name}", float(np.median(rates)), rates[0], rates[-1], "clips a second and core", detail)
        )
    mp4, stored = seconds["mp4"].mean(1), seconds["shards"].mean(1)
    rows.append(ratio("reading from shards", list(mp4), list(stored), "× faster than from mp4"))
    by_fastest = fastest["mp4"] / fastest["shards"]
    rows.append(single("reading from shards, each clip's fastest of all rounds", by_fastest, "× faster than from mp4"))
    mp4_mel, stored_mel = (list(values + log_mel_s) for values in (mp4, stored))
    detail = f"{1000 * log_mel_s:.1f} ms CPU of log-mel a clip"
    rows.append(ratio("reading from shards, and the log-mel", mp4_mel, stored_mel, "× faster than from mp4", detail))
    detail = f"{1000 * writing_s / CLIPS:.0f} ms CPU a clip"
    rows.append(single("writing shards", writing_s / CLIPS / fastest["mp4"], "× reading an mp4 once", detail))
    rows.append(single(f"listing {LISTED:,} clips", listed_s, "s"))
    write("shards", rows)


if __name__ == "__main__":
    main()
