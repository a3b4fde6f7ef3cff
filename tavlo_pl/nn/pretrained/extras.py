"""Imports packages that only some models need."""

from importlib import import_module
from types import ModuleType

from tavlo_pl.errors import ConfigError


def require(package: str, extra: str) -> ModuleType:
    """Imports an optional package.

    Args:
        package: its name.
        extra: the extra of this package that installs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(f"this model needs {package}: pip install 'tavlo_pl[{extra}]'") from error
