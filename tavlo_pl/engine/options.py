"""The options of engines, the same for all commands: ``--engine local|ray`` and ``--ray.*``."""

import math
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

from tavlo_pl.engine.base import Engine
from tavlo_pl.engine.local import LocalEngine
from tavlo_pl.errors import ConfigError

EngineName = Literal["local", "ray"]
"""``local``: processes of this machine; ``ray``: tasks on a Ray cluster (extra ``[ray]``)."""

THIS_MACHINE = "local"


@dataclass(frozen=True)
class RayOptions:
    """Options of ``--engine ray``.

    Args:
        address: host:port of the head of a Ray cluster; auto for the cluster that this machine belongs to; local starts
            Ray on this machine alone, for the time of the command.
        cpus: CPUs of a task; the number of tasks at a time follows from those of the cluster.
        gpus: GPUs of a task, or a fraction of one.

    Raises:
        ConfigError: a number is not possible.
    """

    address: str = THIS_MACHINE
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.cpus < math.inf and 0 <= self.gpus < math.inf):
            raise ConfigError(f"--ray.cpus {self.cpus:g} must be above 0 and --ray.gpus {self.gpus:g} at least 0.")
        if any(number > 1 and number % 1 for number in (self.cpus, self.gpus)):
            raise ConfigError("--ray.cpus and --ray.gpus above 1 must be whole numbers.")


@dataclass(frozen=True)
class EngineOptions:
    """Options of a command that runs on an engine.

    Args:
        engine: where the work is done. local: on this machine; ray: tasks on a Ray cluster (extra [ray]).
        ray: options of the engine ray.
    """

    engine: EngineName = "local"
    ray: RayOptions = RayOptions()


DEFAULT_RAY = RayOptions()


def make_engine(name: EngineName, workers: int, ray: RayOptions) -> Engine:
    """Makes an engine; Ray is imported only where it is chosen.

    Args:
        name: which one.
        workers: processes of the local engine.
        ray: options of the engine ``ray``.

    Raises:
        ConfigError: the number of processes is not possible, Ray is not installed, or nothing answers at its address.
    """
    if workers < 1:
        raise ConfigError(f"the local engine needs at least 1 process, not {workers} (--jobs or --workers).")
    if name == "local":
        return LocalEngine(workers)
    if find_spec("ray") is None:
        raise ConfigError('--engine ray needs the package ray; install it with pip install "tavlo_pl[ray]"')
    engine: Engine = import_module("tavlo_pl.engine.cluster").RayEngine(ray)
    return engine
