"""``tavlo data components``: the file fits the encoder, equal for equal seeds, and mistakes end with one sentence."""

import shutil
from pathlib import Path

import pytest
import torch

from tavlo_pl.nn.pretrained import EfficientNetLite0, PrincipalComponents
from tests.commands.test_data_features import weights, write_model
from tests.helpers.cli import Outcome, tavlo


def run(world: Path, model: Path, out: Path, *options: object) -> Outcome:
    source = f"--source tavlo_pl.data.datasets.VGGSound --source.root {world / 'train'} --source.csv null"
    form = f"--source.ids null --duration_s 2 --image_size 64 --frames 4 --model {model} --out {out}"
    return tavlo("data", "components", *f"{source} {form}".split(), *options)


def test_components_of_videos_fit_the_encoder(world: Path, tmp_path: Path) -> None:
    model, file, lite0 = write_model(tmp_path), tmp_path / "new" / "c.safetensors", weights()["visual"]
    options: list[object] = ["--visual_weights", lite0, "--count", 12]
    outcome = run(world, model, file, *options)
    assert outcome.code == 0, outcome.err
    assert "12 of 112 channels" in outcome.out
    encoder = PrincipalComponents(EfficientNetLite0((16,), weights=str(lite0)), 12, str(file))
    assert encoder.pretrained
    frames = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert encoder(frames).shape == (1, 12, 4, 4)
    assert run(world, model, tmp_path / "again.safetensors", *options).code == 0
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()
    other = run(world, model, tmp_path / "other.safetensors", *options, "--seed", 1)
    assert other.code == 0 and (tmp_path / "other.safetensors").read_bytes() != file.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --visual_weights FILE"),
        (("--frames", 0), "--frames, --image_size and --duration_s above 0"),
        (("--visual_weights", "missing.safetensors"), "missing.safetensors"),
    ],
)
def test_mistakes_are_one_sentence(world: Path, tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    outcome = run(world, write_model(tmp_path), tmp_path / "c.safetensors", *options)
    assert outcome.code == 2 and message in outcome.err and not (tmp_path / "c.safetensors").exists()


def test_too_many_and_trained_are_refused(world: Path, tmp_path: Path) -> None:
    model, lite0 = write_model(tmp_path), weights()["visual"]
    many = run(world, model, tmp_path / "c.safetensors", "--visual_weights", lite0)
    assert many.code == 2 and "--count is 384" in many.err
    model.write_text(model.read_text().replace("strides", "trained: all\n      strides", 1))
    trained = run(world, model, tmp_path / "c.safetensors", "--visual_weights", lite0)
    assert trained.code == 2 and "its visual encoder is not frozen" in trained.err


def test_unreadable_clips_are_left_out(world: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "abcdefghijk_000001.mp4").write_bytes(b"no video")
    source = f"--source tavlo_pl.data.datasets.VGGSound --source.root {tmp_path / 'videos'} --source.split null"
    words = [*source.split(), "--model", write_model(tmp_path), "--visual_weights", weights()["visual"]]
    words += ["--count", 12, "--duration_s", 2, "--image_size", 64, "--out", tmp_path / "c.safetensors"]
    bad = tavlo("data", "components", *words)
    assert bad.code == 1 and "1 of 1 clips cannot be read, the first because: " in bad.err
    assert "abcdefghijk_000001.mp4" in bad.err and not (tmp_path / "c.safetensors").exists()
    shutil.copy(next((world / "train").rglob("*.mp4")), tmp_path / "videos" / "abcdefghijk_000002.mp4")
    some = tavlo("data", "components", *words)
    assert some.code == 0 and "1 of 2 clips cannot be read" in some.err and (tmp_path / "c.safetensors").is_file()
