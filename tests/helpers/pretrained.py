"""Small pretrained encoders without a network: transformers models of a few thousand random weights in folders."""

from pathlib import Path

from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ClapConfig,
    ClapFeatureExtractor,
    HubertConfig,
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
