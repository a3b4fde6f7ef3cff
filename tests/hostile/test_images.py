"""Images that are none, are too large, or are of a format whose reader starts a program."""

import io
import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from tavlo_pl.data.annotations import read_mask
from tavlo_pl.data.audit.frame_offset import _fit
from tavlo_pl.data.synthetic import materials
from tavlo_pl.data.synthetic.materials import FromFiles
from tavlo_pl.errors import TavloError
from tavlo_pl.io.images import decode_image
from tests.helpers.hostile import refusal


def encoded(form: str, size: tuple[int, int] = (4, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, form)
    return file.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8) -> bytes:
    """A PNG file of grey pixels that states a size."""
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = [(b"IHDR", head), *(chunks or [(b"IDAT", zlib.compress(bytes(1000)))]), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


IMAGES: dict[str, Callable[[], bytes]] = {
    "no bytes": lambda: b"",
    "text": lambda: b"image",
    "page": lambda: b"<html>" * 50,
    "EPS": lambda: encoded("EPS"),
    "TIFF": lambda: encoded("TIFF"),
    "GIF": lambda: encoded("GIF"),
    "ICO": lambda: encoded("ICO"),
    "PPM": lambda: encoded("PPM"),
    "PDF": lambda: encoded("PDF"),
    "cut": lambda: encoded("PNG", (300, 300))[:60],
    "cut JPEG": lambda: encoded("JPEG")[:40],
    "80 million pixels": lambda: png(10_000, 8_000),
    "a row of 2**31": lambda: png(2**31 - 1, 1),
    "2**62 pixels": lambda: png(2**31 - 1, 2**31 - 1),
    "no pixels": lambda: png(0, 5),
    "no data": lambda: png(5, 5, (b"tEXt", b"a\0b")),
    "damaged data": lambda: png(50, 50, (b"IDAT", b"x" * 50)),
    "other depth": lambda: png(5, 5, depth=7),
    "text that unpacks": lambda: png(5, 5, (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**24)))),
    "short header": lambda: b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 3) + b"IHDRabc",
    "BMP of 2**31": lambda: b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, 2**31 - 1, 2**31 - 1, 1, 24, *[0] * 6),
    "JPEG of 65,500": lambda: encoded("JPEG").replace(struct.pack(">HH", 4, 4), struct.pack(">HH", 65_500, 65_500), 1),
}


@pytest.mark.parametrize("make", IMAGES.values(), ids=IMAGES)
def test_image_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], bytes]
) -> None:
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("it starts a program"))
    content = make()
    with pytest.raises(ValueError, match=r"."):
        decode_image(content, "RGB")
    (tmp_path / "a.png").write_bytes(content)
    assert "a.png" in refusal(lambda: read_mask(tmp_path / "a.png"))
    assert "a.png" in refusal(lambda: materials._open(tmp_path / "a.png", "RGBA"))
    assert _fit(tmp_path / "a.png", {"n": np.zeros((4, 4, 3), np.uint8)}) == "unreadable"


def write_sound(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_767).astype("<i2").tobytes())


def test_sprites_that_are_odd_are_refused_or_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_backgrounds").mkdir()
    (tmp_path / "_backgrounds" / "a.png").write_bytes(encoded("PNG", (1, 1)))
    for name in "abcde":
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(encoded("PNG", (1, 4000) if name == "a" else (4000, 1)))
        write_sound(tmp_path / name / "a.wav", np.zeros(2 if name == "a" else 900, np.float32))
    found = FromFiles(str(tmp_path), "train")
    rng = np.random.default_rng(0)
    for name in "ab":
        look: Any = type("Look", (), {"variant": 3})()
        assert min(found.sprite(name, look).size) >= 1
        assert np.isfinite(found.voice(name, 500, rng)).all()
    assert found.background(0, (96, 64)).size == (96, 64)
    monkeypatch.setattr(materials, "LONGEST_RECORDING_S", 0.5)
    write_sound(tmp_path / "c" / "a.wav", np.ones(40_000, np.float32) / 2)
    assert len(materials._recording(tmp_path / "c" / "a.wav")) == 8_000
    write_sound(tmp_path / "e" / "a.wav", np.zeros(1, np.float32))
    one_sample = (tmp_path / "e" / "a.wav").read_bytes()
    for content in (b"", b"RIFF", b"RIFF" + bytes(100), one_sample):
        (tmp_path / "d" / "a.wav").write_bytes(content)
        with pytest.raises(TavloError, match=r"a\.wav"):
            found.voice("d", 500, rng)
