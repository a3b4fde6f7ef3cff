"""Pretrained encoders by name: images from timm or the built-in EfficientNet-lite0, audio from YAMNet or transformers.

Every encoder takes its class path and arguments from the configuration, like all encoders
(``model.init_args.visual``). Nothing is downloaded unless ``weights: hub`` asks for it.
"""

from tavlo_pl.nn.pretrained.lite0 import EfficientNetLite0
from tavlo_pl.nn.pretrained.principal_components import PrincipalComponents
from tavlo_pl.nn.pretrained.timm_encoder import TimmEncoder
from tavlo_pl.nn.pretrained.transformers_audio import TransformersAudioEncoder
from tavlo_pl.nn.pretrained.yamnet import YAMNet

__all__ = ["EfficientNetLite0", "PrincipalComponents", "TimmEncoder", "TransformersAudioEncoder", "YAMNet"]
