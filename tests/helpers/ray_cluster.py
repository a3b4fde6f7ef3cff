"""A Ray cluster of two simulated machines on this one, and calls that kill the process that runs them."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tavlo_pl.data.clip import Clip
from tavlo_pl.data.shards import write as shard_write
from tavlo_pl.engine import cluster as engine_cluster

STORE_BYTES = 100 * 2**20
KILLED = "killed"
"""Name of the file, beside the videos, that exists after the first kill."""

SLOW_S = 0.4
"""Time that each call waits, so that a machine dies in the middle of the run."""

real_read = shard_write.read_clip


class TwoMachines:
    """A head with one CPU, and another machine with one.

    Args:
        folder: of the files of Ray.

    Attributes:
        address: of the head.
    """

    def __init__(self, folder: str) -> None:
        from ray._private.utils import get_ray_address_file
        from ray.cluster_utils import Cluster

        Path(get_ray_address_file(None)).parent.mkdir(parents=True, exist_ok=True)  # no one else does
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE_BYTES, "temp_dir": folder}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self.cluster.address
        self.other: Any = None

    def complete(self) -> None:
        """Adds the other machine if it is not there."""
        if self.other is None:
            self.other = self.cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)

    def kill_when(self, has_begun: Callable[[], bool]) -> Thread:
        """Kills all processes of the other machine as soon as a condition holds; returns the thread that does it."""

        def wait() -> None:
            while not has_begun():
                time.sleep(0.02)
            self.cluster.remove_node(self.other, allow_graceful=False)
            self.other = None

        thread = Thread(target=wait, daemon=True)
        thread.start()
        return thread


@contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """Starts the cluster; a random key keeps other users of this machine out."""
    from ray._raylet import Config

    variables = engine_cluster.ENVIRONMENT | engine_cluster.PATIENT_START
    variables |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": engine_cluster.TOKEN}
    with (
        tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder,
        engine_cluster.environment(variables),
    ):
        Config.initialize("")  # Ray has read the environment when it was imported
        machines = TwoMachines(folder)
        try:
            yield machines
        finally:
            machines.cluster.shutdown()


def kill_once(folder: Path) -> None:
    """Kills this process, unless a process was killed before."""
    try:
        (folder / KILLED).touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def read_and_kill(spec: Any, clip: Clip) -> Any:
    """``data.shards.write.read_clip`` in a process that is killed once."""
    kill_once(clip.path.parent)
    return real_read(spec, clip)


def read_slowly(spec: Any, clip: Clip) -> Any:
    """``data.shards.write.read_clip``, slower."""
    time.sleep(SLOW_S)
    return real_read(spec, clip)
