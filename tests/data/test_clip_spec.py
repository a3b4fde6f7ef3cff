import pytest
import torch

from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.errors import ConfigError


@pytest.mark.parametrize("option", ["segments", "duration_s", "image_size", "mel_bands", "columns_per_segment"])
def test_clip_spec_refuses_numbers_out_of_range(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.clip\.{option} is 0; it must be positive"):
        ClipSpec(**{option: 0})  # type: ignore[arg-type]


def test_clip_spec_refuses_columns_that_skip_audio() -> None:
    with pytest.raises(ConfigError, match=r"segments of 0\.5 s need at least 16"):
        ClipSpec(segments=2, duration_s=1.0, columns_per_segment=15)
    ClipSpec(segments=2, duration_s=1.0, columns_per_segment=16)


def test_clip_spec_makes_the_spectrogram_of_its_clips() -> None:
    spec = ClipSpec(segments=2, duration_s=1.0, mel_bands=16, columns_per_segment=20)
    assert spec.samples == 16_000
    assert spec.audio_transform()(torch.zeros(3, spec.samples)).shape == (3, 1, 16, 40)
    linear = ClipSpec(segments=2, duration_s=1.0, columns_per_segment=20, frequencies="linear")
    assert linear.audio_transform()(torch.zeros(3, spec.samples)).shape == (3, 1, 257, 40)


def test_a_waveform_has_one_column_for_each_segment() -> None:
    spec = ClipSpec(segments=6, duration_s=1.0, frequencies="none")
    waveform = torch.arange(float(spec.samples))[None]
    columns = spec.audio_transform()(waveform)
    assert columns.shape == (1, 1, 2666, 6)
    assert torch.equal(columns[0, 0].mT.flatten(), waveform[0, : 6 * 2666])
    with pytest.raises(ConfigError, match="less than 20 ms"):
        ClipSpec(segments=60, duration_s=1.0, frequencies="none")
