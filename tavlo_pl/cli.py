"""``tavlo fit | validate | test | predict | diagnose``: LightningCLI with one run folder and one-sentence errors.

Differences from LightningCLI:

- Checkpoints give the defaults of a command; configuration files and flags override them.
- All commands take model and data from the checkpoint, ``fit`` unless a configuration file is given.
- All files of a run are in one folder, printed at the start and the end.
- Checkpoints are always read with ``weights_only=True``.
"""

import sys
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, LRSchedulerTypeUnion
from torch.optim import Optimizer
from typing_extensions import override

from tavlo_pl.callbacks.checkpoint_io import AtomicCheckpointIO
from tavlo_pl.callbacks.defaults import evaluation_callbacks, fit_callbacks
from tavlo_pl.commands import ShortErrors, to_exit_code
from tavlo_pl.config import arguments, security, stored
from tavlo_pl.config.options import NOT_RESOLVED, OPTIMIZER_OPTIONS, RUN_OPTIONS
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.errors import ConfigError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.models.optimizers import WarmupCosine
from tavlo_pl.predict.checkpoint import packaged_checkpoint, stored_config
from tavlo_pl.predict.command import predict
from tavlo_pl.run.logging import RunLogger, hide_messages
from tavlo_pl.run.session import RunSession
from tavlo_pl.trainer import COMMAND_OPTIONS, TRAINER_DEFAULTS, CheckedCLI, TavloTrainer, load_weights, use_protocol


class Parser(ShortErrors, LightningArgumentParser):
    """Lightning's parser with one-sentence errors."""


