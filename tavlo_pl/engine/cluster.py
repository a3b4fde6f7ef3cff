"""The engine ``ray``: tasks on a Ray cluster, or on Ray started for one command on this machine.

A task whose process or machine dies is repeated by Ray elsewhere. Functions, items and results are pickled.
"""

import logging
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

import ray
from ray.exceptions import RayError, RayTaskError
from typing_extensions import override

from tavlo_pl import __version__, env
from tavlo_pl.engine.base import AHEAD, Engine, Tasks
from tavlo_pl.engine.options import THIS_MACHINE, RayOptions
from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.io.messages import one_line

RETRIES = 3
"""How often a task is repeated whose process or machine died."""

ANSWER_S = 5.0
"""Time in which the head of a cluster must answer."""

CHECK_S = 5.0
"""Interval of the checks of the machines of a cluster."""

PATIENCE_S = 60.0
"""The run ends if no machine of the cluster has been able to run a task for so long."""

STORE_BYTES = 2**29
"""Size of the object store of Ray on this machine; what exceeds it goes to the disk."""

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_task_oom_retries": str(RETRIES)}
"""Environment of Ray: no statistics to its makers; a task whose process was killed for lack of memory is not repeated
forever."""

PATIENT_START = {"RAY_agent_register_timeout_ms": "120000", "RAY_raylet_start_wait_time_s": "120"}
"""Environment of Ray on this machine: its start may take long on a busy machine."""

TOKEN = secrets.token_hex(32)
"""Key of Ray on this machine: it accepts only processes that have it. Ray asks for one wherever it starts a cluster,
unless ``RAY_AUTH_MODE`` says otherwise."""

ALL_GPUS = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"
"""Set, a process sees all GPUs of its machine and takes the one that Ray assigns to its task (`task_device`); otherwise
it could not use another GPU for its next task."""

T = TypeVar("T")
R = TypeVar("R")


class Shared(NamedTuple):
    """What is the same for all tasks; each process receives it once.

    Attributes:
        function: is called for each item.
        begin: is called once in each process.
        folder: current folder of the command, so that relative paths are valid.
        variables: environment variables of the command.
        version: of this package.
    """

    function: Callable[[Any], Any]
    begin: Callable[[], object]
    folder: str
    variables: dict[str, str]
    version: str


class RayEngine(Engine):
    """Calls functions as tasks of Ray; it connects when the first task is started.

    Args:
        options: address of the cluster, and what a task needs.

    Raises:
        ConfigError: nothing answers at the address.
    """

    def __init__(self, options: RayOptions) -> None:
        self.options = options
        self._connection = ExitStack()
        self._is_connected = False
        check_address(options.address)

    @override
    def close(self) -> None:
        self._connection.close()
        self._is_connected = False

    @override
    @contextmanager
    def tasks(self, function: Callable[[T], R], begin: Callable[[], object]) -> Iterator[Tasks[Any, T, R]]:
        if not self._is_connected:
            self._connection.enter_context(connected(self.options))
            self._is_connected = True
        yield RayTasks(Shared(function, begin, os.getcwd(), env.for_tasks(), __version__), self.options)

    @staticmethod
    @override
    def task_device() -> str:
        numbers = [str(number) for number in ray.get_gpu_ids()]
        if not numbers:
            return "cpu"
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return f"cuda:{visible.split(',').index(numbers[0]) if visible else numbers[0]}"


