"""Packages a checkpoint of configs/exp/material*.yaml for prediction with half a second a segment.

``python -m benchmarks.release RUN/checkpoints/last.ckpt FILE.safetensors``. Training items are one segment of a second;
the heads have no layer over time, so that they take segments of any length. Paths of the training machine (folders of
features and images) are removed from the stored configuration.
"""

import sys
from pathlib import Path

import yaml

from tavlo_pl.predict.checkpoint import config_text, read_checkpoint, release

SEGMENTS = 8


def main(checkpoint: str, path: str) -> None:
    """Writes the file."""
    text = config_text(read_checkpoint(Path(checkpoint)), Path(checkpoint))
    assert text is not None, f"{checkpoint} has no configuration"
    config = yaml.safe_load(text)
    config["data"] = {"clip": config["data"]["clip"] | {"segments": SEGMENTS}}
    for encoder in ("visual", "audio"):
        config["model"]["init_args"][encoder]["init_args"] |= {"cache": None, "weights": "none"}
    release(checkpoint, path, yaml.safe_dump(config, sort_keys=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
