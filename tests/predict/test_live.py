"""The buffer of a live input and its overlays, on a simulated clock."""

import numpy as np
import pytest
from torch import Tensor

from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.data.media.live import LATE_S, MOST_SKEW_S, LiveBuffer
from tavlo_pl.predict.live import Delays, LiveLocalizer
from tavlo_pl.predict.localizer import Localizer
from tests.helpers.clips import clicks
from tests.helpers.predict import SPEC, Brightness, localizer

RATE = 20
START_S = 100.0
"""Presentation time of the first frame; the clock of the process begins at 0."""


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


def image(number: int) -> np.ndarray:
    return np.full((SPEC.image_size, SPEC.image_size, 3), number, np.uint8)


def feed(buffer: LiveBuffer, clock: Clock, first: int, count: int, audio: np.ndarray | None = None) -> None:
    """Frames and audio of 1 / RATE s each, in real time; frame n shows n and has the n-th piece of the audio."""
    step = SAMPLE_RATE_HZ // RATE
    for number in range(first, first + count):
        media_s = START_S + number / RATE
        clock.time_s = (number + 1) / RATE
        buffer.arrive(("video", "audio"), media_s + 1 / RATE)
        buffer.add_images(image(number), image(number), media_s)
        if audio is not None:
            buffer.add_audio(audio[number * step : (number + 1) * step], media_s)


def make() -> tuple[LiveBuffer, Clock]:
    clock = Clock()
    return LiveBuffer(SPEC.duration_s, SPEC.segments, SPEC.image_size, clock), clock


def test_window_has_the_newest_frames_and_their_audio() -> None:
    buffer, clock = make()
    feed(buffer, clock, 0, 60, clicks(3.0, SAMPLE_RATE_HZ, [2.5]))
    window = buffer.window(0, 0.0)
    assert window is not None
    assert window.frames[:, 0, 0, 0].tolist() == [44, 49, 54, 59]  # the ends of four segments of 0.25 s
    assert window.shown[0, 0, 0] == 59
    assert window.numbers[-1] == 60
    # The window ends with the start of frame 59, at 2.95 s, so that it begins at 1.95 s.
    assert np.abs(window.waveform).argmax() == pytest.approx((2.5 - 1.95) * SAMPLE_RATE_HZ, abs=2)
    assert window.waveform.shape == (SPEC.samples,)
    assert window.time_s == pytest.approx(2.95)
    assert buffer.window(window.numbers[-1], 0.0) is None


def test_frames_before_the_last_are_known_ones_near_their_time() -> None:
    buffer, clock = make()
    feed(buffer, clock, 0, 60, np.ones(SAMPLE_RATE_HZ * 3, np.float32))
    window = buffer.window(0, 0.0, known={41, 43, 53})  # of frames 40, 42 and 52; numbers are counted from 1
    assert window is not None
    # 44, 49 and 54 are wanted, at most 0.125 s away; frame 49 is exact: 52 is 0.15 s away
    assert window.frames[:, 0, 0, 0].tolist() == [42, 49, 52, 59]
    assert window.numbers == [43, 50, 53, 60]


def test_start_of_an_input_holds_its_first_frame() -> None:
    buffer, clock = make()
    feed(buffer, clock, 0, 6, np.ones(SAMPLE_RATE_HZ, np.float32))
    window = buffer.window(0, 0.0)
    assert window is not None
    assert window.frames[:, 0, 0, 0].tolist() == [0, 0, 0, 5]
    assert not window.waveform[: SPEC.samples - round(0.25 * SAMPLE_RATE_HZ)].any()
    assert window.waveform[-100:].all()


def test_frame_waits_for_its_audio_but_not_forever() -> None:
    buffer, clock = make()
    feed(buffer, clock, 0, 10, np.ones(SAMPLE_RATE_HZ, np.float32))
    feed(buffer, clock, 10, 5)
    window = buffer.window(0, 0.0)
    assert window is not None
    assert window.numbers[-1] == 11  # the frame at the end of the audio
    assert buffer.window(11, 0.0) is None
    feed(buffer, clock, 15, round(MOST_SKEW_S * RATE))
    later = buffer.window(11, 0.0)
    assert later is not None
    assert later.numbers[-1] == 15
    assert not later.waveform[-round(0.1 * SAMPLE_RATE_HZ) :].any()


