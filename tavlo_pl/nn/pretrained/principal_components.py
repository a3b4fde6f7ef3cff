"""Principal components of the features of a frozen visual encoder: fewer channels to store and to train on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.nn.pretrained.cache import FeatureCache
from tavlo_pl.nn.pretrained.files import load_weights
from tavlo_pl.nn.pretrained.training import PartlyTrained
from tavlo_pl.nn.visual import VisualEncoder


class PrincipalComponents(VisualEncoder):
    """A frozen visual encoder, and the first principal components of its features in their place.

    The components are a fixed 1x1 convolution, so that a trained first layer above them can be multiplied with it into
    one (`without_components`).

    Args:
        encoder: the frozen encoder. Its own features need not be stored: leave its ``cache`` out.
        components: K, channels that are kept.
        weights: path of a ``.safetensors`` file by ``tavlo data components``, or ``none`` for random components.
        cache: folder in which the components are stored and found again (`cache`); None stores none.

    Raises:
        ConfigError: the encoder is trained, or has fewer than K channels.
        CheckpointError: the file cannot be read, or has the components of other features.
    """

    def __init__(
        self, encoder: VisualEncoder, components: int = 384, weights: str = "none", cache: str | None = None
    ) -> None:
        if any(value.requires_grad for value in encoder.parameters()):
            raise ConfigError("PrincipalComponents: its encoder is trained; set trained of the encoder to none")
        if not 1 <= components <= encoder.width:
            raise ConfigError(f"PrincipalComponents: components is {components}; give 1 to {encoder.width}")
        projection = nn.Conv2d(encoder.width, components, 1)
        has_weights = encoder.pretrained and weights != "none"
        trunk = nn.Sequential(encoder, projection)
        super().__init__(trunk, components, encoder.stride, pretrained=has_weights, shift=encoder.shift)
        if weights != "none":
            load_weights(projection, weights, renamed=str)
        self.partly = PartlyTrained(projection, [projection], "none", weights)
        self.cache = FeatureCache(cache, "none")

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to (N, K, h, w), the cells of the encoder."""
        self.cache.open(self, "")
        return self.cache.get(frames, self.trunk)


def without_components(weights: Mapping[str, Tensor], encoder: str, layer: str) -> dict[str, Tensor]:
    """Weights of an equal model without `PrincipalComponents`: its projection is multiplied into the layer above.

    Args:
        weights: by name, of a model with components.
        encoder: name of the `PrincipalComponents` in the model.
        layer: name of the 1x1 convolution that takes the components, with a bias.

    Returns:
        Weights of the model with the encoder itself, whose layer takes all features.
    """
    inner, projection = f"{encoder}.trunk.0.", f"{encoder}.trunk.1."
    weight, bias = (weights[f"{projection}{part}"].double() for part in ("weight", "bias"))
    outer, outer_bias = (weights[f"{layer}.{part}"].double() for part in ("weight", "bias"))
    kept = {name: value for name, value in weights.items() if not name.startswith(projection)}
    renamed = {
        name.replace(inner, f"{encoder}.", 1) if name.startswith(inner) else name: value for name, value in kept.items()
    }
    product = (outer.flatten(1) @ weight.flatten(1))[:, :, None, None]
    return renamed | {
        f"{layer}.weight": product.float(),
        f"{layer}.bias": (outer_bias + outer.flatten(1) @ bias).float(),
    }


@torch.no_grad()
def find_components(features: Iterable[Tensor], count: int) -> tuple[dict[str, Tensor], float]:
    """Finds the principal components of the features of cells.

    Args:
        features: (N, D, h, w) each; the cells of all are equally important.
        count: K, at most D.

    Returns:
        Weight (K, D, 1, 1), the directions of greatest variance, and bias (K,), with which the components of the mean
        are 0; and the share of the variance that they have.

    Raises:
        ConfigError: there are no features, or fewer channels than K.
    """
    cells, total, products = 0, torch.zeros(()), torch.zeros(())
    for one in features:
        rows = one.detach().cpu().movedim(1, -1).flatten(0, -2)
        cells, total, products = cells + len(rows), total + rows.double().sum(0), products + (rows.T @ rows).double()
    if not 1 <= count <= (channels := len(products) if cells else 0):
        raise ConfigError(f"{count} components cannot be found in {cells:,} cells of {channels:,} channels")
    mean = total / cells
    variances, directions = torch.linalg.eigh(products / cells - mean.outer(mean))  # ascending
    weight = directions[:, -count:].flip(1).T
    share = float(variances[-count:].sum() / variances.sum())
    return {"weight": weight[:, :, None, None].float().contiguous(), "bias": -(weight @ mean).float()}, share


def save_components(found: Mapping[str, Tensor], path: Path) -> None:
    """Writes components of `find_components` as ``.safetensors``, atomically; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as part:
        part.write_bytes(save(dict(found)))  # save_file sets mode 0600
