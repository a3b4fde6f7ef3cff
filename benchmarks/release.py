"""Packages a checkpoint of configs/exp/material*.yaml for prediction.

``python -m benchmarks.release RUN/checkpoints/last.ckpt FILE.safetensors``. A model without layers over time has
learned from segments of a second and takes those of any length: half a second. Principal components are multiplied
into the layer above them. Paths of the training machine (folders of features and images) are removed from the stored
configuration.
"""

import sys
from pathlib import Path

import yaml

from tavlo_pl.models.weights_file import write_safe
from tavlo_pl.nn.pretrained.principal_components import without_components
from tavlo_pl.predict.checkpoint import config_text, read_checkpoint, weights_of

SEGMENTS = 8


def main(checkpoint: str, path: str) -> None:
    """Writes the file."""
    content = read_checkpoint(Path(checkpoint))
    text, weights = config_text(content, Path(checkpoint)), weights_of(content, Path(checkpoint))
    assert text is not None, f"{checkpoint} has no configuration"
    config = yaml.safe_load(text)
    model = config["model"]["init_args"]
    if model["visual"]["class_path"].endswith(".PrincipalComponents"):
        weights = without_components(weights, "visual", "project")
        model["visual"] = model["visual"]["init_args"]["encoder"]
    for encoder in ("visual", "audio"):
        model[encoder]["init_args"] |= {"cache": None, "weights": "none"}
    segments = {} if model["attention"]["temporal_kernel"] > 1 else {"segments": SEGMENTS}
    config["data"] = {"clip": config["data"]["clip"] | segments}
    write_safe(weights, content["tavlo"] | {"config": yaml.safe_dump(config, sort_keys=False)}, Path(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
