"""Does the audit see from which number AVATAR counts its frames, and where it cannot see it?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tavlo_pl.data.audit.frame_offset import agreed_base, fit_frames
from tavlo_pl.data.media import write_clip
from tavlo_pl.errors import CorruptMediaError
from tests.helpers.trees import instance, write_avatar, write_images

CLIP = "l_7B1wnTNtA_00020"
FRAMES = 25


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Writes a clip of 25 frames, annotates some and shows others in their .jpg; tells what each is taken for."""

    def write(shown: dict[str, int], *without: str) -> dict[str, str]:
        frames = {frame: [instance()] for frame in (*shown, *without)}
        write_avatar(tmp_path, {CLIP: frames}, seconds=FRAMES / 25, click_s=(), x264="keyint=12:bframes=3")
        write_images(tmp_path, CLIP, shown)
        return dict(fit_frames(tmp_path / "video" / f"{CLIP}.mp4", tmp_path / "metadata" / CLIP))

    return write


@pytest.mark.parametrize(("offset", "fit", "base"), [(-1, "n-1", 1), (0, "n", 0), (1, "n+1", None)])
def test_the_image_is_found_among_the_three_frames(
    tree: Callable[..., dict[str, str]], offset: int, fit: str, base: int | None
) -> None:
    fits = tree({f"{n:05d}": n + offset for n in (1, 7, 12, 23)})
    assert fits == dict.fromkeys(["00001", "00007", "00012", "00023"], fit)
    assert agreed_base(fits.values()) == base


def test_frame_offset_at_the_ends_and_of_missing_images(
    tree: Callable[..., dict[str, str]],
) -> None:
    fits = tree({"00000": 0, "00004": 19, f"{FRAMES:05d}": FRAMES - 1, f"{FRAMES + 1:05d}": FRAMES - 1}, "00009")
    assert fits == {"00000": "n", "00004": "none", "00009": "no_video", "00025": "n-1", "00026": "past_end"}
    assert agreed_base(fits.values()) is None


def test_a_still_scene_tells_nothing(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    write_clip(tmp_path / "still.mp4", [image] * 10, 25, None, 16_000)
    (tmp_path / "00004.json").touch()
    Image.fromarray(image).save(tmp_path / "00004.jpg")
    (tmp_path / "00006.json").touch()
    (tmp_path / "00006.jpg").write_bytes(b"no image")
    fits = fit_frames(tmp_path / "still.mp4", tmp_path)
    assert fits == {"00004": "alike", "00006": "unreadable"}
    assert agreed_base(fits.values()) is None


def test_images_of_another_size_are_scaled(tree: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    tree({"00006": 6, "00013": 12})
    for path in (tmp_path / "metadata" / CLIP).glob("*.jpg"):
        with Image.open(path) as image:
            image.resize((192, 128)).save(path)
    fits = fit_frames(tmp_path / "video" / f"{CLIP}.mp4", tmp_path / "metadata" / CLIP)
    assert fits == {"00006": "n", "00013": "n-1"}


def test_one_frame_in_twenty_may_disagree() -> None:
    assert agreed_base(["n"] * 19 + ["n-1", "alike", "none"]) == 0
    assert agreed_base(["n-1"] * 19 + ["n+1"]) == 1
    assert agreed_base(["n"] * 18 + ["n-1"]) is None


def test_a_damaged_video_is_an_error(tree: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    tree({"00006": 6})
    video = tmp_path / "video" / f"{CLIP}.mp4"
    video.write_bytes(video.read_bytes()[:600])
    with pytest.raises(CorruptMediaError):
        fit_frames(video, tmp_path / "metadata" / CLIP)
