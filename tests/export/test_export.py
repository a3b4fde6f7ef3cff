"""`tavlo export`: the files compute the maps of the model for every B and T, also where torch is not installed."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from tavlo_pl.export.model import ExportedModel, example_inputs
from tavlo_pl.export.write import METADATA_FILE
from tavlo_pl.models.weights_file import write_safe
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tavlo_pl.predict.localizer import Localizer
from tests.helpers.cli import tavlo
from tests.helpers.tiny import Tiny

ROOT = Path(__file__).parents[2]
CLIP = {"segments": 4, "duration_s": 2.0, "image_size": 32, "mel_bands": 16, "columns_per_segment": 20}
SIZES = [(1, 4), (3, 4), (1, 7)]
"""B and T; those of the trace are 2 and 3."""


def checkpoint(folder: Path, **clip: object) -> Path:
    """The tiny model with random weights."""
    torch.manual_seed(0)
    config = {"model": {"class_path": "tests.helpers.tiny.Tiny"}, "data": {"clip": CLIP | clip}}
    path = folder / "tiny.safetensors"
    write_safe(Tiny().state_dict(), {"config": yaml.safe_dump(config), "threshold": 0.25}, path)
    return path


def assert_equal_maps(localizer: Localizer, session: onnxruntime.InferenceSession) -> None:
    """Asserts that maps equal those that the package computes from the same frames and samples."""
    for batch, segments in SIZES:
        frames, waveform = example_inputs(localizer.spec, batch, segments)
        (found,) = session.run(None, {"frames": frames.numpy(), "waveform": waveform.numpy()})
        with torch.no_grad():
            expected = ExportedModel(localizer)(frames, waveform)
            if segments == localizer.spec.segments:
                own = localizer.model.localize(frames, localizer.audio_transform(waveform.flatten(1)))
                assert torch.equal(own, expected)
        assert found.shape == expected.shape and expected.std() > 0
        assert np.abs(found - expected.numpy()).max() < 1e-4


def test_onnx_has_the_maps_of_the_model(tmp_path: Path) -> None:
    source, path = checkpoint(tmp_path), tmp_path / "made" / "tiny.onnx"
    outcome = tavlo("export", "--ckpt_path", source, "--out", path, "--allow_import", "[tests]")
    assert outcome.code == 0 and str(path) in outcome.out, outcome.err
    session = onnxruntime.InferenceSession(str(path))
    assert_equal_maps(load_localizer(source, "cpu", ("tests",)), session)
    about = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert about["threshold"] == 0.25 and about["inputs"] == ["frames", "waveform"] and about["outputs"] == ["heatmap"]
    assert (about["sample_rate_hz"], about["samples_per_segment"], about["segment_s"]) == (16_000, 8_000, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["real", "world"])
def test_packaged_checkpoints_have_equal_maps_in_onnx(name: str, tmp_path: Path) -> None:
    source, path = packaged_checkpoint().with_name(f"{name}.safetensors"), tmp_path / "model.onnx"
    outcome = tavlo("export", "--ckpt_path", source, "--out", path)
    assert outcome.code == 0, outcome.err
    assert_equal_maps(load_localizer(source, "cpu"), onnxruntime.InferenceSession(str(path)))


@pytest.mark.slow
def test_torch_export_has_the_maps_of_the_model(tmp_path: Path) -> None:
    source, path = checkpoint(tmp_path), tmp_path / "tiny.pt2"
    options = ("--ckpt_path", source, "--format", "torch_export", "--allow_import", "[tests]")
    outcome = tavlo("export", "--out", path, *options)
    assert outcome.code == 0, outcome.err
    members = {METADATA_FILE: ""}
    module = torch.export.load(path, extra_files=members).module()
    assert json.loads(json.loads(members[METADATA_FILE])["threshold"]) == 0.25
    localizer = load_localizer(source, "cpu", ("tests",))
    for batch, segments in SIZES:
        inputs = example_inputs(localizer.spec, batch, segments)
        with torch.no_grad():
            assert torch.allclose(module(*inputs), ExportedModel(localizer)(*inputs), atol=1e-6)


@pytest.mark.slow
def test_example_runs_without_torch(world: Path, tmp_path: Path) -> None:
    """The maps of a video equal those of the model for the same windows; importing torch or this package fails."""
    source, path = checkpoint(tmp_path), tmp_path / "tiny.onnx"
    assert tavlo("export", "--ckpt_path", source, "--out", path, "--allow_import", "[tests]").code == 0
    video = min((world / "test" / "video").glob("*.mp4"))
    code = (
        "import runpy, sys; sys.modules |= {'torch': None, 'tavlo_pl': None}; "
        f"sys.argv = ['x', {str(path)!r}, {str(video)!r}, {str(tmp_path / 'found')!r}]; "
        f"runpy.run_path({str(ROOT / 'examples' / 'onnx_video.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    localizer = load_localizer(source, "cpu", ("tests",))
    own = localizer.localize(video)
    count = min(len(own.heatmap), len(found["heatmap"]), CLIP["segments"])  # type: ignore[call-overload]
    assert count == 4 and np.allclose(found["time_s"][:count], own.time_s[:count])
    likeness = np.corrcoef(found["heatmap"][:count].ravel(), own.heatmap[:count].ravel())[0, 1]
    assert likeness > 0.95  # frames and audio are resampled by other code
    assert (tmp_path / "found.mp4").stat().st_size > 0


def test_parts_of_samples_are_refused(tmp_path: Path) -> None:
    source = checkpoint(tmp_path, segments=3, columns_per_segment=30)
    outcome = tavlo("export", "--ckpt_path", source, "--out", tmp_path / "x.onnx", "--allow_import", "[tests]")
    assert outcome.code == 2 and "10666.7 samples of audio" in outcome.err, outcome.err
    assert not (tmp_path / "x.onnx").exists()


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr("tavlo_pl.io.extras.import_module", without)
    outcome = tavlo("export", "--out", tmp_path / "x.onnx")
    assert outcome.code == 2 and "--format onnx needs onnx: pip install 'tavlo_pl[export]'" in outcome.err
