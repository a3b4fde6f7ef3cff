"""Imports packages that an extra of this package installs."""

from importlib import import_module
from types import ModuleType

from tavlo_pl.errors import ConfigError


def require(package: str, extra: str, user: str) -> ModuleType:
    """Imports an optional package.

    Args:
        package: its name.
        extra: the extra of this package that installs it.
        user: what needs it, for the message.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(f"{user} needs {package}: pip install 'tavlo_pl[{extra}]'") from error
