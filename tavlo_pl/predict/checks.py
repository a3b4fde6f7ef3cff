"""Checks of the options of prediction; wrong values raise errors that name the choices."""

from typing import Any, Literal, get_args

import numpy as np
import torch

from tavlo_pl.errors import ConfigError

Aspect = Literal["squash", "keep"]
"""``squash`` resizes frames to the square input of the model, ``keep`` pads them with black bars."""

LARGEST_RATE_HZ = 1000
"""Maximum number of heatmaps per second, more than videos have frames."""


def check_options(maps_per_second: Any, aspect: object) -> None:
    """Checks the options of `Localizer.localize`.

    Raises:
        ConfigError: one of them has a value that is not possible.
    """
    check_rate(maps_per_second)
    if aspect not in get_args(Aspect):
        raise ConfigError(f"aspect is {aspect!r}; it must be one of {', '.join(get_args(Aspect))}.")


def check_rate(maps_per_second: Any) -> None:
    """Checks a number of heatmaps per second.

    Raises:
        ConfigError: it is neither None nor a positive finite number up to `LARGEST_RATE_HZ`.
    """
    if maps_per_second is None:
        return
    is_number = isinstance(maps_per_second, int | float | np.integer | np.floating)
    rate = float(maps_per_second) if is_number and not isinstance(maps_per_second, bool) else 0.0
    if not 0 < rate <= LARGEST_RATE_HZ:  # False for NaN
        raise ConfigError(
            f"maps_per_second is {maps_per_second!r}; it must be positive and at most {LARGEST_RATE_HZ}, or None "
            "for one per segment."
        )


def to_device(device: torch.device | str | None) -> torch.device:
    """Returns a device that exists.

    Args:
        device: its name; None for a GPU if there is one.

    Raises:
        ConfigError: the name is unknown, or this machine or this installation of torch has no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    choices = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    choices += ["mps"] if torch.backends.mps.is_available() else []
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ConfigError(
            f"device is {device!r}, which this machine does not have; it has {', '.join(choices)}."
        ) from error
    return chosen


def check_packages(allow_import: object) -> None:
    """Checks the packages whose classes a configuration may name.

    Raises:
        ConfigError: it is a single text, whose letters would be taken for packages, or not a sequence of names.
    """
    if not isinstance(allow_import, list | tuple) or not all(isinstance(name, str) for name in allow_import):
        raise ConfigError(
            f"allow_import is {allow_import!r}; it must be a tuple of package names, such as ('mypackage',)."
        )
