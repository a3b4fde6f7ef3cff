"""Process of ``benchmarks.step`` that holds one version of the model and runs pieces of work on request.

Arguments: root folder of the version, stride of the visual encoder, number of AST blocks (0 as configured). Each line
on standard input is the name of a piece of work; its user CPU seconds are printed.
"""

import ctypes
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import yaml


class TrainerStub:
    """The attributes of a Trainer that the model reads."""

    estimated_stepping_batches = 100
    precision = "32-true"
    training = True


TRAINER = TrainerStub()
"""Kept here, because a model has only a weak reference to its Trainer."""


def build(root: Path, stride: int, layers: int) -> Any:
    """Returns the TAVLO model of ``configs/model/tavlo.yaml`` in a version of this repository, with random weights."""
    config = root / "configs/model/tavlo.yaml"
    visual = import_module("tavlo_pl.nn.visual").ResNet18(weights="none", stride=stride)
    if not (root / "benchmarks" / "model.py").is_file():  # an earlier version, whose options are those of the model
        model_class = import_module("tavlo_pl.models.tavlo").TAVLO
        model = model_class(**yaml.safe_load(config.read_text())["init_args"] | {"visual": visual})
        model_class.global_step = 0
        return model
    attention = {"num_layers": layers} if layers else {}
    return import_module("benchmarks.model").build_tavlo(config, visual, attention)


def make_works(model: Any) -> dict[str, Callable[[], object]]:
    """Returns the pieces of work by name, after a small step that initializes kernels and optimizer."""
    model.trainer = TRAINER
    optimizer = model.configure_optimizers()["optimizer"]
    frames = torch.randint(0, 256, (4, 10, 3, 224, 224), dtype=torch.uint8)
    spectrogram = torch.randn(4, 1, 64, 1000)

    def train(frames: torch.Tensor, spectrogram: torch.Tensor) -> None:
        loss = model.training_loss(frames, spectrogram)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def backbone() -> None:
        features = model.visual(frames.flatten(0, 1))
        features.backward(torch.ones_like(features))

    def forward() -> None:
        with torch.no_grad():
            model.localize(frames, spectrogram)

    def backbone_forward() -> None:
        with torch.no_grad():
            model.visual(frames.flatten(0, 1))

    train(frames[:2, :2], spectrogram[:2, :, :, :200])
    return {
        "step": partial(train, frames, spectrogram),
        "backbone": backbone,
        "forward": forward,
        "backbone_forward": backbone_forward,
    }


def main() -> None:
    """Answers requests until standard input ends."""
    root, stride, layers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    sys.path[0] = str(root)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build(root, stride, layers).train()
    if not str(sys.modules["tavlo_pl"].__file__).startswith(str(root)):
        raise RuntimeError(f"tavlo_pl was not imported from {root}")
    works = make_works(model)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)  # glibc only
    for line in sys.stdin:
        start_s = os.times().user
        works[line.strip()]()
        taken_s = os.times().user - start_s
        model.zero_grad()
        trim(0)  # other versions need the memory while this one waits
        print(json.dumps(taken_s), flush=True)


if __name__ == "__main__":
    main()
