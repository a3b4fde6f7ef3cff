"""Reads many changed files and counts what becomes of each. Run it with ``make fuzz``.

The only ways out of a reader are its result and a `TavloError`. Anything else, and anything that works longer than
``LIMIT_S``, is an escape; it is printed with what makes it again, and the exit code is 1.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tavlo_pl.errors import ConfigError, TavloError
from tests.fuzz import structured
from tests.fuzz.targets import Target, targets

LIMIT_S = 10
FILES, MEDIA_FILES, STRUCTURED_FILES = 10_000, 300, 20_000
GOOD, REFUSED = "read", "refused"


class Hang(BaseException):
    """A reader took too long."""


def outcome(target: Target, seed: str, folder: Path) -> str:
    """What becomes of the file that a seed draws: read, refused, or the error that escaped."""
    path = folder / target.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(target.make(random.Random(seed)))
    return outcome_of(target.read, path)


def outcome_of(read: Callable[[Path], object], path: Path) -> str:
    """What becomes of a file: read, refused, or the error that escaped; an internal error escapes too."""
    try:
        with _limited():
            read(path)
    except TavloError as error:
        return REFUSED if error.exit_code == ConfigError.exit_code else f"{type(error).__name__}: {error}"
    except (Exception, Hang) as error:  # noqa: BLE001  # it is what we look for
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    return GOOD


def fuzz(kind: str, target: Target, count: int, first: int, folder: Path) -> dict[str, list[str]]:
    """Outcome -> the seeds that had it."""
    found: dict[str, list[str]] = {}
    for number in tqdm(range(first, first + count), desc=kind, leave=False):
        seed = f"{kind} {number}"
        found.setdefault(outcome(target, seed, folder), []).append(seed)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Prints a line a kind; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES, help="files that are no media in all")
    parser.add_argument("--media", type=int, default=MEDIA_FILES, help="media files in all")
    parser.add_argument("--structured", type=int, default=STRUCTURED_FILES, help="well-formed files of other content")
    parser.add_argument("--first", type=int, default=0, help="number of the first file: another one, other files")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    start_s, escapes = time.perf_counter(), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kinds = targets(folder)
        videos = [kind for kind in kinds if kind.startswith("video")]
        for kind, target in kinds.items():
            total, share = (options.media, len(videos)) if kind in videos else (options.files, len(kinds) - len(videos))
            found = fuzz(kind, target, -(-total // share), options.first, folder / kind.replace(" ", "_"))
            escapes[kind] += _report(kind, found)
        for kind, made in structured.KINDS.items():
            count = -(-options.structured * made.share // 100)
            place_of_kind = folder / kind.replace(" ", "_")
            escapes[kind] += _report(kind, structured.fuzz(made, count, options.first, place_of_kind, outcome_of))
    memory_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{escapes.total()} escapes in {time.perf_counter() - start_s:.0f} s, at most {memory_gib:.2f} GiB in all")
    return int(escapes.total() > 0)


def _report(kind: str, found: dict[str, list[str]]) -> int:
    """Prints the line of a kind and what escaped; returns the number of escapes."""
    good, refused = (len(found.pop(name, [])) for name in (GOOD, REFUSED))
    lost = sum(map(len, found.values()))
    print(f"{kind:<32}{good + refused + lost:7} files: {good:6} read, {refused:6} refused, {lost:4} escaped")
    for name, seeds in found.items():
        print(f"    {len(seeds)} x {name}, first by {seeds[0]!r}")
    return lost


@contextmanager
def _limited() -> Iterator[None]:
    def hang(*_: Any) -> None:
        raise Hang(f"no answer in {LIMIT_S} s")

    # Of work, for other work on the machine must make no hang; and of waiting, far more.
    timers = {signal.SIGPROF: (signal.ITIMER_PROF, LIMIT_S), signal.SIGALRM: (signal.ITIMER_REAL, 30 * LIMIT_S)}
    before = {number: signal.signal(number, hang) for number in timers}
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


if __name__ == "__main__":
    sys.exit(main())