class RayTasks(Tasks[Hashable, T, R]):
    """Calls in flight as tasks of Ray.

    Args:
        shared: the function and its surroundings.
        options: what a task needs.

    Raises:
        ConfigError: no machine of the cluster can run a task.
    """

    def __init__(self, shared: Shared, options: RayOptions) -> None:
        self._options = options
        self._began_s = self._checked_s = self._able_s = time.monotonic()
        self._has_results = self._has_noted = False
        self._slots = slots(options)
        if not self._slots:
            raise ConfigError(
                f"no machine of the Ray cluster at {options.address} has {describe(options)} for a task; change "
                "--ray.cpus and --ray.gpus, or add machines."
            )
        self._shared = [ray.put(shared)]  # in a list, so that Ray passes it on without loading it for each task
        self._call = ray.remote(
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            max_retries=RETRIES,
            max_calls=0,  # processes with a GPU are used again
            runtime_env={"env_vars": {ALL_GPUS: "1"}} if options.gpus else {},
        )(call)

    @override
    def limit(self) -> int:
        if time.monotonic() - self._checked_s > CHECK_S:
            self._check()
        return AHEAD * max(1, self._slots)

    @override
    def submit(self, item: T) -> Hashable:
        handle: Hashable = self._call.remote(self._shared, item)
        return handle

    @override
    def first_done(self, handles: Sequence[Hashable]) -> Hashable:
        while True:
            ready, _ = ray.wait(list(handles), num_returns=1, timeout=CHECK_S)
            if ready:
                self._has_results = True
                first: Hashable = ready[0]
                return first
            self._check()

    @override
    def result(self, handle: Hashable) -> R:
        self.first_done([handle])
        try:
            value: R = ray.get(cast("ray.ObjectRef[R]", handle))
            return value
        except RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from None
            raise
        except RayError as error:
            raise RunFailedError(
                f"a task was lost with its process or machine {RETRIES + 1} times ({one_line(error)[:300]}); run the "
                "same command again to continue"
            ) from error

    def _check(self) -> None:
        """Counts the tasks that the cluster can run.

        Raises:
            RunFailedError: for `PATIENCE_S` it could run none.
        """
        now_s = time.monotonic()
        self._slots, self._checked_s = slots(self._options), now_s
        if self._slots:
            self._able_s = now_s
        elif now_s - self._able_s > PATIENCE_S:
            raise RunFailedError(
                f"for {PATIENCE_S:.0f} s no machine of the Ray cluster had {describe(self._options)} for a task; run "
                "the same command again to continue"
            )
        if not self._has_results and not self._has_noted and now_s - self._began_s > PATIENCE_S:
            self._has_noted = True
            print("waiting for the Ray cluster: its machines are busy, or start slowly", file=sys.stderr, flush=True)


def call(shared: list[Any], item: Any) -> Any:
    """The task: calls the function for an item, in a process of the cluster."""
    return _load(shared[0])(item)


@lru_cache(maxsize=1)
def _load(reference: Any) -> Callable[[Any], Any]:
    """Receives the function, once in each process, and prepares the process."""
    shared: Shared = ray.get(reference)
    where = socket.gethostname()
    if shared.version != __version__:
        raise ConfigError(f"{where} has tavlo_pl {__version__}, not {shared.version}; install the same version.")
    os.environ.update(shared.variables)
    try:
        os.chdir(shared.folder)
    except OSError as error:
        raise ConfigError(
            f"{where} cannot enter {shared.folder} ({error.strerror}); run the command in a folder that all machines "
            "share."
        ) from error
    shared.begin()
    return shared.function


def slots(options: RayOptions) -> int:
    """Number of tasks that the machines of the cluster can run at the same time, if they run no others."""
    total = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            by_cpus = int(has.get("CPU", 0) / options.cpus)
            total += min(by_cpus, int(has.get("GPU", 0) / options.gpus)) if options.gpus else by_cpus
    return total


def describe(options: RayOptions) -> str:
    """What a task needs, for messages."""
    return f"{options.cpus:g} CPU" + (f" and {options.gpus:g} GPU" if options.gpus else "")


def check_address(address: str) -> None:
    """Checks that something answers at the address of a cluster; Ray itself waits for minutes.

    Raises:
        ConfigError: the address is not one, or nothing answers.
    """
    if address in (THIS_MACHINE, "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16 or "/" in host:
        raise ConfigError(f"--ray.address is {address!r}; give host:port of the head of a Ray cluster, auto or local.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise ConfigError(
            f"nothing answers at --ray.address {address} ({error.strerror or error}); start Ray there with ray start "
            f"--head --port {port}, or correct the address."
        ) from error


@contextmanager
def connected(options: RayOptions) -> Iterator[None]:
    """Connects to a cluster, or starts Ray on this machine; ends the connection with the block.

    Ray on this machine accepts only who has `TOKEN`, and writes to a folder that is removed at the end.

    Raises:
        ConfigError: it cannot be reached.
        RunFailedError: Ray does not start on this machine.
    """
    variables = dict(ENVIRONMENT)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
    with ExitStack() as stack:
        if options.address == THIS_MACHINE:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True)
            )  # a short path: those of sockets have at most 107 bytes
            variables |= PATIENT_START | {"RAY_AUTH_TOKEN": TOKEN}
            cpus = max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 1)
            settings |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE_BYTES}
            settings |= {"_temp_dir": folder}
        stack.enter_context(environment(variables))
        logging.getLogger("ray").setLevel(logging.ERROR)  # otherwise it reports that it asks for a key
        try:
            ray.init(options.address, **settings)
        except Exception as error:
            ray.shutdown()
            reason = one_line(error)[:300]
            if options.address == THIS_MACHINE:
                raise RunFailedError(f"Ray does not start on this machine: {reason}") from error
            raise ConfigError(
                f"cannot join the Ray cluster at {options.address}: {reason}; the command must run on one of its "
                "machines, with the same versions of Python and Ray, and with its token."
            ) from error
        stack.callback(ray.shutdown)
        yield


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets environment variables while the block runs, unless the user has set them."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
