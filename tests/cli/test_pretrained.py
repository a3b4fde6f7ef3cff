"""Encoders of timm and transformers by configuration, small and with random weights: fit, test and predict."""

from pathlib import Path

import pytest
import yaml

from tests.helpers.cli import tavlo
from tests.helpers.pretrained import audio_model
from tests.helpers.run import data_config

CONFIG = Path(__file__).parents[2] / "configs" / "model" / "tavlo_dinov3_ast.yaml"
SEGMENTS, PIXELS = 3, 64
WARNING = "frozen encoders of the model have random weights (visual, audio)"

pytestmark = pytest.mark.filterwarnings("ignore")


def options(network: str, audio: Path) -> list[object]:
    """The recommended configuration with other networks; a transformer's positions are for one size of frames."""
    visual = {"name": network, "weights": "none"} | ({"image_size": PIXELS} if "vit" in network else {})
    words: list[object] = ["--model", CONFIG]
    for encoder, changed in (("visual", visual), ("audio", {"name": audio, "weights": "none"})):
        words += [
            word for key, value in changed.items() for word in (f"--model.init_args.{encoder}.init_args.{key}", value)
        ]
    return words


def short_run(world: Path, folder: Path) -> Path:
    """One step on the tiny world, with waveforms."""
    data = data_config(world, SEGMENTS, PIXELS)
    data["clip"] = {"segments": SEGMENTS, "duration_s": 2.0, "image_size": PIXELS, "frequencies": "none"}
    trainer = {"accelerator": "cpu", "max_epochs": 1}
    limits = {f"limit_{stage}_batches": 1 for stage in ("train", "val", "test")}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump({"data": data, "trainer": trainer | limits | quiet}))
    return config


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("test_vit3", "ast"),
        pytest.param("test_efficientnet", "clap", marks=pytest.mark.slow),
        pytest.param("test_resnet", "wav2vec2", marks=pytest.mark.slow),
        pytest.param("test_convnext", "hubert", marks=pytest.mark.slow),
    ],
)
def test_encoders_by_name_run_fit_test_and_predict(network: str, kind: str, world: Path, tmp_path: Path) -> None:
    config = short_run(world, tmp_path)
    words = [*options(network, audio_model(tmp_path, kind)), "-c", config]
    fitted = tavlo("fit", *words, "--out", tmp_path / "out")
    assert fitted.code == 0 and fitted.err.count(WARNING) == 1, fitted.err
    best = tmp_path / "out" / "checkpoints" / "best.ckpt"
    tested = tavlo("test", "--ckpt_path", best, "-c", config)
    assert tested.code == 0 and WARNING not in tested.err, tested.err
    video = next((world / "test" / "video").glob("*.mp4"))
    predicted = tavlo("predict", video, "--ckpt_path", best, "--out", tmp_path / "maps", "--trainer.accelerator", "cpu")
    assert predicted.code == 0, predicted.err
    assert (tmp_path / "maps" / f"{video.stem}.npz").is_file()


def test_a_test_without_weights_warns(world: Path, tmp_path: Path) -> None:
    config = short_run(world, tmp_path)
    words = [*options("test_vit3", audio_model(tmp_path, "ast")), "-c", config, "--out", tmp_path / "out"]
    outcome = tavlo("test", *words, "--allow_untrained")
    assert outcome.code == 0 and outcome.err.count(WARNING) == 1, outcome.err
