"""Visual encoders of timm by name (extra ``[timm]``): convolutional networks and vision transformers."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.io.extras import require
from tavlo_pl.nn.pretrained.cache import FeatureCache
from tavlo_pl.nn.pretrained.training import PartlyTrained, Trained
from tavlo_pl.nn.visual import VisualEncoder, with_finest

PROBES, PROBE_CELLS = 4, 16
"""Number of random images, and their height and width in cells, by which the shift of a network is measured."""


class TimmEncoder(VisualEncoder):
    """Features of a timm network (``timm.create_model(name, features_only=True)``); patch tokens of a transformer.

    Several strides become one feature map: coarser features are resampled (bilinear) to the finest and appended to its
    channels. Pixels are normalised as the weights need them.

    Frames are shifted so that a cell sees the square that it covers (see `VisualEncoder`), by a distance that is
    measured (`measured_shift`).

    Args:
        name: of the network, for example ``resnet50.a1_in1k`` or ``vit_small_patch16_dinov3.lvd1689m``.
        strides: pixels per cell of the feature levels, finest first; a transformer has one, its patch size.
        weights: ``hub`` downloads the weights that belong to the name, a path loads a file, ``none`` keeps random ones.
        trained: ``none`` keeps the network as it is, ``all`` trains it, a number N its last N stages (of a
            convolutional network) or blocks (of a transformer).
        image_size: side of the frames in pixels, for transformers whose position encoding depends on it.
        cache: folder in which the features of a frozen encoder are stored and found again (`cache`); None stores none.

    Raises:
        ConfigError: timm is not installed, or has no such network or stride.
        CheckpointError: the weights cannot be downloaded or read, or do not fit.
    """

    def __init__(
        self,
        name: str,
        strides: tuple[int, ...] = (16,),
        weights: Literal["hub", "none"] | str = "none",
        trained: Trained = "none",
        image_size: int | None = None,
        cache: str | None = None,
    ) -> None:
        timm = require("timm", "timm", "this encoder")
        if not timm.is_model(name):
            close = ", ".join(timm.list_models(f"*{name.split('.', maxsplit=1)[0].split('_', maxsplit=1)[0]}*")[:5])
            raise ConfigError(
                f"timm has no network {name!r}; timm.list_models() lists all (similar: {close or 'none'})"
            )
        options: dict[str, Any] = {"pretrained": weights == "hub"}
        if weights not in ("hub", "none"):
            options["checkpoint_path"] = weights
        if image_size is not None:
            options["img_size"] = image_size
        try:
            network = timm.create_model(name, features_only=True, **options)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(f"{name}: timm cannot create it with weights {weights!r}: {reason}") from error
        available = list(network.feature_info.reduction())
        levels = [len(available) - 1 - available[::-1].index(s) for s in strides if s in available]
        if len(levels) != len(strides) or not strides or list(strides) != sorted(set(strides)):
            raise ConfigError(
                f"strides {list(strides)} of {name}: give some of {sorted(set(available))}, in ascending order"
            )
        channels = [network.feature_info.channels()[level] for level in levels]
        super().__init__(nn.Sequential(network), sum(channels), strides[0], pretrained=weights != "none", shift=0)
        config = timm.data.resolve_model_data_config(network)
        self.mean.copy_(torch.tensor(config["mean"]).view(1, 3, 1, 1))
        self.std.copy_(torch.tensor(config["std"]).view(1, 3, 1, 1))
        self.levels, self.channels = tuple(levels), tuple(channels)
        self.partly = PartlyTrained(network, _layers(network), trained, weights)
        self.shift = measured_shift(self)
        self.register_buffer(
            "measured_shift", torch.tensor(self.shift)
        )  # initial weights of a checkpoint's model differ
        self.register_load_state_dict_pre_hook(_set_stored_shift)  # type: ignore[no-untyped-call]
        self.cache = FeatureCache(cache, trained)
        self.name = name

    def train(self, mode: bool = True) -> "TimmEncoder":
        """As in ``nn.Module``; frozen stages stay in evaluation."""
        super().train(mode)
        self.partly.apply_mode(mode)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to (N, D_f, H / stride, W / stride)."""
        self.cache.open(self, f"{self.name} {self.levels} {self.shift}")
        return self.cache.get(frames, self._encode)

    def _encode(self, frames: Tensor) -> Tensor:
        return with_finest(self.feature_maps(self.pixels(frames)))

    def feature_maps(self, pixels: Tensor) -> list[Tensor]:
        """The chosen levels, (N, C, h, w) each; some networks of timm have their channels last."""
        found = self.trunk(pixels)
        chosen = zip(self.levels, self.channels, strict=True)
        return [found[n] if found[n].shape[1] == channels else found[n].movedim(-1, 1) for n, channels in chosen]


def _set_stored_shift(encoder: TimmEncoder, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Sets the shift that is stored with weights; those of an earlier version have none."""
    stored = state_dict.setdefault(f"{prefix}measured_shift", torch.tensor(encoder.shift))
    encoder.shift = max(-encoder.stride, min(encoder.stride, int(stored)))


@torch.enable_grad()
def measured_shift(encoder: TimmEncoder) -> int:
    """How far left and up frames must move so that a cell sees the square that it covers, in pixels.

    It is the distance from the middle of that square to the centre of mass of the gradient of the cell by the pixels:
    about half a stride for symmetric padding and random weights, less where training has made up for it. A transformer
    sees the whole frame from every cell, and its patches are centred: 0.
    """
    network = encoder.trunk[0]
    if _is_transformer(network):
        return 0
    was_training, stride = encoder.training, encoder.stride
    encoder.eval()
    side, cell = stride * PROBE_CELLS, PROBE_CELLS // 2
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(PROBES, 3, side, side, generator=generator).requires_grad_()
    cells = encoder.feature_maps(pixels)[0][:, :, cell, cell]
    (gradient,) = torch.autograd.grad((cells * torch.randn(cells.shape, generator=generator)).sum(), pixels)
    weights = gradient.square().sum((0, 1))
    weights = weights.sum(0) + weights.sum(1)
    centre = float((weights * (torch.arange(side) + 0.5)).sum() / weights.sum())
    encoder.train(was_training)
    half = stride // 2
    return max(-half, min(half, round(stride * (cell + 0.5) - centre)))


def _is_transformer(network: nn.Module) -> bool:
    return isinstance(getattr(getattr(network, "model", None), "blocks", None), nn.Sequential | nn.ModuleList)


def _layers(network: nn.Module) -> list[nn.Module]:
    """The blocks of a transformer, or the children of a convolutional network, in the order of the data."""
    inner: Any = network.model if _is_transformer(network) else network
    return list(inner.blocks if _is_transformer(network) else inner.children())
