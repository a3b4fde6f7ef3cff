"""Whatever one video raises is reported for it, and the others are written."""

import errno
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from tavlo_pl.data import media
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError
from tavlo_pl.predict import localizer as localizer_module
from tavlo_pl.predict.failures import as_media_error
from tavlo_pl.predict.folder import UNFINISHED, PredictionFolder, PredictOptions
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.run import predict_all
from tests.helpers.clips import write_numbered
from tests.helpers.predict import Brightness, localizer


@pytest.fixture
def videos(tmp_path: Path) -> list[tuple[str, Path]]:
    """Three videos of 0.8 s."""
    (tmp_path / "in").mkdir()
    return [(name, write_numbered(tmp_path / "in" / f"{name}.mp4", seconds=0.8, click_s=(0.4,)).path) for name in "abc"]


def predict(videos: list[tuple[str, Path]], out: Path, made: Localizer | None = None) -> dict[str, str]:
    """Runs the command's loop without overlay videos; returns the failures."""
    folder = PredictionFolder(out, PredictOptions(overlay_videos=False), {})
    try:
        return predict_all(videos, lambda: made or localizer(), folder, progress=False).failed
    except RunFailedError:
        names = {path.name.split(".")[0] for path in out.glob("*.sources.json")}
        return {name: "" for name, _ in videos if name not in names}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("odd"), "ValueError: odd; set TAVLO_DEBUG=1"),
        (MemoryError(), "not enough memory"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (UnicodeEncodeError("utf-8", "\udce9", 0, 1, "no"), "UnicodeEncodeError"),
        (AssertionError(), "AssertionError"),
    ],
)
@pytest.mark.parametrize("place", ["probe", "read_clip", "read_waveform"])
def test_exception_of_one_video_does_not_end_the_run(
    videos: list[tuple[str, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    error: Exception,
    words: str,
) -> None:
    real = getattr(media, place)

    def broken(path: Path, *args: object) -> object:
        if path.name == "b.mp4":
            raise error
        return real(path, *args)

    monkeypatch.setattr(localizer_module.media, place, broken)
    assert list(predict(videos, tmp_path / "out")) == ["b"]
    assert f"b.mp4: {words}" in capsys.readouterr().err
    assert (tmp_path / "out" / "index.html").is_file()


class FailsOnWhite(Brightness):
    """Fails for a batch with a white frame."""

    def localize(self, frames: Tensor, spectrogram: Tensor) -> Tensor:
        if (frames > 250).flatten(1).all(1).any():
            raise RuntimeError("out of memory")
        return super().localize(frames, spectrogram)


def test_videos_of_a_failed_batch_are_computed_alone(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    predict(videos, expected)
    made = localizer()
    made.model = FailsOnWhite()
    real = media.read_clip

    def whiten(path: Path, *args: object) -> media.DecodedClip:
        clip = real(path, *args)  # type: ignore[arg-type]
        frames = np.full_like(clip.frames, 255) if path.name == "b.mp4" else clip.frames
        return media.DecodedClip(frames, clip.frame_time_s, clip.waveform)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(localizer_module.media, "read_clip", whiten)
        assert list(predict(videos, tmp_path / "out", made)) == ["b"]
    for name in "ac":
        maps = [np.load(folder / f"{name}.npz")["heatmap"] for folder in (expected, tmp_path / "out")]
        assert np.array_equal(*maps)


def test_failed_write_leaves_no_heatmaps(
    videos: list[tuple[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    predict(videos, out)
    monkeypatch.setattr("tavlo_pl.predict.folder.write_poster", lambda *_: 1 / 0)
    assert list(predict(videos[:1], tmp_path / "new")) == ["a"]
    assert not {"a.npz", "a.jpg", "a.sources.json", UNFINISHED} & {path.name for path in (tmp_path / "new").iterdir()}
    videos[0][1].touch()
    predict(videos, out)
    assert (out / "a.npz").is_file() and (out / "a.sources.json").is_file(), "earlier results stay"


def test_mistakes_and_full_disks_end_the_run(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(ConfigError), as_media_error(path):
        raise ConfigError("no temporal attention")
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        with pytest.raises(OSError, match="disk"), as_media_error(path):
            raise OSError(number, "disk")
    for number in (errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG, errno.EFBIG):
        with pytest.raises(MediaError, match=r"a\.mp4: here \(there\)"), as_media_error(path):
            raise OSError(number, "here", "there")
    with pytest.raises(KeyboardInterrupt), as_media_error(path):
        raise KeyboardInterrupt


def test_folder_in_the_place_of_a_file_fails_one_video(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    (tmp_path / "out" / "b.npz" / "x").mkdir(parents=True)
    assert list(predict(videos, tmp_path / "out")) == ["b"]
