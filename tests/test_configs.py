"""Every packaged configuration parses; every experiment runs fit, test and predict on a tiny world."""

from pathlib import Path

import pytest
import torch
import yaml

from benchmarks import release
from tavlo_pl.data.spectrogram import WaveformColumns
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.predict.checkpoint import load_model
from tests.helpers.cli import tavlo
from tests.helpers.run import data_config

CONFIGS = Path(__file__).parents[1] / "configs"
TRAINER = {
    "accelerator": "cpu",
    "devices": 1,
    "strategy": "auto",
    "precision": None,
    "max_epochs": 1,
    "max_steps": -1,
    "max_time": None,
    "limit_train_batches": 2,
    "limit_val_batches": 1,
    "val_check_interval": None,
    "check_val_every_n_epoch": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}

LIGHT_ENCODERS = {
    "visual": {"class_path": "tavlo_pl.nn.visual.ShuffleNet", "init_args": {"weights": "none"}},
    "audio": {"class_path": "tavlo_pl.nn.clip_audio.SmallAudio", "init_args": {"width": 116}},
}
"""Replace two ResNets, whose checkpoints take most of the time; test_contract.py tests the models with ResNets."""

pytestmark = pytest.mark.filterwarnings("ignore")


def each_config(*folders: str, fast: tuple[str, ...] | None = None) -> pytest.MarkDecorator:
    """Parametrises a test with the configurations of some folders; all but the `fast` ones are marked `slow`."""
    files = sorted(file for folder in folders for file in (CONFIGS / folder).glob("*.yaml"))
    is_slow = [fast is not None and file.stem not in fast for file in files]
    cases = [
        pytest.param(file, marks=[pytest.mark.slow] if slow else [], id=f"{file.parent.name}-{file.stem}")
        for file, slow in zip(files, is_slow, strict=True)
    ]
    return pytest.mark.parametrize("config", cases)


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in configurations are relative to the root of the checkout."""
    monkeypatch.chdir(CONFIGS.parent)


@each_config("exp")
def test_experiment_parses_and_begins_with_its_command(config: Path) -> None:
    first = config.read_text().splitlines()[0]
    assert first == f"# run: tavlo fit -c configs/exp/{config.name}"
    outcome = tavlo("fit", "-c", config, "--print_config")
    assert outcome.code == 0, outcome.err


@each_config("exp", fast=("demo", "material", "slavc"))
def test_experiment_runs_fit_test_and_predict(config: Path, world: Path, tmp_path: Path) -> None:
    printed = tavlo("fit", "-c", config, "--print_config")
    assert printed.code == 0, printed.err
    resolved = yaml.safe_load(printed.out)
    tiny = tmp_path / "tiny.yaml"
    content: dict[str, object] = {"trainer": TRAINER, "data": data_config(world, image_size=64)}
    if resolved["model"]["init_args"].get("audio", {}).get("class_path", "").endswith("AudioResNet18"):
        content["model"] = {"init_args": LIGHT_ENCODERS}
    tiny.write_text(yaml.safe_dump(content))
    words: list[object] = ["fit", "-c", config, "-c", tiny, "--out", tmp_path / "out"]
    if "visual" in resolved["model"]["init_args"]:
        words += ["--model.init_args.visual.init_args.weights", "none"]  # tests download nothing
    fit_test_predict(words, world, tmp_path)


def test_material_tavlo_runs_fit_test_and_predict(world: Path, tmp_path: Path) -> None:
    """With random weights and components, loudness beside YAMNet's embedding, and time shifts within whole clips."""
    tiny = tmp_path / "tiny.yaml"
    random: dict[str, object] = {"weights": "none", "cache": None}
    visual = random | {"encoder": {"init_args": {"weights": "none"}}}
    model_config = {"init_args": {"visual": {"init_args": visual}, "audio": {"init_args": random}}}
    data = data_config(world, segments=4, image_size=64)
    tiny.write_text(yaml.safe_dump({"trainer": TRAINER, "data": data, "model": model_config}))
    exp, material = CONFIGS / "exp" / "material.yaml", CONFIGS / "material" / "tavlo.yaml"
    words: list[object] = ["fit", "-c", exp, "-c", material, "-c", tiny, "--out", tmp_path / "out"]
    fit_test_predict(words, world, tmp_path)
    model = load_model(tmp_path / "out" / "checkpoints" / "best.ckpt")
    assert isinstance(model, TAVLO) and model.audio.width == 1024 + 8 and model.margin == 1
    assert model.objective.config.num_time_shifted == 6 and model.visual.width == 384
    release.main(str(tmp_path / "out" / "checkpoints" / "best.ckpt"), str(tmp_path / "plain.safetensors"))
    plain = load_model(tmp_path / "plain.safetensors")
    assert isinstance(plain, TAVLO) and plain.visual.width == 1392  # the components are in the layer above
    frames, waveform = torch.randint(0, 256, (1, 4, 3, 64, 64), dtype=torch.uint8), torch.randn(1, 32_000) / 10
    maps = [one.localize(frames, WaveformColumns(4)(waveform)) for one in (model, plain)]
    torch.testing.assert_close(maps[1], maps[0], rtol=1e-4, atol=1e-4)


