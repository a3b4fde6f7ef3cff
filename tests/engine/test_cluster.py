"""Commands on a Ray cluster of two simulated machines: the bytes of the local engine, also after kills."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from safetensors.torch import save_file

from tavlo_pl.data.shards import write as shard_write
from tavlo_pl.io.remote import join
from tavlo_pl.nn.pretrained import YAMNet
from tavlo_pl.nn.pretrained.cache import KEY_BYTES
from tavlo_pl.predict import run as predict_run
from tavlo_pl.predict.checkpoint import packaged_checkpoint
from tests.helpers import ray_cluster, ray_predict
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.faults import contents
from tests.helpers.ray_cluster import KILLED, TwoMachines, two_machines
from tests.helpers.remote import on_disk

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CHECKPOINT = packaged_checkpoint().with_name("world.safetensors")
SIZE = "--min_frames 1 --max_frames 1000 --duration_s 2 --width null --height null --jobs 1"
SHARDS = "--segments 3 --duration_s 2 --image_size 32 --clips_per_shard 2 --workers 1"


@pytest.fixture(scope="module")
def machines() -> Iterator[TwoMachines]:
    with two_machines() as found:
        yield found


@pytest.fixture
def videos(world: Path, tmp_path: Path) -> Path:
    """The eight training clips of the tiny world, in a folder of their own, with their list."""
    shutil.copytree(world / "train", tmp_path / "videos")
    return tmp_path / "videos"


def run(command: str, videos: Path | str, out: Path | str, *engine: object) -> Outcome:
    """Runs one of the four commands that take an engine."""
    match command:
        case "index":
            table = join(out, "index.parquet") if isinstance(out, str) else out / "index.parquet"
            return tavlo("data", "index", "--root", videos, "--out", table, *SIZE.split(), *engine)
        case "shard":
            source = ("--source", "tavlo_pl.data.datasets.VGGSound", "--source.root", videos, "--source.split", "train")
            return tavlo("data", "shard", *source, *SHARDS.split(), "--out", out, *engine)
        case "propose":
            words = ("--root", videos, "--out", out, *SIZE.split(), "--ckpt_path", CHECKPOINT)
            return tavlo("annotate", "propose", *words, *engine)
    return tavlo("predict", "--data.root", videos, "--out", out, "--ckpt_path", CHECKPOINT, *engine)


def run_on_ray(command: str, videos: Path | str, out: Path | str, machines: TwoMachines) -> None:
    outcome = run(command, videos, out, "--engine", "ray", "--ray.address", machines.address)
    assert outcome.code == 0, outcome.err


def assert_equal_files(one: Path, other: Path) -> None:
    """Asserts equal files, but for the start times of the run."""
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    assert not [name for name in first if first[name] != second[name] and name != "run.json"]


@pytest.mark.parametrize("command", ["index", "shard", "propose", "predict"])
def test_ray_writes_the_bytes_of_the_local_engine(
    machines: TwoMachines, videos: Path, tmp_path: Path, command: str
) -> None:
    machines.complete()
    for name in ("local", "ray"):
        (tmp_path / name).mkdir()
    assert run(command, videos, tmp_path / "local").code == 0
    run_on_ray(command, videos, tmp_path / "ray", machines)
    assert_equal_files(tmp_path / "local", tmp_path / "ray")


@pytest.mark.parametrize("command", ["index", "propose", "predict"])
def test_ray_reads_and_writes_addresses(machines: TwoMachines, videos: Path, tmp_path: Path, command: str) -> None:
    machines.complete()
    for name in ("local", "ray"):
        (tmp_path / name).mkdir()
    outcome = run(command, on_disk(videos), tmp_path / "local")
    assert outcome.code == 0, outcome.err
    run_on_ray(command, on_disk(videos), on_disk(tmp_path / "ray"), machines)
    assert_equal_files(tmp_path / "local", tmp_path / "ray")


def test_ray_stores_the_features_of_the_local_engine(machines: TwoMachines, videos: Path, tmp_path: Path) -> None:
    machines.complete()
    features = write_features_options(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)  # threads of torch, as for a task of one CPU
        assert run("shard", videos, tmp_path / "local", *features).code == 0
    outcome = run("shard", videos, tmp_path / "ray", *features, "--engine", "ray", "--ray.address", machines.address)
    assert outcome.code == 0, outcome.err
    one, two = (stored_features(tmp_path / name / "features") for name in ("local", "ray"))
    assert len(one) > 8 and one == two
    for name in ("local", "ray"):
        shutil.rmtree(tmp_path / name / "features")
    assert_equal_files(tmp_path / "local", tmp_path / "ray")


def write_features_options(folder: Path) -> list[object]:
    """A model with a frozen audio encoder of random weights, as options of ``data shard``."""
    model, weights = folder / "model.yaml", folder / "yamnet.safetensors"
    audio = {"class_path": "tavlo_pl.nn.pretrained.YAMNet"}
    visual = {"class_path": "tavlo_pl.nn.visual.ShuffleNet"}
    content = {"class_path": "tavlo_pl.models.tavlo.TAVLO", "init_args": {"visual": visual, "audio": audio}}
    model.write_text(yaml.safe_dump(content))
    state = YAMNet().state_dict()
    names = [name for name in state if not name.endswith(("num_batches_tracked", "tells_classes"))]
    save_file({name: state[name].contiguous() for name in names}, weights)
    return ["--features.model", model, "--features.audio_weights", weights]


def stored_features(folder: Path) -> dict[tuple[str, bytes], bytes]:
    """Bytes of the features of each input, by encoder and key, whatever the files are that processes wrote."""
    found = {}
    for keys in folder.rglob("*.keys"):
        rows, content = keys.read_bytes(), keys.with_suffix(".f16").read_bytes()
        number = len(rows) // KEY_BYTES
        size = len(content) // number
        for n in range(number):
            key = rows[n * KEY_BYTES : (n + 1) * KEY_BYTES]
            found[keys.parent.name, key] = content[n * size : (n + 1) * size]
    return found


@pytest.mark.parametrize("command", ["shard", "predict"])
def test_killed_process_loses_nothing(
    machines: TwoMachines, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    machines.complete()
    assert run(command, videos, tmp_path / "local").code == 0
    monkeypatch.setattr(shard_write, "read_clip", ray_cluster.read_and_kill)
    monkeypatch.setattr(predict_run, "write_video", ray_predict.write_and_kill)
    run_on_ray(command, videos, tmp_path / "ray", machines)
    assert list(videos.rglob(KILLED)), "a process was killed"
    assert_equal_files(tmp_path / "local", tmp_path / "ray")


@pytest.mark.parametrize("command", ["shard", "predict"])
def test_killed_machine_loses_nothing(
    machines: TwoMachines, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    machines.complete()
    assert run(command, videos, tmp_path / "local").code == 0
    monkeypatch.setattr(shard_write, "read_clip", ray_cluster.read_slowly)
    monkeypatch.setattr(predict_run, "write_video", ray_predict.write_slowly)
    out, first = tmp_path / "ray", {"shard": "shards/00000.parquet", "predict": "*.sources.json"}[command]
    begun: Callable[[], bool] = lambda: any(out.glob(first))  # noqa: E731
    killer = machines.kill_when(begun)
    run_on_ray(command, videos, out, machines)
    assert not killer.is_alive(), "the machine died before the end of the run"
    assert_equal_files(tmp_path / "local", out)


def test_cluster_without_resources_is_one_sentence(machines: TwoMachines, videos: Path, tmp_path: Path) -> None:
    for options, words in ((("--ray.cpus", 2), "has 2 CPU for a task"), (("--ray.gpus", 1), "1 CPU and 1 GPU")):
        outcome = run("shard", videos, tmp_path / "out", "--engine", "ray", "--ray.address", machines.address, *options)
        assert outcome.code == 2 and words in outcome.err
        assert "Traceback" not in outcome.err


def test_bad_clip_stops_no_other_on_ray(machines: TwoMachines, videos: Path, tmp_path: Path) -> None:
    machines.complete()
    (path, *_) = sorted(videos.rglob("*.mp4"))
    path.write_bytes(path.read_bytes()[:2000])
    outcome = run("predict", videos, tmp_path / "out", "--engine", "ray", "--ray.address", machines.address)
    assert outcome.code == 1 and f"1 of 8 videos failed, all others are written: {path}" in outcome.err
    assert "8 videos: 7 written" in outcome.out
