"""The callbacks of every run; those of the configuration come in addition."""

import json
import os
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor

from tavlo_pl import __version__
from tavlo_pl.callbacks.checkpoints import RunCheckpoints
from tavlo_pl.callbacks.data_fingerprint import DataFingerprint
from tavlo_pl.callbacks.fresh_loader import FreshTrainLoader
from tavlo_pl.callbacks.gallery import Gallery
from tavlo_pl.callbacks.non_finite import NonFiniteGuard
from tavlo_pl.callbacks.results import ResultsWriter
from tavlo_pl.metrics.protocols import ProtocolOptions
from tavlo_pl.run import directory
from tavlo_pl.run.results import RESULTS, describe_test_data, refuse_to_replace
from tavlo_pl.run.session import RunSession


def fit_callbacks(session: RunSession, config: str, monitor: str | None, *, has_logger: bool) -> list[Callback]:
    """Returns the callbacks of ``fit``.

    Args:
        session: the run.
        config: YAML text that each checkpoint stores.
        monitor: metric that chooses ``best.ckpt``; None for the default.
        has_logger: whether the learning rate can be logged.
    """
    folder = session.folder / directory.CHECKPOINTS
    return [
        RunCheckpoints(folder, config, __version__, session.signals, monitor),
        NonFiniteGuard(),
        FreshTrainLoader(),
        Gallery(),
        DataFingerprint(session.folder),
        *([LearningRateMonitor()] if has_logger else []),
    ]


def evaluation_callbacks(session: RunSession, config: Mapping[str, Any], resolved: Mapping[str, Any]) -> list[Callback]:
    """Returns the callbacks of all commands but ``fit``.

    Args:
        session: the run.
        config: the parsed command line.
        resolved: the resolved configuration as plain values.

    Raises:
        ConfigError: ``test`` would replace the results of other options.
    """
    fingerprint = DataFingerprint(session.folder)
    if session.command != "test":
        return [fingerprint]
    seed, checkpoint, data = config["seed_everything"], config["ckpt_path"], describe_test_data(resolved)
    options = {name: config[name] for name in ProtocolOptions.__dataclass_fields__}
    options |= {"data": data, "seed": seed, "checkpoint": checkpoint and os.path.abspath(checkpoint)}
    options |= {"model": resolved["model"], "clip": resolved["data"]["clip"]}
    options = json.loads(json.dumps(options))
    refuse_to_replace(session.folder / RESULTS, options, overwrite=config["overwrite"])
    return [ResultsWriter(session.folder, data, seed, session.command_line, checkpoint, options), fingerprint]
