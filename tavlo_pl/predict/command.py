"""The command ``tavlo predict``: localizes all videos of the data module."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tavlo_pl.data import media
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.datasets.folder import VideoFolder
from tavlo_pl.engine.options import RayOptions, make_engine
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.remote import VideoPath
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.avatar_folder import AvatarPredictionFolder
from tavlo_pl.predict.checkpoint import NO_THRESHOLD, packaged_checkpoint_note, read_checkpoint, threshold_of
from tavlo_pl.predict.folder import PredictionFolder, PredictOptions
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.run import predict_all
from tavlo_pl.run import directory

PREDICT_OPTIONS = tuple(PredictOptions.__dataclass_fields__)


def predict(
    model: AVLocalizer,
    datamodule: ClipDataModule,
    ckpt_path: str | None,
    *,
    prepare: Callable[[AVLocalizer, str | None], torch.device],
    folder: Path,
    remote: OutputFolder | None,
    videos: VideoFolder,
    found: Sequence[tuple[str, VideoPath]],
    config: Mapping[str, Any],
    is_packaged: bool,
) -> None:
    """Writes heatmaps and overlay videos of the videos of ``data.root``, in this process or on Ray.

    Args:
        model: the model.
        datamodule: says how clips are read.
        ckpt_path: checkpoint with the weights and the threshold; None for random weights.
        prepare: loads the checkpoint into the model and returns the device; called if a video is left to write.
        folder: where the files go.
        remote: the output folder in object storage, where the files of ``folder`` go.
        videos: where the videos are searched; its notes are printed.
        found: the videos to localize.
        config: the parsed command line: ``trainer``, ``overwrite`` and the options of `PredictOptions` and
            `EngineOptions`.
        is_packaged: whether the checkpoint is the packaged one.

    Raises:
        ConfigError: a file of the folder would be replaced, or Ray cannot be used.
        RunFailedError: some videos failed; all others are written.
    """
    options = PredictOptions(**{name: config[name] for name in PREDICT_OPTIONS})
    media.select_streams(options.video_stream, options.audio_stream)
    threshold = threshold_of(read_checkpoint(Path(ckpt_path))) if ckpt_path else None
    note = f"Note: {packaged_checkpoint_note()}." if is_packaged else None
    if is_packaged or threshold is None:
        print(note or f"Note: {NO_THRESHOLD}.", flush=True)
    mark = directory.fingerprint(ckpt_path)
    made_with = {"checkpoint": mark and mark["sha256"], "spec": asdict(datamodule.clip)}
    made_with |= {"streams": media.selected_streams(), **({"note": note} if note else {})}

    def make_localizer() -> Localizer:
        return Localizer(model, datamodule.clip, threshold, prepare(model, ckpt_path))

    has_bar = config["trainer"]["enable_progress_bar"] is not False
    made_folder = AvatarPredictionFolder if options.layout == "avatar" else PredictionFolder
    predictions = made_folder(folder, options, made_with, remote)
    for line in videos.notes():
        print(line, flush=True)
    if config["engine"] == "local":
        predict_all(found, make_localizer, predictions, config["overwrite"], progress=has_bar)
        return
    with make_engine(config["engine"], 1, RayOptions(**config["ray"])) as engine:
        predict_all(found, make_localizer, predictions, config["overwrite"], progress=has_bar, engine=engine)
