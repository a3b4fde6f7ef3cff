"""How much of a full decode does reading T frames and the sound of a clip cost?   make bench

Rounds of all ways are interleaved and the fastest counts, so that no other program on the machine decides.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from tavlo_pl.data.media import read_clip, write_clip

CLIPS = 3
ROUNDS = 5
DURATION_S = 10.0
FRAME_RATE = 30
SIZE = (360, 640)


def picture(clip: int) -> Iterator[np.ndarray]:
    """(360, 640, 3) frames: a textured background that drifts, and a disk that moves faster."""
    rng = np.random.default_rng(clip)
    texture = np.kron(rng.integers(40, 200, (SIZE[0] // 8, SIZE[1] // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    y, x = np.ogrid[: SIZE[0], : SIZE[1]]
    for number in range(int(DURATION_S * FRAME_RATE)):
        frame = np.roll(texture, number, axis=1)
        centre = (180 + 100 * np.sin(number / 9), 320 + 200 * np.cos(number / 13))
        frame[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 60**2] = (220, 60, 20)
        yield frame


def decode_all(path: Path) -> None:
    """The limit: every frame decoded in one thread, none converted."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        for _ in container.decode(video=0):
            pass


def read(frames: int) -> Callable[[Path], None]:
    """Reading so many frames at 224 x 224, and the sound."""
    times_s = (np.arange(frames) + 0.5) * DURATION_S / frames
    return lambda path: (read_clip(path, times_s, (224, 224), 0.0, DURATION_S), None)[1]


def main() -> None:
    """Prints the fastest time a clip of each way, and its ratio to the limit."""
    ways = {"all frames decoded": decode_all, "read_clip, T = 10": read(10), "read_clip, T = 32": read(32)}
    fastest = dict.fromkeys(ways, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{clip}.mp4") for clip in range(CLIPS)]
        for clip, path in enumerate(paths):
            sound = np.random.default_rng(clip).normal(0, 0.1, int(DURATION_S * 16_000)).astype(np.float32)
            write_clip(path, picture(clip), FRAME_RATE, sound, 16_000, threads=2)
        for _ in range(ROUNDS):
            for name, way in ways.items():
                start_s = time.process_time()
                for path in paths:
                    way(path)
                fastest[name] = min(fastest[name], (time.process_time() - start_s) / CLIPS)
    limit_s = fastest["all frames decoded"]
    for name, seconds in fastest.items():
        print(f"{name:<20}{1000 * seconds:7.0f} ms CPU a clip{seconds / limit_s:7.2f} of the limit")


if __name__ == "__main__":
    main()