def fit_test_predict(words: list[object], world: Path, tmp_path: Path) -> None:
    """Runs the command of a fit into ``tmp_path / "out"``, and test and predict with its checkpoint."""
    fitted = tavlo(*words)
    assert fitted.code == 0, fitted.err
    best = tmp_path / "out" / "checkpoints" / "best.ckpt"
    tested = tavlo("test", "--ckpt_path", best, "--trainer.accelerator", "cpu")
    assert tested.code == 0, tested.err
    assert (tmp_path / "out" / "test" / "results.json").is_file()
    video = next((world / "test" / "video").glob("*.mp4"))
    predicted = tavlo("predict", "--ckpt_path", best, "--data.root", video, "--trainer.accelerator", "cpu")
    assert predicted.code == 0, predicted.err
    assert (tmp_path / "out" / "predict" / f"{video.stem}.npz").is_file()
    assert (tmp_path / "out" / "predict" / f"{video.stem}.mp4").is_file()


@each_config("model")
def test_model_config_parses(config: Path) -> None:
    outcome = tavlo("fit", "--model", config, "--print_config")
    assert outcome.code == 0, outcome.err
    assert yaml.safe_load(outcome.out)["model"]["class_path"] == yaml.safe_load(config.read_text())["class_path"]


@each_config("peers", "untrained")
def test_model_config_replaces_that_of_the_demo(config: Path) -> None:
    outcome = tavlo("fit", "-c", CONFIGS / "exp" / "demo.yaml", "-c", config, "--print_config")
    assert outcome.code == 0, outcome.err
    model, given = yaml.safe_load(outcome.out)["model"], yaml.safe_load(config.read_text())["model"]
    assert model["class_path"] == given["class_path"]
    assert not model["init_args"].keys() & {"attention", "objective"}  # options of the demo's model


@each_config("material")
def test_material_variant_names_the_linked_weights(config: Path) -> None:
    outcome = tavlo("fit", "-c", CONFIGS / "exp" / "material.yaml", "-c", config, "--print_config")
    assert outcome.code == 0, outcome.err
    text = yaml.safe_dump(yaml.safe_load(outcome.out)["model"])
    assert ".results/weights/efficientnet_lite0.safetensors" in text
    assert ".results/weights/yamnet.safetensors" in text


@each_config("data")
def test_data_config_parses(config: Path) -> None:
    outcome = tavlo("fit", "--model", CONFIGS / "model" / "tavlo.yaml", "--data", config, "--print_config")
    assert outcome.code == 0, outcome.err
    resolved = yaml.safe_load(outcome.out)["data"]
    for name in yaml.safe_load(config.read_text()).keys() & {"train", "val", "test"}:
        assert resolved[name]["class_path"].startswith("tavlo_pl.data.")


@each_config("trainer")
def test_trainer_config_parses(config: Path) -> None:
    outcome = tavlo("fit", "--model", CONFIGS / "model" / "tavlo.yaml", "--trainer", config, "--print_config")
    assert outcome.code == 0, outcome.err


@each_config("search", "ablation")
def test_variant_of_the_demo_parses(config: Path) -> None:
    outcome = tavlo("fit", "-c", CONFIGS / "exp" / "demo.yaml", "-c", config, "--print_config")
    assert outcome.code == 0, outcome.err


@each_config("search", "ablation", fast=("g_silence", "segments_8"))
def test_variant_of_the_demo_trains_one_step(config: Path, world: Path, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.yaml"
    trainer = TRAINER | {"max_steps": 1, "limit_val_batches": 0, "logger": False}
    data = data_config(world, segments=8)
    tiny.write_text(yaml.safe_dump({"trainer": trainer, "data": data}))
    words = ["fit", "-c", CONFIGS / "exp" / "demo.yaml", "-c", config, "-c", tiny, "--out", tmp_path / "out"]
    outcome = tavlo(*words)
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["--model.init_args.attention.layer_scale", "null"], ["attention", "layer_scale"]),
        (["--model.attention.layer_scale=null"], ["attention", "layer_scale"]),
        (["--model.init_args.visual.init_args.cache", "null"], ["visual", "init_args", "cache"]),
        (["--model.init_args.visual.init_args", '{"cache": null}'], ["visual", "init_args", "cache"]),
    ],
)
def test_null_of_a_nested_option_is_no_text(words: list[str], place: list[str]) -> None:
    files = ["-c", CONFIGS / "exp" / "material.yaml", "-c", CONFIGS / "material" / "tavlo.yaml"]
    printed = tavlo("fit", *files, *words, "--print_config")
    assert printed.code == 0, printed.err
    value = yaml.safe_load(printed.out)["model"]["init_args"]
    for key in place:
        value = value[key]
    assert value is None
