"""Diagnoses a model on clips of a data module and writes the results."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from tavlo_pl.data.collate import collate
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.dataset import Entry
from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.data.synthetic.twins import TwinClips, twin_clips
from tavlo_pl.diagnose.page import diagnosis_page, diagnosis_table
from tavlo_pl.diagnose.perturbations import Localize, Maps, perturbed_maps
from tavlo_pl.diagnose.probes import RULES, Diagnosis, diagnose, synchrony
from tavlo_pl.errors import ConfigError, MediaError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME
from tavlo_pl.types import Batch, Scenario

MAX_CLIPS = 96
"""Maximum number of clips, drawn from the test list: the intervals are about ±0.1, in a minute on two cores."""

TWIN_CLIPS = 48
"""Clips of two equal objects for the probe of synchrony."""

JSON = "diagnose.json"
PAGE = "diagnose.html"

log = logging.getLogger(__name__)


class Examined(NamedTuple):
    """The clips, the maps of the model under all perturbations, and the diagnosis."""

    clips: Batch
    maps: Maps
    diagnosis: Diagnosis
    wall_time_s: float


def examine(localize: Localize, data: ClipDataModule, seed: int = 0) -> Examined:
    """Diagnoses a model on test clips.

    Args:
        localize: the model.
        data: provides the ``test`` clips and the batch size.
        seed: of the selection of clips.

    Raises:
        ConfigError: fewer than two clips.
        MediaError: a clip cannot be read, and ``data.bad_clips.action`` is not ``skip``.
    """
    started_s = time.monotonic()
    clips = load_clips(data, seed)
    maps = perturbed_maps(
        localize, clips["frames"], clips["waveform"], data.audio_transform, SAMPLE_RATE_HZ, data.batch_size
    )
    diagnosis = diagnose(maps, clips.get("targets"))
    if data.clip.segments > 1:
        diagnosis.findings.append(synchrony(*_of_twins(localize, data, seed)))
    return Examined(clips, maps, diagnosis, round(time.monotonic() - started_s, 1))


def _of_twins(localize: Localize, data: ClipDataModule, seed: int) -> tuple[Tensor, TwinClips]:
    """(N, T, h, w) maps of clips of two equal objects, and the clips."""
    twins = twin_clips(data.clip, TWIN_CLIPS, seed)
    frames = torch.from_numpy(twins.frames).permute(0, 1, 4, 2, 3)
    spectrogram = data.audio_transform(torch.from_numpy(twins.waveform))
    batches = zip(frames.split(data.batch_size), spectrogram.split(data.batch_size), strict=True)
    return torch.cat([localize(*batch) for batch in batches]), twins


def load_clips(data: ClipDataModule, seed: int) -> Batch:
    """Up to ``MAX_CLIPS`` test clips as one batch; each clip once, without clips annotated as off-screen only."""
    data.test_protocol = AVATAR_PER_FRAME  # shows annotated frames, so that each has a map of its own
    data.setup("test")
    dataset = data.datasets["test"]
    chosen = choose(dataset.entries, seed)
    loader = DataLoader(Subset(dataset, chosen), batch_size=None, num_workers=data.num_workers)
    items = list(tqdm(loader, desc="clips", unit="clip"))
    bad = [clip for item in items for clip in item.bad_clips]
    if bad and data.bad_clips.action == "error":
        raise MediaError(f"{bad[0].reason} (To leave such clips out: --data.bad_clips.action skip)")
    for clip in bad:
        log.warning("Left out: %s", clip.reason)
    good = [item for item in items if not item.bad_clips]
    if len(good) < 2:
        raise ConfigError(
            f"diagnose combines clips with the audio of other clips and found {len(good)} in the test list; data.test "
            "needs two or more clips whose source is on-screen"
        )
    return collate(good)


def choose(entries: Sequence[Entry], seed: int) -> list[int]:
    """Indices of the entries to use, in random order, because neighbours in the list may be of one category."""
    chosen: dict[int, int] = {}
    for index in np.random.default_rng(seed).permutation(len(entries)).tolist():
        entry = entries[index]
        off_screen = entry.samples and all(each.sample.scenarios == (Scenario.OFF_SCREEN,) for each in entry.samples)
        if not off_screen and len(chosen) < MAX_CLIPS:
            chosen.setdefault(entry.number, index)
    return list(chosen.values())


def write(folder: Path, examined: Examined, provenance: dict[str, Any]) -> None:
    """Writes ``diagnose.json`` and ``diagnose.html`` and prints the table.

    Args:
        folder: run folder.
        examined: the diagnosis.
        provenance: model, data and version as plain values; written at the end of both files.
    """
    source = {"clips": len(examined.maps.own), **provenance, "wall_time_s": examined.wall_time_s}
    found = examined.diagnosis
    probes = {finding.name: finding._asdict() for finding in found.findings}
    for probe in probes.values():
        probe["figures"] = {name: figure._asdict() for name, figure in probe["figures"].items()}
    content = {
        "depends_on_audio": found.depends_on_audio,
        "verdict": found.sentence,
        "rules": RULES,
        "probes": probes,
        **source,
    }
    content["sample_ids"] = examined.clips["sample_id"]
    write_text_atomic(folder / JSON, json.dumps(content, indent=2) + "\n")
    write_text_atomic(folder / PAGE, diagnosis_page(examined.clips, examined.maps, found, source))
    print(f"\n{diagnosis_table(found).to_text()}\n\n{found.sentence}\n", flush=True)
