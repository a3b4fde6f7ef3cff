"""Small pretrained encoders without a network: transformers models of a few thousand random weights in folders."""

from pathlib import Path

import torch
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    ClapConfig,
    ClapFeatureExtractor,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTokenizer,
    HubertConfig,
    ViTImageProcessor,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WhisperConfig,
    WhisperFeatureExtractor,
)

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
WAVE = TINY | {"conv_dim": (16,) * 7}
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
SWIN = {
    "hidden_size": 128, "patch_embeds_hidden_size": 16, "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1],
    "window_size": 4, "aff_block_r": 1,
}  # fmt: skip
WHISPER = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "vocab_size": 100, "pad_token_id": 1,
    "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1, "max_source_positions": 1500,
}  # fmt: skip


def audio_model(folder: Path, kind: str) -> Path:
    """Writes the configuration and the feature extractor of a small model; returns its folder."""
    config, extractor = {
        "ast": lambda: (
            ASTConfig(**TINY, max_length=128, num_mel_bins=64),
            ASTFeatureExtractor(max_length=128, num_mel_bins=64),
        ),
        "wav2vec2": lambda: (Wav2Vec2Config(**WAVE), Wav2Vec2FeatureExtractor()),
        "hubert": lambda: (HubertConfig(**WAVE), Wav2Vec2FeatureExtractor()),
        "clap": lambda: (
            ClapConfig(audio_config=SWIN, text_config=TEXT),
            ClapFeatureExtractor(truncation="rand_trunc"),
        ),
        "whisper": lambda: (WhisperConfig(**WHISPER), WhisperFeatureExtractor()),
    }[kind]()
    config.save_pretrained(folder / kind)
    extractor.save_pretrained(folder / kind)
    return folder / kind


def audio_classifier(folder: Path, names: list[str]) -> Path:
    """Writes a small random audio classifier with several classes at a time; returns its folder."""
    torch.manual_seed(0)
    classes = {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
    config = ASTConfig(
        **TINY,
        max_length=128,
        num_mel_bins=64,
        problem_type="multi_label_classification",
        initializer_range=0.5,
        **classes,
    )
    ASTForAudioClassification(config).save_pretrained(folder / "tagger")
    ASTFeatureExtractor(max_length=128, num_mel_bins=64).save_pretrained(folder / "tagger")
    return folder / "tagger"


def text_segmenter(folder: Path) -> Path:
    """Writes a small random CLIPSeg of images of 64 x 64 pixels, whose text has letters; returns its folder."""
    torch.manual_seed(0)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    ends = {"pad_token_id": 53, "bos_token_id": 52, "eos_token_id": 53}
    part = {**TINY, "initializer_range": 0.5}
    config = CLIPSegConfig(
        text_config={**part, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": 40},
        vision_config={**part, "image_size": 64, "patch_size": 16},
        projection_dim=16, extract_layers=[0, 1], reduce_dim=16, decoder_intermediate_size=32, initializer_factor=3.0,
    )  # fmt: skip
    CLIPSegForImageSegmentation(config).save_pretrained(folder / "segmenter")
    tokenizer = CLIPTokenizer({token: n for n, token in enumerate(vocabulary)}, [])
    processor = ViTImageProcessor(size={"height": 64, "width": 64})
    CLIPSegProcessor(processor, tokenizer).save_pretrained(folder / "segmenter")
    return folder / "segmenter"
