"""``tavlo data components``: principal components of a frozen encoder's features."""

from pathlib import Path

from tavlo_pl.commands.encoders import load_visual
from tavlo_pl.data.clip import ClipSource
from tavlo_pl.data.media import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.errors import ConfigError


def components(
    source: ClipSource,
    model: str,
    out: str,
    visual_weights: str | None = None,
    count: int = 384,
    frames: int = 1000,
    image_size: int = 448,
    duration_s: float = 10.0,
    seed: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Finds the principal components of the features that a frozen visual encoder has in frames of some clips.

    Training on them needs less space for stored features. Wrap the encoder of the model in
    tavlo_pl.nn.pretrained.PrincipalComponents, with weights: OUT.

    Args:
        source: the clips, as in data.train: --source tavlo_pl.data.datasets.VGGSound --source.root DIR.
        model: configuration of a model with a frozen visual encoder, such as configs/model/tavlo_lite0_yamnet.yaml.
        out: the .safetensors file to write.
        visual_weights: weights of the encoder, in place of those of the configuration.
        count: components that are kept.
        frames: number of frames, one of each of so many clips that are drawn, with equal probability.
        image_size: height and width of the frames in pixels, as data.clip.image_size will be.
        duration_s: length of the span of a clip in which a frame is drawn, as data.clip.duration_s will be.
        seed: of the draws.
        limits: what media files may state of themselves.

    Raises:
        ConfigError: an option that cannot be, or the model has no frozen visual encoder with weights.
        DatasetNotFoundError: the clips are not there.
        RunFailedError: no clip can be read.
    """
    if frames < 1 or image_size < 1 or not 0 < duration_s < float("inf"):
        raise ConfigError("components need --frames, --image_size and --duration_s above 0.")
    from tavlo_pl.data.drawn_frames import draw_frames  # they import torch, which --help does not need
    from tavlo_pl.nn.pretrained.principal_components import find_components, save_components

    set_limits(limits)
    encoder = load_visual(model, visual_weights)
    if not 1 <= count <= encoder.width:
        raise ConfigError(f"--count is {count}; the features of {model} have {encoder.width} channels.")
    drawn = draw_frames(source, frames, image_size, duration_s, seed)
    found, share = find_components((encoder(frame) for frame in drawn), count)
    save_components(found, Path(out))
    print(f"components: {out} ({count} of {encoder.width} channels, {share:.1%} of the variance)")
