"""A SAM 2 model of transformers that is small enough for tests."""

from pathlib import Path

import torch

SIDE = 64
"""Of the images inside of the model, in pixels."""

WIDTH = 128
"""Of the features; transformers fixes half of it, the channels of the memory, to 64."""


def write_tiny_sam2(folder: Path) -> Path:
    """Writes a SAM 2 video model of 0.9 million random weights with its processor, as the released ones are stored."""
    import transformers

    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1], global_attention_blocks=[3],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[8, 4, 4, 2], window_positional_embedding_background_size=[2, 2],
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=WIDTH,
        backbone_feature_sizes=[[SIDE // n, SIDE // n] for n in (4, 8, 16)],
    )  # fmt: skip
    config = transformers.Sam2VideoConfig(
        vision_config=vision, image_size=SIDE, prompt_encoder_config={"hidden_size": WIDTH, "image_size": SIDE},
        mask_decoder_config={
            "hidden_size": WIDTH, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
            "num_hidden_layers": 1,
        },
        memory_attention_hidden_size=WIDTH, memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4], memory_encoder_hidden_size=WIDTH,
        memory_encoder_output_channels=WIDTH // 2,
        mask_downsampler_embed_dim=WIDTH, memory_fuser_num_layers=1, memory_fuser_embed_dim=WIDTH,
        memory_fuser_intermediate_dim=32,
    )  # fmt: skip
    torch.manual_seed(1)  # with these weights an object is present in every frame
    size = {"height": SIDE, "width": SIDE}
    images = transformers.Sam2ImageProcessor(size=size, mask_size={"height": SIDE // 4, "width": SIDE // 4})
    videos = transformers.Sam2VideoVideoProcessor(size=size)
    transformers.Sam2VideoModel(config).save_pretrained(folder)
    transformers.Sam2VideoProcessor(image_processor=images, video_processor=videos).save_pretrained(folder)
    return folder