class TavloCLI(CheckedCLI):
    """Parses one command line and runs it in its run folder.

    Args:
        session: the command line and its run folder.
    """

    trainer: TavloTrainer
    model: AVLocalizer
    datamodule: ClipDataModule

    def __init__(self, session: RunSession) -> None:
        self.session = session
        self.command = session.command
        self.uses_packaged_checkpoint = False
        super().__init__(
            AVLocalizer,
            ClipDataModule,
            args=session.args,
            trainer_class=TavloTrainer,
            save_config_callback=None,  # the session writes the configuration
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={"prog": "tavlo"},
            parser_class=Parser,
            subclass_mode_model=True,
            auto_configure_optimizers=self.command == "fit",
        )

    @override
    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # static in LightningCLI
        """Returns the command with the arguments of the Trainer's method that are no options; each costs 0.1 s."""
        loaders = {"train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
        return {self.command: loaders | {"model", "weights_only", "verbose", "return_predictions"}}

    @override
    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the options that belong to the run and not to Trainer, model or data."""
        for name, settings in (RUN_OPTIONS | ({} if self.command == "fit" else OPTIMIZER_OPTIONS)).items():
            parser.add_argument(f"--{name}", **settings)
        for options in COMMAND_OPTIONS.get(self.command, ()):
            parser.add_class_arguments(options)

    @override
    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses the command line, with the configuration of a checkpoint or a resumed run as defaults."""
        given, self.videos = arguments.prepare(self.command, args[1:])
        options, early, self.uses_packaged_checkpoint = stored.add_defaults(
            self.command, given, stored_config, packaged_checkpoint
        )
        security.restrict_imports(early.allow_import)  # from the command line: a configuration cannot allow itself more
        self.config = parser.parse_args([self.command, *options])
        config = self.config[self.command]
        config.overwrite = "--overwrite" in options  # for the same reason
        config.data.root = [*map(arguments.printable, self.videos)] or config.data.root
        if self.command != "fit":
            for name in OPTIMIZER_OPTIONS:
                config.pop(name)
        elif config.lr_scheduler and not config.optimizer:
            raise ConfigError("--lr_scheduler needs --optimizer; without both, the model configures its own")
        security.check_named(config, early.allow_import)
        if config.trainer.default_root_dir is not None:
            raise ConfigError("trainer.default_root_dir is not used; give the run folder as --out")
        config.ckpt_path = self.session.open(config, early.config, is_packaged=self.uses_packaged_checkpoint)

    @override
    def _parse_ckpt_path(self) -> None:
        """Does nothing; in LightningCLI the checkpoint's hyperparameters override the command line."""

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The resolved configuration as plain values, without the options of this command line."""
        full = yaml.safe_load(self.parser.dump(self.config, skip_none=False))[self.command]
        hidden = NOT_RESOLVED.union(*(each.__dataclass_fields__ for some in COMMAND_OPTIONS.values() for each in some))
        return {key: value for key, value in full.items() if key not in hidden}

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Makes the Trainer; the callbacks of every run are added to ``callbacks:`` of the configuration."""
        config = self.config_init[self.command].trainer
        folder, logger = self.session.folder, config.logger
        if logger in (None, True):
            logger = RunLogger(folder) if self.command == "fit" else False
        plugins = config.plugins or []
        plugins = [*(plugins if isinstance(plugins, list) else [plugins]), AtomicCheckpointIO()]
        callbacks = [*(config.callbacks or []), *self._callbacks(has_logger=bool(logger))]
        kwargs |= {"default_root_dir": str(folder), "logger": logger, "plugins": plugins, "callbacks": callbacks}
        return super().instantiate_trainer(**kwargs)

    def _callbacks(self, *, has_logger: bool) -> list[Callback]:
        config = self.config[self.command]
        if self.command == "fit":
            text = stored.to_stored_config(self.resolved)
            return fit_callbacks(self.session, text, config.monitor, has_logger=has_logger)
        return evaluation_callbacks(self.session, config, self.resolved)

    @staticmethod
    @override
    def configure_optimizers(
        lightning_module: LightningModule, optimizer: Optimizer, lr_scheduler: LRSchedulerTypeUnion | None = None
    ) -> Any:
        """Returns optimizer and schedule; a `WarmupCosine` gets the length of the run and is stepped every batch."""
        if isinstance(lr_scheduler, WarmupCosine):
            return lr_scheduler.to_lightning(lightning_module.trainer.estimated_stepping_batches)
        return LightningCLI.configure_optimizers(lightning_module, optimizer, lr_scheduler)

    def fit(self, ckpt_path: str | None, **kwargs: Any) -> None:
        """Trains; ``kwargs`` are the model, the data module and the options of the Trainer's method."""
        self.trainer.warn_of_random_encoders(self.model, ckpt_path)
        if ckpt_path and Path(ckpt_path).suffix == ".safetensors":  # weights alone, from which training starts
            load_weights(self.model, ckpt_path)
            ckpt_path = None
        self.session.run(partial(self.trainer.fit, **kwargs, ckpt_path=ckpt_path, weights_only=True), self.resolved)

    def validate(self, **kwargs: Any) -> None:
        """Evaluates on the validation clips."""
        self._evaluate(self.trainer.validate, **kwargs)

    def test(self, **kwargs: Any) -> None:
        """Evaluates on the test clips by a protocol; the data set has a default."""
        use_protocol(self.model, self.datamodule, self.config[self.command])
        self._evaluate(partial(self.trainer.test, verbose=False), **kwargs)

    def _evaluate(self, stage: Callable[..., object], ckpt_path: str | None, **kwargs: Any) -> None:
        load_weights(self.model, ckpt_path)  # Lightning reads no .safetensors
        self.trainer.warn_of_random_encoders(self.model, ckpt_path)
        self.session.run(partial(stage, **kwargs), self.resolved)

    def predict(self, **kwargs: Any) -> None:
        """Writes heatmaps and overlay videos; videos are searched first, so that a mistake leaves no files."""
        session, videos = self.session, self.datamodule.video_folder(self.session.place)
        about: dict[str, Any] = {"folder": session.folder, "remote": session.remote, "prepare": self.trainer.prepare}
        about |= {"is_packaged": self.uses_packaged_checkpoint, "videos": videos, "found": videos.videos()}
        session.run(partial(predict, **kwargs, **about, config=self.config[self.command]), self.resolved)

    def diagnose(self, **kwargs: Any) -> None:
        """Runs the probes and writes their report."""
        stage = partial(self.trainer.write_diagnosis, self.session.folder, self.resolved, **kwargs)
        self.session.run(stage, self.resolved)


def main(args: list[str] | None = None) -> int:
    """Runs ``fit``, ``validate``, ``test``, ``predict`` or ``diagnose`` in this process.

    Args:
        args: the command and its options; those of the process if None.

    Returns:
        The exit code: 0, 2 for a mistake of the user, 1 for a failed run, 70 for a bug, 130 after Ctrl-C.
    """
    args = sys.argv[1:] if args is None else args

    def run() -> None:
        with RunSession(args) as session:
            TavloCLI(session)

    hide_messages()
    return to_exit_code(args[0], run)