def test_buffer_forgets_what_no_window_needs() -> None:
    buffer, clock = make()
    feed(buffer, clock, 0, 250, np.ones(SAMPLE_RATE_HZ * 13, np.float32))
    assert len(buffer._frames) <= (SPEC.duration_s + 1) * RATE + 1
    assert len(buffer._audio) == round((SPEC.duration_s + 1) * SAMPLE_RATE_HZ)


def test_clock_that_is_set_back_begins_anew() -> None:
    buffer, clock = make()
    feed(buffer, clock, 100, 20, np.ones(SAMPLE_RATE_HZ * 6, np.float32))
    feed(buffer, clock, 0, 20, np.ones(SAMPLE_RATE_HZ, np.float32))
    window = buffer.window(20, 0.0)
    assert window is not None
    assert window.shown[0, 0, 0] == 19


def test_arrival_measures_the_shortest_delay() -> None:
    buffer, clock = make()
    clock.time_s = 5.0
    assert buffer.arrive(("video",), 1.0) == 0
    clock.time_s = 5.5
    assert buffer.arrive(("video",), 1.2) == pytest.approx(0.3, abs=0.01)
    assert buffer.arrive(("video",), 3.0) == 0  # what FFmpeg had buffered arrives at once
    clock.time_s = 6.0
    assert buffer.arrive(("video",), 3.1) == pytest.approx(0.4, abs=0.01)


def test_slow_clock_of_an_input_is_followed() -> None:
    buffer, clock = make()
    for second in range(3600):
        clock.time_s = float(second)
        assert buffer.arrive(("video",), second * (1 - 1e-4)) < 0.001  # 0.36 s an hour
    clock.time_s = 3601.0
    assert buffer.arrive(("video",), 0.0) == 0  # the input began again


class SlowBrightness(Brightness):
    """Takes 0.3 s of the simulated clock, in which six frames arrive."""

    def __init__(self, buffer: LiveBuffer, clock: Clock) -> None:
        super().__init__()
        self.buffer, self.clock = buffer, clock

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        count = self.buffer.count
        if count < 100:
            feed(self.buffer, self.clock, count, 6, np.ones(SAMPLE_RATE_HZ * 6, np.float32))
        return super().localize(frames, spectrogram)


def test_slow_model_skips_frames_and_never_falls_behind() -> None:
    buffer, clock = make()
    feed(buffer, clock, 0, 10, np.ones(SAMPLE_RATE_HZ, np.float32))
    slow = Localizer(SlowBrightness(buffer, clock), SPEC, 0.0, localizer().device)
    live = LiveLocalizer(slow, buffer)
    images = list(live.images(lambda: False))
    behind_s = [each.behind_s for each in images[:-1]]
    assert len(images) == 16  # of 100 frames
    assert behind_s == pytest.approx([0.35] * 15)  # the frame itself and six more, with no trend
    assert live.delays.summary(3).startswith("16 images, behind the input by 0.35 s (median)")
    assert images[0].jpeg.startswith(b"\xff\xd8")
    assert images[0].sounds[0].name == "engine"
    assert isinstance(slow.model, SlowBrightness)
    assert slow.model.frames <= 2 + 2 * 15  # of 4 in a window: its last one, and one of those between known ones


def test_late_frames_are_dropped() -> None:
    import av

    buffer, clock = make()
    frame = av.VideoFrame.from_ndarray(image(9), format="rgb24")
    buffer.arrive(("video",), START_S)
    buffer.add_frame(frame, START_S)
    clock.time_s = LATE_S + 0.1
    buffer.add_frame(frame, START_S + 0.05)
    assert (buffer.count, buffer.dropped) == (1, 1)
    assert Delays().summary(1) == "no image was made"
