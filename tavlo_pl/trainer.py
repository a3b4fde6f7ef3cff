"""Lightning's Trainer with the command ``diagnose``, and how weights get into a model."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from typing_extensions import override

from tavlo_pl import __version__, env
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.diagnose import run as diagnosis
from tavlo_pl.engine.options import EngineOptions
from tavlo_pl.metrics.protocols import ProtocolOptions
from tavlo_pl.models.allocation import limited_allocation
from tavlo_pl.models.base import AVLocalizer, for_metrics
from tavlo_pl.predict.checkpoint import read_checkpoint, weights_of
from tavlo_pl.predict.folder import PredictOptions
from tavlo_pl.run import directory
from tavlo_pl.run.results import describe_test_data

COMMAND_OPTIONS: dict[str, tuple[Any, ...]] = {"predict": (PredictOptions, EngineOptions), "test": (ProtocolOptions,)}
"""Command -> dataclasses with further options, which are not part of the configuration of a run."""

SETUP_STAGES = {"fit": "fit", "validate": "validate", "test": "test", "diagnose": "test"}
"""Command -> stage whose clips it reads."""

TRAINER_DEFAULTS = {
    "use_distributed_sampler": False,  # the samplers of the data module count no clip twice
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 5,
}


class CheckedCLI(LightningCLI):
    """Reads the data before it makes the model, and limits what the model allocates."""

    command: str
    videos: Sequence[str]

    @override
    def instantiate_classes(self) -> None:
        """Creates data, model and Trainer.

        The lists of the clips are read first: then nothing is downloaded if they are missing. The model allocates at
        most a multiple of its checkpoint, whose configuration is untrusted.
        """
        data = read_data(self.parser, self.config, self.command, self.videos)
        with limited_allocation(self.config[self.config.subcommand].ckpt_path):
            super().instantiate_classes()
        self.datamodule = data


class TavloTrainer(Trainer):
    """Lightning's Trainer with one command more."""

    def prepare(self, model: AVLocalizer, ckpt_path: str | None) -> torch.device:
        """Loads weights into a model, moves it to the device and sets evaluation mode.

        Args:
            model: the model.
            ckpt_path: checkpoint to load; None keeps the weights.

        Returns:
            The device.

        Raises:
            CheckpointError: the checkpoint is missing or unreadable.
        """
        load_weights(model, ckpt_path)
        model.to(self.strategy.root_device).eval()
        return self.strategy.root_device

    def warn_of_random_encoders(self, model: AVLocalizer, ckpt_path: str | None) -> None:
        """Prints a sentence if frozen encoders have random weights: none were given, and no checkpoint restores them.

        Args:
            model: the model, as it was made.
            ckpt_path: checkpoint from which it continues or that is evaluated.
        """
        names = model.random_encoders()
        if names and ckpt_path is None and env.process_number() == 0:
            options = " and ".join(f"--model.init_args.{name}.init_args.weights" for name in names)
            print(
                f"Warning: frozen encoders of the model have random weights ({', '.join(names)}), so the model learns "
                f"from random features; give {options}",
                file=sys.stderr,
                flush=True,
            )

    def diagnose(
        self, model: AVLocalizer, datamodule: ClipDataModule, ckpt_path: str | None = None
    ) -> diagnosis.Examined:
        """Tests by probes whether the maps of a model depend on the audio; one process, full precision.

        Args:
            model: the model.
            datamodule: its test clips are used.
            ckpt_path: Checkpoint whose weights are diagnosed.
        """
        device = self.prepare(model, ckpt_path)
        with torch.inference_mode():
            return diagnosis.examine(
                lambda frames, spectrogram: for_metrics(model.localize(frames.to(device), spectrogram.to(device))),
                datamodule,
            )

    def write_diagnosis(self, folder: Path, config: Mapping[str, Any], ckpt_path: str | None, **kwargs: Any) -> None:
        """Writes the report of `diagnose`.

        Args:
            folder: the run folder.
            config: the resolved configuration as plain values.
            ckpt_path: checkpoint whose weights are diagnosed.
            kwargs: model and data module.
        """
        about = {"checkpoint": directory.fingerprint(ckpt_path), "version": __version__}
        about["data"] = describe_test_data(config)
        diagnosis.write(folder, self.diagnose(ckpt_path=ckpt_path, **kwargs), about)


def read_data(parser: ArgumentParser, config: Namespace, command: str, videos: Sequence[str]) -> ClipDataModule:
    """Makes the data module of a command line, and reads the lists and annotations of its clips.

    Args:
        parser: of the command line.
        config: the parsed command line.
        command: fit, validate, test, predict or diagnose.
        videos: to predict, with their own names, which may not be UTF-8; empty for those of the configuration.

    Raises:
        DatasetNotFoundError: clips are missing.
        AnnotationError: a list or an annotation cannot be read.
    """
    part = config.clone()
    for name in [name for name in vars(part[command]) if name != "data"]:
        part[command].pop(name)
    made: ClipDataModule = parser.instantiate_classes(part)[command].data
    made.root = list(videos) or made.root
    if command in SETUP_STAGES:
        made.read_clips(SETUP_STAGES[command])
    return made


def use_protocol(model: AVLocalizer, datamodule: ClipDataModule, options: Mapping[str, Any]) -> None:
    """Sets how the test clips are evaluated; the data set has a default.

    A model that takes each frame for itself is shown the annotated frames, where the protocol interpolates in time.

    Args:
        model: the model.
        datamodule: its test clips.
        options: those of `ProtocolOptions`, and others.

    Raises:
        ConfigError: see `ProtocolOptions.chosen`.
    """
    chosen = ProtocolOptions(**{name: options[name] for name in ProtocolOptions.__dataclass_fields__})
    protocol = chosen.chosen(datamodule.test_protocol.name, datamodule.test_frame_size)
    if not model.is_video_level:
        protocol = replace(protocol, time="nearest")
    datamodule.test_protocol = protocol
    model.set_test_protocol(protocol)


def load_weights(model: AVLocalizer, checkpoint: str | None) -> None:
    """Loads the weights of a ``.ckpt`` or ``.safetensors`` file into a model; without a file it keeps its weights.

    Raises:
        CheckpointError: the file is missing or unreadable.
        RuntimeError: the weights are of another model.
    """
    if checkpoint is None:
        return
    path = Path(checkpoint)
    model.load_state_dict(weights_of(read_checkpoint(path), path))
