"""Audio taggers."""

from pathlib import Path

import numpy as np
import pytest

from tavlo_pl.annotate.taggers import make_tagger
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.nn.pretrained.yamnet import CLASSES, sound_classes
from tests.helpers.shared import shared_file


def test_yamnet_agrees_with_its_golden_scores() -> None:
    golden = np.load(shared_file("weights", "yamnet_golden.npz"))
    tagger = make_tagger("yamnet", str(shared_file("weights", "yamnet.safetensors")))
    tags = tagger.tag(np.asarray(golden["waveform"], np.float32).reshape(-1)[:15_600], 3)
    expected = np.asarray(golden["scores"]).reshape(-1, CLASSES)[0]
    assert [name for name, _ in tags] == [sound_classes()[n] for n in expected.argsort()[::-1][:3]]
    assert tags[0][1] == pytest.approx(float(expected.max()), abs=2e-3)
    assert make_tagger("none", "none").tag(np.zeros(8000, np.float32), 3) == []


def test_missing_weights_and_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs its weights"):
        make_tagger("yamnet", "none")
    with pytest.raises(CheckpointError, match="transformers cannot read it"):
        make_tagger(str(tmp_path), "none")


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
    tags = make_tagger(str(tmp_path), "none").tag(np.zeros(8000, np.float32), 5)
    assert {name for name, _ in tags} == {"bark", "meow"}
    assert sum(score for _, score in tags) == pytest.approx(1, abs=1e-3)
