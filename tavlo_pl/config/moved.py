"""Class paths of earlier versions: configurations and checkpoints that name one get an error with the new path."""

from collections.abc import Mapping
from typing import Any

from tavlo_pl.errors import ConfigError

MOVED = {
    "tavlo_pl.data.avatar.AVATAR": "tavlo_pl.data.datasets.AVATAR",
    "tavlo_pl.data.avsbench.AVSBench": "tavlo_pl.data.datasets.AVSBench",
    "tavlo_pl.data.flickr.FlickrSoundNet": "tavlo_pl.data.datasets.FlickrSoundNet",
    "tavlo_pl.data.is3.IS3": "tavlo_pl.data.datasets.IS3",
    "tavlo_pl.data.vggsound.VGGSound": "tavlo_pl.data.datasets.VGGSound",
    "tavlo_pl.data.vggss.VGGSS": "tavlo_pl.data.datasets.VGGSS",
    "tavlo_pl.data.augment.Augment": "tavlo_pl.data.transforms.Augment",
}
"""Old class path to new class path."""


def check_moved(config: Any) -> None:
    """Raises an error for a configuration that names a class by an earlier path.

    Args:
        config: plain values of a YAML text, at any depth.

    Raises:
        ConfigError: a value is an old class path; the message gives the new one.
    """
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, str) and value in MOVED:
            raise ConfigError(
                f"the class path {value} is now {MOVED[value]}; "
                "change it in the configuration, or train again if a checkpoint holds it"
            )
        if isinstance(value, Mapping):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
