"""The callbacks of every run; those of the configuration come in addition."""

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import LearningRateMonitor

from tavlo_pl import __version__
from tavlo_pl.callbacks.checkpoints import RunCheckpoints
from tavlo_pl.callbacks.data_fingerprint import DataFingerprint
from tavlo_pl.callbacks.fresh_loader import FreshTrainLoader
from tavlo_pl.callbacks.gallery import Gallery
from tavlo_pl.callbacks.non_finite import NonFiniteGuard
from tavlo_pl.callbacks.results import ResultsWriter
from tavlo_pl.run import directory
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


def evaluation_callbacks(session: RunSession, data: str, seed: int, checkpoint: str | None) -> list[Callback]:
    """Returns the callbacks of all commands but ``fit``.

    Args:
        session: the run.
        data: configuration of the test clips on one line.
        seed: of the run.
        checkpoint: its weights are evaluated.
    """
    results = [ResultsWriter(session.folder, data, seed, session.command_line, checkpoint)]
    return [*(results if session.command == "test" else []), DataFingerprint(session.folder)]
