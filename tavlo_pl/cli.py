"""``tavlo fit | validate | test | predict | diagnose``: LightningCLI with one run folder and plain errors.

What differs from the LightningCLI that is inherited, and why:

- A checkpoint gives defaults, never overrules: what the user writes wins.
- All verbs but ``fit`` take model and data from the checkpoint: its path alone is enough.
- Everything a run leaves lies in one folder, printed at the start and the end.
- Checkpoints are read as plain data (``weights_only``) always.
"""

import logging
import os
import shlex
import sys
import threading
import warnings
from argparse import ArgumentError, ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from tavlo_pl import __version__, env
from tavlo_pl.callbacks.checkpoint_io import AtomicCheckpointIO
from tavlo_pl.callbacks.checkpoints import REQUEUE, RunCheckpoints, Stopped
from tavlo_pl.callbacks.data_fingerprint import DataFingerprint
from tavlo_pl.callbacks.gallery import Gallery
from tavlo_pl.callbacks.non_finite import NonFiniteGuard
from tavlo_pl.callbacks.results import ResultsWriter
from tavlo_pl.commands import INTERRUPTED, TERMINATED, ShortErrors, to_exit_code
from tavlo_pl.config import packaged, security
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.diagnose import run as diagnosis
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.locking import alone
from tavlo_pl.io.os_errors import refusal
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.checkpoint import (
    NO_THRESHOLD,
    TOY_WORLD,
    read_checkpoint,
    ready_checkpoint,
    stored_config,
    threshold_of,
    weights_of,
)
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.run import PredictionFolder, PredictOptions, predict_all
from tavlo_pl.run import directory, provenance
from tavlo_pl.run import exit as run_exit

TRAINER_DEFAULTS = {
    "use_distributed_sampler": False,  # the data module makes samplers that count no clip twice
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 5,
}


PREDICT_OPTIONS = tuple(PredictOptions.__dataclass_fields__)

CHATTER = (
    "💡 Tip",  # advertises other packages
    "`weights_only` was not set",  # said at every save, about loading
    "Loading `train_dataloader` to estimate",
)
"""Beginnings of Lightning's messages that tell a user nothing."""


WARNINGS = (
    ".*LeafSpec.*is deprecated",  # Lightning 2.6 beside torch 2.14
    ".*sync_dist=True.*",  # all processes compute the same metrics, from all samples
    ".*callbacks used to create the checkpoint",  # tests need no RunCheckpoints
    ".*smaller than the logging interval",
    ".*does not have many workers",
)
"""Beginnings of its warnings of the same kind."""


class Parser(ShortErrors, LightningArgumentParser):
    """Lightning's parser with one-sentence errors."""


class RunLogger(TensorBoardLogger):
    """TensorBoard straight in the run folder: no ``version_N``, no second copy of the configuration."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), name="", version="", default_hp_metric=False)

    @rank_zero_only
    def save(self) -> None:
        """Writes what is pending; ``config.yaml`` says what ``hparams.yaml`` would."""
        self.experiment.flush()


class FreshTrainLoader(Callback):
    """Makes the training loader again once a run that goes on knows where it goes on.

    A model that asks for ``estimated_stepping_batches`` makes Lightning begin to read before it has restored
    its position, from the epoch's first clip (Lightning 2.6); what was made then is dropped here.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drops the loader of a run that goes on; Lightning makes another one when the epoch begins."""
        if trainer.ckpt_path is not None:
            trainer.fit_loop._combined_loader = None


class Given(NamedTuple):
    """What is looked up in the command line before it is parsed in full."""

    ckpt_path: str | None
    out: str | None
    config: str | None
    allow_import: tuple[str, ...] = ()


class TavloTrainer(Trainer):
    """Lightning's Trainer with one verb more."""

    def prepare(self, model: AVLocalizer, ckpt_path: str | None) -> torch.device:
        """Puts weights into a model and the model, in evaluation mode, where it is to run; returns the place."""
        if ckpt_path is not None:
            _load_weights(model, ckpt_path)
        model.to(self.strategy.root_device).eval()
        return self.strategy.root_device

    def diagnose(
        self, model: AVLocalizer, datamodule: ClipDataModule, ckpt_path: str | None = None
    ) -> diagnosis.Examined:
        """Tell by probes of its maps whether a model listens; one process, in full precision.

        Args:
            model: the model.
            datamodule: whose test clips are shown.
            ckpt_path: Checkpoint whose weights are diagnosed.
        """
        device = self.prepare(model, ckpt_path)
        with torch.inference_mode():
            return diagnosis.examine(
                lambda frames, sound: model.localize(frames.to(device), sound.to(device)), datamodule
            )


