"""The frozen encoders of a model's configuration, for ``tavlo data shard --features.model`` and ``data components``."""

from argparse import ArgumentError
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tavlo_pl.config import packaged, security
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.files import read_text

if TYPE_CHECKING:
    from tavlo_pl.data.shards.features import Encoders
    from tavlo_pl.nn.visual import VisualEncoder


@dataclass(frozen=True)
class FeatureOptions:
    """Whose features are computed.

    Args:
        model: configuration of a model with frozen encoders, such as configs/model/tavlo_lite0_yamnet.yaml.
        visual_weights: weights of its visual encoder, in place of those of the configuration.
        audio_weights: weights of its audio encoder, likewise.
        augment_segments: segments of a training item, as data.augment.segments will be; whole clips by default.
    """

    model: str | None = None
    visual_weights: str | None = None
    audio_weights: str | None = None
    augment_segments: int | None = None


NO_FEATURES = FeatureOptions()


def load_encoders(options: FeatureOptions, cache: str) -> "Encoders":
    """Makes the encoders of a model that store their features.

    Args:
        options: the model.
        cache: folder of the features.

    Raises:
        ConfigError: it is not the configuration of a model with frozen encoders, or their weights are random.
        CheckpointError: weights cannot be read.
    """
    from tavlo_pl.data.shards.features import Encoders
    from tavlo_pl.nn.audio import AudioEncoder
    from tavlo_pl.nn.visual import VisualEncoder

    where = f"--features.model {options.model}"
    arguments = _model_arguments(str(options.model), where)
    visual = _make(VisualEncoder, "visual", arguments, cache, options.visual_weights, where)
    audio = _make(AudioEncoder, "audio", arguments, cache, options.audio_weights, where)
    if visual is audio is None:
        raise ConfigError(f"{where}: neither of its encoders is frozen and stores features")
    return Encoders(visual, audio)


def load_visual(model: str, weights: str | None) -> "VisualEncoder":
    """Makes the frozen visual encoder of a model.

    Args:
        model: configuration of the model.
        weights: those of the encoder, in place of those of the configuration.

    Raises:
        ConfigError: it is not the configuration of a model with a frozen visual encoder, or its weights are random.
        CheckpointError: weights cannot be read.
    """
    from tavlo_pl.nn.visual import VisualEncoder

    where = f"--model {model}"
    encoder: VisualEncoder | None = _make(VisualEncoder, "visual", _model_arguments(model, where), None, weights, where)
    if encoder is None:
        raise ConfigError(f"{where}: its visual encoder is not frozen, or stores no features")
    return encoder


def _model_arguments(file: str, where: str) -> Mapping[str, Any]:
    """``init_args`` of a model's configuration."""
    try:
        content = security.read_yaml(read_text(Path(packaged.find(file)), security.MOST_BYTES))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{where}: no configuration ({' '.join(str(error).split())})") from error
    arguments = content.get("init_args") if isinstance(content, Mapping) else None
    if not isinstance(arguments, Mapping):
        raise ConfigError(
            f"{where}: give the configuration of a model with class_path and init_args, such as "
            "configs/model/tavlo_lite0_yamnet.yaml"
        )
    return arguments


def _make(base: type, name: str, model: Mapping[str, Any], cache: str | None, weights: str | None, where: str) -> Any:
    """The encoder in evaluation mode; None for one that is trained or stores no features."""
    from jsonargparse import ArgumentParser

    from tavlo_pl.nn.pretrained.training import random_parts

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(base, name)
    try:
        parsed = parser.parse_object({name: model.get(name)})
        security.check_named(parsed)
        arguments = parsed[name].get("init_args", {})
        if "cache" not in arguments or arguments.get("trained", "none") != "none":
            return None
        arguments["cache"] = cache
        if weights is not None:
            arguments["weights"] = weights
        encoder = parser.instantiate(parsed)[name].eval()
    except (ArgumentError, KeyError, TypeError, ValueError) as error:
        reason = security.denied_import(str(error)) or " ".join(str(error).split())
        raise ConfigError(f"{where}: its {name} encoder cannot be made: {reason}") from error
    if random_parts(encoder):
        option = where.split(maxsplit=1)[0].removesuffix("model")
        raise ConfigError(
            f"{where}: the {name} encoder has random weights, which differ in each training; give "
            f"{option}{name}_weights FILE"
        )
    return encoder
