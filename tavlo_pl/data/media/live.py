"""Reads cameras, microphones, network streams and files as they come: the newest frames and audio, never a queue.

A thread reads each container. Every container has its own clock; the difference to the clock of this process is the
smallest between the arrival of a packet and its presentation time, so that what FFmpeg buffered while it opened the
input does not count as delay. Frames that are decoded too late are dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from tavlo_pl.data.media.audio import SAMPLE_RATE_HZ
from tavlo_pl.data.media.display import orientation, to_rgb
from tavlo_pl.data.media.live_input import READ_TIMEOUT_S, LiveInput
from tavlo_pl.errors import MediaError, NoAudioError, NoVideoError

LATE_S = 0.25
"""A frame that is decoded later than this after its arrival is dropped."""

DRIFT = 1e-3
"""By how many seconds in a second the clock of an input may be slower than that of this process; quartz is by 1e-4."""

RESTART_S = 10.0
"""A packet that is later than this has another clock: the input began again."""

LONGEST_PAUSE_S = 60.0
"""A longer gap in the times of a file is shortened to this."""

MOST_SKEW_S = 0.5
"""How long a frame waits for its audio; then the audio counts as silent."""

LONGEST_SIDE_PX = 640
"""Longer side of the frames that are shown."""


@dataclass(frozen=True)
class LiveWindow:
    """What a model gets: the span of a clip that ends with the newest frame that has its audio.

    Attributes:
        frames: (T, S, S, 3) uint8 RGB, the last frame of each segment, or a known one near it.
        numbers: of these frames, counted from 1; the last one is new.
        waveform: (L,) float32 at 16 kHz; 0 where there was no audio.
        shown: (H, W, 3) uint8 RGB, the last of the frames as displayed.
        time_s: when that frame arrived, on the clock of `LiveBuffer`.
    """

    frames: NDArray[np.uint8]
    numbers: list[int]
    waveform: NDArray[np.float32]
    shown: NDArray[np.uint8]
    time_s: float


class LiveBuffer:
    """The newest frames and audio of an input, long enough for one window. Older ones are dropped.

    Args:
        duration_s: length of a window.
        segments: T.
        side: height and width S of the frames that the model gets.
        now: the clock, in seconds.
    """

    def __init__(self, duration_s: float, segments: int, side: int, now: Callable[[], float] = time.monotonic) -> None:
        self.duration_s, self.segments, self.side, self.now = duration_s, segments, side, now
        self.dropped, self.count = 0, 0
        self.shift_s = {"video": float("inf"), "audio": float("inf")}
        self._arrived_s: dict[str, float] = {}
        self._changed = threading.Condition()
        self._frames: deque[tuple[float, NDArray[np.uint8], NDArray[np.uint8], int]] = deque()
        self._audio = np.zeros(round((duration_s + 1) * SAMPLE_RATE_HZ), np.float32)
        self._audio_end_s = -float("inf")
        self._reformatter = VideoReformatter()

    def arrive(self, kinds: tuple[str, ...], media_s: float) -> float:
        """Notes that a packet arrived now; returns by how much it is late, in seconds.

        Args:
            kinds: what its container holds: ``video``, ``audio`` or both.
            media_s: end of the packet on the clock of its container.
        """
        now_s = self.now()
        delay_s = now_s - media_s
        for kind in kinds:
            shift_s = self.shift_s[kind] + DRIFT * (now_s - self._arrived_s.get(kind, now_s))
            self.shift_s[kind] = delay_s if delay_s > shift_s + RESTART_S else min(shift_s, delay_s)
            self._arrived_s[kind] = now_s
        return delay_s - self.shift_s[kinds[0]]

    def add_frame(self, frame: VideoFrame, media_s: float) -> None:
        """Adds a frame, or drops it if it is late."""
        if self.now() - (media_s + self.shift_s["video"]) > LATE_S:
            self.dropped += 1
            return
        turned = orientation(frame)
        size = turned.size(frame.height, frame.width)
        scale = min(1.0, LONGEST_SIDE_PX / max(size))
        shown = to_rgb(frame, turned, (round(size[0] * scale), round(size[1] * scale)), self._reformatter)
        self.add_images(to_rgb(frame, turned, (self.side, self.side), self._reformatter), shown, media_s)

    def add_images(self, image: NDArray[np.uint8], shown: NDArray[np.uint8], media_s: float) -> None:
        """Adds a frame as the (S, S, 3) image for the model and the image that is shown."""
        with self._changed:
            if self._frames and media_s < self._frames[-1][0]:  # the clock was set back: a stream that began again
                self._frames.clear()
            self.count += 1
            self._frames.append((media_s, image, shown, self.count))
            while self._frames[0][0] < media_s - self.duration_s - 1:
                self._frames.popleft()
            self._changed.notify_all()

    def add_audio(self, samples: NDArray[np.float32], media_s: float) -> None:
        """Adds (N,) samples at 16 kHz, the first of them at `media_s`; a gap before them is silent."""
        with self._changed:
            gap = round((media_s - self._audio_end_s) * SAMPLE_RATE_HZ) if np.isfinite(self._audio_end_s) else 0
            if not 0 <= gap < len(self._audio):
                gap = 0 if abs(gap) < SAMPLE_RATE_HZ // 10 else len(self._audio)
            new = np.concatenate([np.zeros(gap, np.float32), samples])[-len(self._audio) :]
            self._audio = np.concatenate([self._audio[len(new) :], new])
            self._audio_end_s = media_s + len(samples) / SAMPLE_RATE_HZ
            self._changed.notify_all()

    def window(self, after: int, patience_s: float, known: Collection[int] = ()) -> LiveWindow | None:
        """Returns the newest window, as soon as there is one that ends after a frame.

        The start of an input has no earlier frames and audio: the first frame is held, and the audio is silent.

        Args:
            after: number of the last frame of the window before.
            patience_s: how long to wait.
            known: numbers of frames whose features were computed. Of the frames before the last one, those are taken
                that are at most half a segment from their time.

        Returns:
            The window; None if no newer frame came in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._last() > after, patience_s):
                return None
            last, audio, audible_s = self._last(), self._audio, self._audible_s
            kept = [frame for frame in self._frames if frame[3] <= last]
        times = np.array([frame[0] for frame in kept])
        wanted = times[-1] - np.arange(self.segments)[::-1] * self.duration_s / self.segments
        chosen = np.clip(np.searchsorted(times, wanted + 1e-6) - 1, 0, None)
        ready = np.array([k for k, frame in enumerate(kept) if frame[3] in known], np.int64)
        if len(ready):
            apart = np.abs(times[ready] - wanted[:-1, None])
            is_near = apart.min(1) <= self.duration_s / self.segments / 2 + 1e-6
            chosen[:-1] = np.where(is_near, ready[apart.argmin(1)], chosen[:-1])
        frames = np.stack([kept[k][1] for k in chosen])
        # Samples after the last frame are left out; samples that did not come in time are silent.
        ahead = round(float(np.clip(audible_s - times[-1], -self.duration_s, 1.0)) * SAMPLE_RATE_HZ)
        tail = audio[: len(audio) - ahead] if ahead > 0 else np.concatenate([audio, np.zeros(-ahead, np.float32)])
        waveform = tail[-round(self.duration_s * SAMPLE_RATE_HZ) :]
        numbers = [kept[k][3] for k in chosen]
        return LiveWindow(frames, numbers, waveform, kept[-1][2], float(times[-1]) + self.shift_s["video"])

    @property
    def _audible_s(self) -> float:
        """End of the audio on the clock of the video; minus infinity before there is audio."""
        is_there = np.isfinite(self._audio_end_s) and np.isfinite(self.shift_s["video"])
        return self._audio_end_s + self.shift_s["audio"] - self.shift_s["video"] if is_there else -float("inf")

    def _last(self) -> int:
        """Number of the newest frame that has its audio, or has waited for it; 0 if there is none."""
        if not self._frames:
            return 0
        audible_s = max(self._audible_s, self._frames[-1][0] - MOST_SKEW_S)
        return next((number for media_s, _, _, number in reversed(self._frames) if media_s <= audible_s), 0)


