import numpy as np
import pytest

from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval


def test_agrees_with_a_loop_over_resamples() -> None:
    rng = np.random.default_rng(1)
    clip = rng.integers(100, 130, size=90)
    values = rng.random((90, 2))
    videos = np.unique(clip)
    draws = np.random.default_rng(5).integers(len(videos), size=(200, len(videos)))
    means = [np.concatenate([values[clip == videos[v]] for v in draw]).mean(0) for draw in draws]
    expected = np.quantile(means, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(bootstrap_interval(values, clip, resamples=200, seed=5), expected, atol=1e-12)


def test_frames_of_one_video_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    video = rng.random(40)
    one = bootstrap_interval(video[:, None], np.arange(40))
    ten = bootstrap_interval(np.repeat(video, 10)[:, None], np.repeat(np.arange(40), 10))
    np.testing.assert_allclose(one, ten, atol=1e-12)
    half_width = 1.96 * video.std() / np.sqrt(40)
    assert one[:, 0].tolist() == pytest.approx([video.mean() - half_width, video.mean() + half_width], abs=0.02)


def test_one_video_has_no_spread() -> None:
    low, high = bootstrap_interval(np.array([[0.2], [0.4]]), np.array([7, 7]))
    assert low.tolist() == high.tolist() == pytest.approx([0.3])
