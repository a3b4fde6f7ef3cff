"""TensorBoard in the run folder, and which messages of Lightning are shown."""

import logging
import threading
import warnings
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from tavlo_pl.io.os_errors import describe_os_error

HIDDEN_MESSAGES = (
    "💡 Tip",  # advertises other packages
    "`weights_only` was not set",  # logged at every save, about loading
    "Loading `train_dataloader` to estimate",
)
"""First words of the log messages of Lightning that are not shown."""

HIDDEN_WARNINGS = (
    ".*LeafSpec.*is deprecated",  # Lightning 2.6 with torch 2.14
    ".*sync_dist=True.*",  # every process computes the metrics of all samples
    ".*callbacks used to create the checkpoint",  # test and validate have no RunCheckpoints
    ".*smaller than the logging interval",
    ".*You have overridden `transfer_batch_to_device`",  # models keep float64 off MPS
    ".*does not have many workers",
    ".*in eval mode at the start of training",  # frozen encoders
    ".*configure_optimizers. will be overridden by",  # what --optimizer asks for
)
"""Patterns of the warnings of Lightning that are not shown."""


class RunLogger(TensorBoardLogger):
    """TensorBoard logger that writes into the run folder itself: no ``version_N``, no ``hparams.yaml``.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), name="", version="", default_hp_metric=False)

    @override
    @rank_zero_only
    def save(self) -> None:
        """Flushes the events; ``config.yaml`` replaces ``hparams.yaml``."""
        self.experiment.flush()


def hide_messages() -> None:
    """Hides the warnings and log messages of Lightning that tell a user nothing."""
    for message in HIDDEN_WARNINGS:
        warnings.filterwarnings("ignore", message)
    for handler in logging.getLogger("lightning.pytorch").handlers:
        handler.addFilter(lambda record: not record.getMessage().startswith(HIDDEN_MESSAGES))
    threading.excepthook = _report_thread_error


def _report_thread_error(args: threading.ExceptHookArgs) -> None:
    """Prints the traceback of a thread, but not for a full disk.

    TensorBoard's thread meets a full disk first; the main thread meets it next and reports it.
    """
    if describe_os_error(args.exc_value) is None:
        threading.__excepthook__(args)
