"""One command in one run folder: lock, files of the start, messages, stop signals, exit code."""

import os
import shlex
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import TracebackType

import yaml
from jsonargparse import Namespace

from tavlo_pl import __version__, env
from tavlo_pl.errors import INTERRUPTED, TERMINATED, ConfigError
from tavlo_pl.io import hub
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.locking import exclusive_folder
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.remote import is_address, plain, shown, staging
from tavlo_pl.run import directory, provenance
from tavlo_pl.run.exit import REQUEUE, StopSignals, TrainingStopped, exit_with_parent, requeue, to_user_error


class RunSession:
    """Runs a command in its run folder; the end of the ``with`` block releases the folder and converts errors.

    Args:
        args: command line without ``tavlo``: the command and its options.

    Attributes:
        command: fit, validate, test, predict or diagnose.
        folder: the run folder, after `open`; a temporary one if the run folder is in object storage.
        remote: the run folder in object storage, where the files of `folder` go at the end; None for one on disk.
        resumes: whether ``fit`` resumes from ``last.ckpt``.
        signals: the stop signals that this process has received.
    """

    def __init__(self, args: Sequence[str]) -> None:
        self.args = list(args)
        self.command = args[0]
        self.folder = Path()
        self.remote: OutputFolder | None = None
        self.resumes = False
        self.signals = StopSignals()
        self._is_first_process = env.process_number() == 0
        self._is_started = False
        self._lock = ExitStack()

    def __enter__(self) -> "RunSession":
        """Returns the session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Releases the lock of the run folder and raises any exception as an error for the user.

        Raises:
            TavloError: the block raised an ``Exception``.
        """
        with self._lock:
            if isinstance(error, Exception):
                raise to_user_error(error, self.command, self.error_log) from error

    @property
    def place(self) -> str:
        """The run folder as a path or an address."""
        return self.remote.root if self.remote is not None else str(self.folder)

    @property
    def command_line(self) -> str:
        """The command as a user types it."""
        return shlex.join(["tavlo", *self.args])

    @property
    def error_log(self) -> Path | None:
        """File for the traceback of a failed run; None before the run has started."""
        return self.folder / directory.ERROR_LOG if self._is_started and self.remote is None else None

    def open(self, options: Namespace, config: str | None, *, is_packaged: bool) -> str | None:
        """Chooses and locks the run folder; for ``fit`` makes sure that a run may start in it.

        Args:
            options: the parsed command line.
            config: the first configuration file, after which a new folder is named.
            is_packaged: whether the checkpoint is the one in the package, where no results go.

        Returns:
            The path of the checkpoint.

        Raises:
            CheckpointError: the checkpoint is missing.
            ConfigError: another process uses the folder, it is not empty, or ``predict`` was started as one of several
                processes.
        """
        checkpoint = directory.find_checkpoint(options.ckpt_path, options.out, self.command)
        has_released_weights = bool(options.get("model.init_args.init_from"))
        if self.command != "fit" and not (checkpoint or options.allow_untrained or has_released_weights):
            raise directory.no_weights(self.command)
        own = None if is_packaged or hub.is_address(options.ckpt_path) else checkpoint
        options.out = plain(options.out) if options.out else None
        if is_address(options.out) and self.command != "predict":
            raise ConfigError(
                f"--out {shown(options.out)}: {self.command} writes to folders; only predict to addresses"
            )
        self.folder = directory.choose(self.command, options.out, own, config)
        if is_address(options.out):
            self.remote = OutputFolder(options.out)
            self.folder = self._lock.enter_context(staging(options.out))
        self.resumes = self.command == "fit" and options.ckpt_path == directory.LAST
        if self.command == "predict" and not self._is_first_process:
            raise ConfigError("predict is one process; start it once, with --engine ray for several processes.")
        if self._is_first_process:
            self._lock.enter_context(exclusive_folder(self.folder))
        if self._is_first_process and self.command == "fit":
            directory.prepare(self.folder, resumes=self.resumes, overwrite=options.overwrite)
        return str(checkpoint) if checkpoint else None

    def run(self, stage: Callable[[], object], config: dict[str, object]) -> None:
        """Runs a stage in the folder and prints the folder before and after.

        Args:
            stage: does the work of the command.
            config: the resolved configuration as plain values, written to ``config.yaml``.

        Raises:
            SystemExit: a signal stopped the run.
        """
        self._is_started = True
        if self._is_first_process:
            self._write_start(config)
            os.environ[env.RUN_FOLDER] = str(self.folder)  # for the processes that Lightning starts
        elif env.RUN_FOLDER in os.environ:
            threading.Thread(target=exit_with_parent, args=[os.getppid()], daemon=True).start()
        try:
            with self.signals.handled() if self.command == "fit" else nullcontext():
                stage()
        except TrainingStopped as stop:
            self._exit_stopped(stop)
        except SystemExit as stop:  # Lightning raises it after a KeyboardInterrupt, and after SIGTERM before training
            sys.exit(INTERRUPTED if stop.code else TERMINATED)
        finally:
            if self._is_first_process:
                os.environ.pop(env.RUN_FOLDER, None)
        if self._is_first_process:
            print(f"run folder: {self.place}", flush=True)

    def _write_start(self, config: dict[str, object]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = f"# tavlo {__version__}\n{yaml.safe_dump(config, sort_keys=False)}"
        write_text_atomic(self.folder / directory.CONFIG, text)
        provenance.record_start(self.folder, self.args, resumes=self.resumes)
        if self.remote is not None:
            for name in (directory.CONFIG, directory.PROVENANCE):
                self.remote.put(self.folder / name, name)
        print(f"run folder: {self.place}", flush=True)

    def _exit_stopped(self, stop: TrainingStopped) -> None:
        if not self._is_first_process:  # after another code Lightning would kill the first process, which still reports
            sys.exit(0)
        command = f"tavlo fit --ckpt_path last --out {self.folder}"
        print(f"\n{stop}; resume with: {command}", file=sys.stderr, flush=True)
        if stop.signal_number == REQUEUE:
            requeue()
        sys.exit(128 + stop.signal_number)
