"""One annotator per clip: locks that several servers on one folder share, and that expire without page or server."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tavlo_pl.io.atomic import write_text_atomic

EXPIRES_S = 90.0
"""A lock is free this long after its page last renewed it; pages renew every `RENEWED_S` seconds."""

RENEWED_S = 30.0


@dataclass(frozen=True)
class Holder:
    """Who works on a clip.

    Attributes:
        session: of the page.
        annotator: name that is shown to others.
        until_s: end of the lock, seconds since 1970.
        machine: of the server.
        process: of the server; a lock of a server that was killed is free.
    """

    session: str
    annotator: str
    until_s: float
    machine: str
    process: int

    @property
    def is_alive(self) -> bool:
        """Whether the lock is not expired, and its server runs as far as this machine can tell."""
        if not time.time() < self.until_s <= time.time() + 10 * EXPIRES_S:
            return False
        if self.machine != socket.gethostname():
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            return True
        return True


class ClipLocks:
    """The locks of a project.

    Args:
        folder: with one file for each locked clip.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, clip: str, session: str, annotator: str) -> Holder:
        """Takes or renews a lock.

        Returns:
            Who has the lock now: the session itself, or the one that had it before.
        """
        with self._mutex():
            holder = self._read(self._path(clip))
            if holder is not None and holder.session != session:
                return holder
            mine = Holder(session, annotator, time.time() + EXPIRES_S, socket.gethostname(), os.getpid())
            write_text_atomic(self._path(clip), json.dumps(asdict(mine)))
            return mine

    def release(self, clip: str, session: str) -> None:
        """Frees a clip if the session has its lock."""
        with self._mutex():
            holder = self._read(self._path(clip))
            if holder is None or holder.session == session:
                self._path(clip).unlink(missing_ok=True)

    def holders(self) -> dict[str, Holder]:
        """Who works on which clip."""
        found = {path.name[: -len(".lock")]: self._read(path) for path in self.folder.glob("*.lock")}
        return {clip: holder for clip, holder in found.items() if holder is not None}

    def _path(self, clip: str) -> Path:
        return self.folder / f"{clip}.lock"

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".mutex").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _read(path: Path) -> Holder | None:
        """The holder of a lock; None if it is free, expired or damaged."""
        try:
            stored: Any = json.loads(path.read_text(encoding="utf-8"))
            until_s, process = float(stored["until_s"]), int(stored["process"])
            holder = Holder(
                str(stored["session"]), str(stored["annotator"]), until_s, str(stored["machine"]), max(1, process)
            )
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
        return holder if holder.is_alive else None