class TavloCLI(LightningCLI):
    """Parses one command line and runs it.

    Args:
        args: the verb and its options.
        held: takes the run folder's lock.
    """

    trainer: TavloTrainer

    def __init__(self, args: list[str], held: ExitStack) -> None:
        self.words = args
        self.held = held
        self.verb = args[0]
        self.is_toy = False
        self.resumes = False
        self.folder = Path()
        self.stage: Callable[[], object]
        self.checkpoints: RunCheckpoints | None = None
        super().__init__(
            AVLocalizer,
            ClipDataModule,
            args=args,
            trainer_class=TavloTrainer,
            save_config_callback=None,  # written by this class, without paths of this one invocation
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={"prog": "tavlo"},
            parser_class=Parser,
            subclass_mode_model=True,
            auto_configure_optimizers=False,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The verb at hand, with the arguments of the Trainer's method that are no options.

        Not all four, as Lightning has it: each costs a tenth of a second to make.
        """
        loaders = {"train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}
        return {self.verb: loaders | {"model", "weights_only", "verbose", "return_predictions"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the options that belong to the run and not to Trainer, model or data."""
        parser.add_argument(
            "--out",
            type=str | None,
            help="Run folder. Default: runs/<config>/<time>, or <verb> in the checkpoint's run.",
        )
        parser.add_argument(
            "--monitor",
            type=str | None,
            help="fit: metric that chooses best.ckpt. Default: val/ciou_mean; val/loss without annotations.",
        )
        parser.add_argument(
            "--overwrite",
            action="store_true",
            help="fit: clear an earlier run in --out away; predict: write finished videos anew.",
        )
        if self.verb == "predict":
            parser.add_class_arguments(PredictOptions)
        parser.add_argument(
            "--allow_untrained", action="store_true", help="All but fit: run random weights, on purpose."
        )
        parser.add_argument(
            "--allow_import",
            nargs="+",
            default=[],
            metavar="PKG",
            help=f"Packages of yours whose classes a configuration may name, besides {', '.join(security.IMPORTABLE)}.",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses, with the configuration that a checkpoint or a resumed run holds in front as defaults."""
        verb, options = self.verb, [packaged.find(word) for word in args[1:]]
        given = _look_up(options)
        if verb != "fit" and given.ckpt_path is given.config is None and not {"-h", "--help"} & set(options):
            if verb != "predict":
                raise _no_weights(verb)
            self.is_toy = True
            ready = str(ready_checkpoint())
            options, given = ["--ckpt_path", ready, *options], given._replace(ckpt_path=ready)
        if not {"-h", "--help"} & set(options):
            stored = _stored_config(verb, given)
            options = [*(["--config", stored] if stored else []), *options]
        # from the command line alone: a configuration does not allow itself more, nor clears a folder away
        security.confine(given.allow_import)
        self.config = parser.parse_args([verb, *options])
        security.check_named(self.config[verb], given.allow_import)
        self.config[verb].overwrite = "--overwrite" in options
        self._choose_folder(self.config[verb], verb, given)

    def _choose_folder(self, config: Namespace, verb: str, given: Given) -> None:
        checkpoint = directory.find_checkpoint(config.ckpt_path, config.out, verb)
        released = config.get("model.init_args.init_from")  # the authors' weights, of models that take them
        if verb != "fit" and checkpoint is None and not config.allow_untrained and not released:
            raise _no_weights(verb)
        if config.trainer.default_root_dir is not None:
            raise ConfigError("trainer.default_root_dir is not used; give the run folder as --out")
        self.folder = directory.choose(verb, config.out, None if self.is_toy else checkpoint, given.config)
        self.resumes = verb == "fit" and config.ckpt_path == directory.LAST
        if env.process_number() == 0 and verb != "predict":  # there several processes share a folder, by video
            self.held.enter_context(alone(self.folder))
        if env.process_number() == 0 and verb == "fit":
            directory.claim(self.folder, resuming=self.resumes, overwrite=config.overwrite)
        config.ckpt_path = str(checkpoint) if checkpoint else None

    def _parse_ckpt_path(self) -> None:
        """Does nothing: Lightning would let the checkpoint's values overrule what the user wrote."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Makes the Trainer with what always runs, whatever ``callbacks:`` the configuration gives."""
        config = self.config_init[self.verb]
        logger = config.trainer.logger
        if logger in (None, True):
            logger = RunLogger(self.folder) if self.verb == "fit" else False
        plugins = config.trainer.plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        return super().instantiate_trainer(
            default_root_dir=str(self.folder),
            logger=logger,
            plugins=[*plugins, AtomicCheckpointIO()],
            callbacks=[*(config.trainer.callbacks or []), *self._callbacks(config, bool(logger))],
            **kwargs,
        )

    def _callbacks(self, config: Namespace, logged: bool) -> list[Callback]:
        """What every run of the verb has."""
        parts = {key: self.resolved[key] for key in ("model", "data", "seed_everything")}
        if self.verb == "fit":
            stored = yaml.safe_dump(_without_init_from(parts), sort_keys=False)
            self.checkpoints = RunCheckpoints(self.folder / directory.CHECKPOINTS, stored, __version__, config.monitor)
            learning_rate = [LearningRateMonitor()] if logged else []
            noted = [NonFiniteGuard(), FreshTrainLoader(), Gallery(), DataFingerprint(self.folder)]
            return [self.checkpoints, *noted, *learning_rate]
        if self.verb == "test":
            command = shlex.join(["tavlo", *self.words])
            results = ResultsWriter(self.folder, self._tested(), parts["seed_everything"], command, config.ckpt_path)
            return [results, DataFingerprint(self.folder)]
        return [DataFingerprint(self.folder)]

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The resolved configuration as plain values, without what belongs to this invocation only."""
        full = yaml.safe_load(self.parser.dump(self.config, skip_none=False))[self.verb]
        once = {"config", "out", "overwrite", "allow_untrained", "allow_import", "ckpt_path", *PREDICT_OPTIONS}
        return {key: value for key, value in full.items() if key not in once}

    def fit(self, **kwargs: Any) -> None:
        """Prepares training; ``kwargs`` are the model, the data and the options of ``Trainer.fit``."""
        self.stage = partial(self.trainer.fit, **kwargs, weights_only=True)

    def validate(self, **kwargs: Any) -> None:
        """Prepares measuring on the validation clips."""
        self.stage = partial(self.trainer.validate, **self._with_weights(kwargs))

    def test(self, **kwargs: Any) -> None:
        """Prepares measuring on the test clips."""
        self.stage = partial(self.trainer.test, **self._with_weights(kwargs), verbose=False)

    @staticmethod
    def _with_weights(kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a Trainer's method, with the weights in the model: Lightning reads no ``.safetensors``."""
        checkpoint = kwargs.pop("ckpt_path")
        if checkpoint is not None:
            _load_weights(kwargs["model"], checkpoint)
        return kwargs

    def predict(self, **kwargs: Any) -> None:
        """Prepares writing heatmaps and films."""
        self.stage = partial(self._write_predictions, **kwargs)

    def _write_predictions(self, model: AVLocalizer, datamodule: ClipDataModule, ckpt_path: str | None = None) -> None:
        """Localizes the videos of ``data.root``, in this process alone: start the command again to share the work."""
        config = self.config_init[self.verb]
        spec = datamodule.clip
        threshold = threshold_of(read_checkpoint(Path(ckpt_path))) if ckpt_path else None
        if self.is_toy:
            print(f"Note: {TOY_WORLD}.", flush=True)
        elif threshold is None:
            print(f"Note: {NO_THRESHOLD}.", flush=True)
        options = PredictOptions(**{name: config[name] for name in PREDICT_OPTIONS})
        mark = directory.fingerprint(ckpt_path)
        made_with = {"checkpoint": mark and mark["sha256"], "spec": asdict(spec)}  # wherever the checkpoint lies
        folder = PredictionFolder(
            self.folder, options, made_with | ({"note": f"Note: {TOY_WORLD}."} if self.is_toy else {})
        )

        def make_localizer() -> Localizer:
            return Localizer(model, spec, threshold, self.trainer.prepare(model, ckpt_path))

        shown = config.trainer.enable_progress_bar is not False
        predict_all(datamodule.videos(), make_localizer, folder, config.overwrite, progress=shown)

    def diagnose(self, **kwargs: Any) -> None:
        """Prepares the probes and their report."""
        origin = {
            "checkpoint": directory.fingerprint(kwargs["ckpt_path"]),
            "version": __version__,
            "data": self._tested(),
        }
        self.stage = lambda: diagnosis.write(self.folder, self.trainer.diagnose(**kwargs), origin)

    def _tested(self) -> str:
        """One line that says which clips are tested."""
        test = self.resolved["data"]["test"]
        return yaml.safe_dump(test, default_flow_style=True, width=10_000).strip()

    def run(self) -> None:
        """Runs what was parsed, in the run folder."""
        first = env.process_number() == 0
        if first:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text_atomic(
                self.folder / directory.CONFIG,
                f"# tavlo {__version__}\n{yaml.safe_dump(self.resolved, sort_keys=False)}",
            )
            provenance.note_start(self.folder, self.words, resumes=self.resumes)
            print(f"run folder: {self.folder}", flush=True)
            os.environ[env.RUN_FOLDER] = str(self.folder)  # for the processes that Lightning starts
        elif env.RUN_FOLDER in os.environ:
            threading.Thread(target=run_exit.end_with, args=[os.getppid()], daemon=True).start()
        try:
            with self.checkpoints.signals_taken() if self.checkpoints else nullcontext():
                self.stage()
        except Stopped as stop:
            if not first:  # were it not 0, Lightning would kill the first process, which still has to report
                sys.exit(0)
            again = f"tavlo fit --ckpt_path last --out {self.folder}"
            print(f"\n{stop}; go on with: {again}", file=sys.stderr, flush=True)
            if stop.signal_number == REQUEUE:
                run_exit.requeue()
            sys.exit(128 + stop.signal_number)
        except SystemExit as stop:  # Lightning's answer to a KeyboardInterrupt, or to a SIGTERM before training
            sys.exit(INTERRUPTED if stop.code else TERMINATED)
        finally:
            if first:
                os.environ.pop(env.RUN_FOLDER, None)
        if first:
            print(f"run folder: {self.folder}", flush=True)


def _load_weights(model: AVLocalizer, checkpoint: str) -> None:
    path = Path(checkpoint)
    model.load_state_dict(weights_of(read_checkpoint(path), path))


def _without_init_from(parts: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint stores: it holds what became of the weights it began with, and needs their file no more."""
    model = parts["model"]
    options = {key: value for key, value in model.get("init_args", {}).items() if key != "init_from"}
    return parts | {"model": model | {"init_args": options}}


def _no_weights(verb: str) -> CheckpointError:
    return CheckpointError(
        f"{verb} needs trained weights: give --ckpt_path RUN/checkpoints/best.ckpt, "
        "or -c CONFIG --allow_untrained for random ones"
    )


def _look_up(options: list[str]) -> Given:
    """Finds the options that decide which stored configuration is read; the full parser checks them later."""
    scan = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    scan.add_argument("--ckpt_path")
    scan.add_argument("--out")
    scan.add_argument("-c", "--config", action="append", default=[])
    scan.add_argument("--allow_import", nargs="+", default=[])
    try:
        found, _ = scan.parse_known_args(options)
    except ArgumentError:
        return Given(None, None, None)
    return Given(found.ckpt_path, found.out, next(iter(found.config), None), tuple(found.allow_import))


def _stored_config(verb: str, given: Given) -> str | None:
    """YAML text (or a path) of the configuration that a checkpoint or the run to go on with was made with.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
    """
    checkpoint = directory.find_checkpoint(given.ckpt_path, given.out, verb)
    if checkpoint is None:
        return None
    try:
        content = read_checkpoint(checkpoint)
    except CheckpointError as error:
        if given.ckpt_path == directory.LAST:
            raise CheckpointError(f"{error}; copy best.ckpt beside it over it to go on from there") from error
        raise
    if verb == "fit":
        config = checkpoint.parent.parent / directory.CONFIG
        return str(config) if given.ckpt_path == directory.LAST and config.is_file() else None
    return stored_config(content, checkpoint)


def _silence() -> None:
    """Keeps what tells a user nothing off the screen."""
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message)
    for handler in logging.getLogger("lightning.pytorch").handlers:
        handler.addFilter(lambda record: not record.getMessage().startswith(CHATTER))
    threading.excepthook = _tell_once


def _tell_once(args: threading.ExceptHookArgs) -> None:
    """Leaves a full disk, which TensorBoard's thread meets first, to the main thread, which meets it next."""
    if refusal(args.exc_value) is None:
        threading.__excepthook__(args)


def _parse_and_run(words: list[str]) -> None:
    cli = None
    try:
        with ExitStack() as held:
            cli = TavloCLI(words, held)
            cli.run()
    except Exception as error:  # whatever it is, the user gets a sentence and the log gets the traceback
        raise run_exit.sentence(error, cli.folder / directory.ERROR_LOG if cli else None) from error


def main(args: list[str] | None = None) -> int:
    """Runs ``fit``, ``validate``, ``test``, ``predict`` or ``diagnose`` in this process.

    Args:
        args: the verb and its options; those of the process if None.

    Returns:
        The exit code: 0, 2 for a user's mistake, 1 for a failed run, 130 after Ctrl-C.
    """
    words = sys.argv[1:] if args is None else args
    _silence()
    return to_exit_code(words[0], lambda: _parse_and_run(words))