class LiveReader:
    """Reads one container into a buffer, in a thread.

    Args:
        source: the input.
        kinds: what to read: ``video``, ``audio`` or both.
        buffer: where it goes.

    Attributes:
        failure: why reading ended early; None while it runs and after the end of the input.

    Raises:
        MediaError: the input cannot be opened.
        NoVideoError: it has no video, which `kinds` wants.
        NoAudioError: the same for audio.
    """

    def __init__(self, source: LiveInput, kinds: tuple[str, ...], buffer: LiveBuffer) -> None:
        self.source, self.buffer = source, buffer
        self.failure: MediaError | None = None
        self._container = source.open()
        self._streams: dict[str, Any] = {kind: self._stream(kind) for kind in kinds}
        self._kinds = kinds
        self._resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"live {source.text}")

    def _stream(self, kind: str) -> Any:
        found: list[Any] = [stream for stream in self._container.streams if stream.type == kind]
        found = [stream for stream in found if stream.codec_context is not None]  # None: FFmpeg has no decoder
        if found:
            first: Any = found[0]
            first.thread_type = "SLICE"  # threads that decode several frames at a time delay each of them
            return first
        self._container.close()
        if kind == "video":
            raise NoVideoError(f"{self.source.text}: no video stream; give an input with video")
        raise NoAudioError(f"{self.source.text}: no audio stream; name a microphone with --audio, such as alsa:default")

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends reading; returns when the thread has ended, or is waiting for an input that sends nothing."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(READ_TIMEOUT_S + 1)

    @property
    def is_alive(self) -> bool:
        """Whether more can come."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            with self._container:
                self._read()
        except av.error.ExitError:
            self.failure = MediaError(f"{self.source.text}: nothing came for {READ_TIMEOUT_S:g} s")
        except (av.FFmpegError, ValueError, IndexError) as error:  # the last two: PyAV, of streams that change
            self.failure = MediaError(f"{self.source.text}: {getattr(error, 'strerror', None) or error}")

    def _read(self) -> None:
        for packet in self._container.demux(*self._streams.values()):
            if self._stopped.is_set():
                return
            if packet.pts is None or packet.dts is None:
                continue
            late_s = self._wait(float(packet.dts * packet.time_base + (packet.duration or 0) * packet.time_base))
            if packet.stream.type == "video":
                # Behind by more: frames on which no other depends are not decoded, then only key frames are.
                level = "DEFAULT" if late_s < LATE_S else "NONREF" if late_s < 4 * LATE_S else "NONKEY"
                self._streams["video"].codec_context.skip_frame = level
            try:
                decoded = packet.decode()
            except av.InvalidDataError:  # a damaged packet of a stream: the next key frame repairs it
                continue
            for frame in decoded:
                self._add(frame)

    def _wait(self, media_s: float) -> float:
        """Waits until a packet of a paced input is due; returns by how much any packet is late."""
        buffer = self.buffer
        if self.source.is_paced and np.isfinite(buffer.shift_s[self._kinds[0]]):
            due_s = media_s + buffer.shift_s[self._kinds[0]] - buffer.now()
            self._stopped.wait(min(max(0.0, due_s), LONGEST_PAUSE_S))
        return buffer.arrive(self._kinds, media_s)

    def _add(self, frame: Any) -> None:
        if frame.pts is None or frame.time_base is None:
            return
        media_s = float(frame.pts * frame.time_base)
        if isinstance(frame, VideoFrame):
            self.buffer.add_frame(frame, media_s)
        elif isinstance(frame, AudioFrame):
            frame.pts = None  # the resampler refuses clocks that jump
            blocks = [block.to_ndarray()[0] for block in self._resampler.resample(frame)]
            if blocks:
                self.buffer.add_audio(np.concatenate(blocks), media_s)
