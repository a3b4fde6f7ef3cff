"""Audio taggers."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from tavlo_pl.annotate.taggers import CLASSES_FILE, make_tagger, read_classes
from tavlo_pl.errors import AnnotationError, CheckpointError
from tavlo_pl.nn.pretrained.yamnet import CLASSES
from tests.helpers.shared import shared_file


def write_classes(path: Path, count: int = CLASSES) -> None:
    with path.open("w") as file:
        csv.writer(file).writerows([["index", "mid", "display_name"], *([n, "/m/0", f"c, {n}"] for n in range(count))])


def test_yamnet_gives_the_highest_scores_first(tmp_path: Path) -> None:
    write_classes(tmp_path / "names.csv")
    torch.manual_seed(0)
    tagger = make_tagger("yamnet", "none", str(tmp_path / "names.csv"))
    tags = tagger.tag(np.zeros(8000, np.float32), 3)
    assert len(tags) == 3 and tags[0][1] >= tags[1][1] >= tags[2][1] and tags[0][0].startswith("c, ")
    assert make_tagger("none", "none", None).tag(np.zeros(8000, np.float32), 3) == []


def test_yamnet_agrees_with_its_golden_scores() -> None:
    golden = np.load(shared_file("weights", "yamnet_golden.npz"))
    weights = shared_file("weights", "yamnet.safetensors")
    tagger = make_tagger("yamnet", str(weights), None)
    tags = tagger.tag(np.asarray(golden["waveform"], np.float32).reshape(-1)[:15_600], 1)
    expected = np.asarray(golden["scores"]).reshape(-1, CLASSES)[0]
    assert tags[0][0] == read_classes(weights.with_name(CLASSES_FILE))[int(expected.argmax())]
    assert tags[0][1] == pytest.approx(float(expected.max()), abs=2e-3)


def test_wrong_names_and_models_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "few.csv", 520)
    with pytest.raises(AnnotationError, match=r"few\.csv: it must have a row"):
        make_tagger("yamnet", "none", str(tmp_path / "few.csv"))
    with pytest.raises(AnnotationError, match="no such file; it must have"):
        make_tagger("yamnet", "none", str(tmp_path / "none.csv"))
    with pytest.raises(CheckpointError, match="transformers cannot read it"):
        make_tagger(str(tmp_path), "none", None)


@pytest.mark.slow  # it imports transformers
def test_transformers_model_names_its_own_classes(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ASTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, max_length=64, num_mel_bins=16,
        patch_size=8, frequency_stride=8, time_stride=8,
        id2label={0: "bark", 1: "meow"}, label2id={"bark": 0, "meow": 1},
    )  # fmt: skip
    transformers.ASTForAudioClassification(config).save_pretrained(tmp_path)
    transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64).save_pretrained(tmp_path)
    tags = make_tagger(str(tmp_path), "none", None).tag(np.zeros(8000, np.float32), 5)
    assert {name for name, _ in tags} == {"bark", "meow"}
    assert sum(score for _, score in tags) == pytest.approx(1, abs=1e-3)
