"""Clips of two equal objects."""

import numpy as np

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.synthetic.activity import pulse
from tavlo_pl.data.synthetic.twins import draw_twins, twin_clips

SPEC = ClipSpec(segments=8, duration_s=4.0, image_size=48, columns_per_segment=50)


def test_twins_differ_in_place_and_motion_alone() -> None:
    sides = []
    for number in range(20):
        one, other = draw_twins(0, number, 4.0).actors
        assert one.category == other.category and one.look == other.look
        assert one.audible and not other.audible and one.activity and other.activity
        times_s = np.arange(0, 4, 0.02)
        pulses = [pulse(actor.activity.bursts, times_s) for actor in (one, other) if actor.activity]
        assert abs(np.corrcoef(pulses)[0, 1]) < 0.6
        sides.append(one.path.centre[0] > other.path.centre[0])
    assert 4 < sum(sides) < 16


def test_twin_clips_have_the_shapes_of_the_format() -> None:
    clips = twin_clips(SPEC, 3)
    assert clips.frames.shape == (3, 8, 48, 48, 3) and clips.frames.dtype == np.uint8
    assert clips.waveform.shape == (3, SPEC.samples) and clips.waveform.any()
    assert clips.masks.shape == (3, 8, 2, 48, 48) and clips.audible.shape == (3, 8)
    assert clips.masks.any((-2, -1)).all() and not clips.masks.all(2).any()
    assert clips.audible.any(1).all()
    assert np.array_equal(clips.frames, twin_clips(SPEC, 3).frames)
