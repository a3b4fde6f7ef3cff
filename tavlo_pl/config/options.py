"""Options of a command line that belong to the run and not to Trainer, model or data."""

from typing import Any

from tavlo_pl.config.security import PACKAGES

RUN_OPTIONS: dict[str, dict[str, Any]] = {
    "out": {
        "type": str | None,
        "help": "Run folder. Default: runs/<config>/<time>, or <command> in the run folder of the checkpoint. "
        "predict: also an address (s3://bucket/found, by fsspec).",
    },
    "monitor": {
        "type": str | None,
        "help": "fit: metric that chooses best.ckpt. Default: val/ciou_mean; val/loss without annotations.",
    },
    "overwrite": {
        "action": "store_true",
        "help": "fit: remove an earlier run in --out; test: replace results of other options; predict: write finished "
        "videos again.",
    },
    "allow_untrained": {"action": "store_true", "help": "All commands but fit: run with random weights."},
    "allow_import": {
        "nargs": "+",
        "default": [],
        "metavar": "PKG",
        "help": f"Packages whose classes a configuration may name, besides {', '.join(PACKAGES)}.",
    },
}
"""Settings of ``add_argument`` by name."""

OPTIMIZER_OPTIONS: dict[str, dict[str, Any]] = {
    name: {"type": Any, "help": "Used by fit and ignored by this command."} for name in ("optimizer", "lr_scheduler")
}
"""Options of ``fit`` that all other commands accept, so that they read the configuration of an experiment."""

NOT_RESOLVED = {"config", "ckpt_path", "out", "overwrite", "allow_untrained", "allow_import"}
"""Options of one command line, which are not part of the configuration of a run."""
