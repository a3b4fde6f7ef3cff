"""Where an ImageNet classifier sees its classes: the classifier applied to every cell (Zhou et al., CVPR 2016)."""

from torch import Tensor, nn
from torchvision.models import EfficientNet_B0_Weights

from tavlo_pl.nn.pretrained.files import load_weights
from tavlo_pl.nn.pretrained.lite0 import HEAD, EfficientNetLite0

CLASSES = 1000


class ClassActivation(nn.Module):
    """EfficientNet-lite0 and its classifier at each cell of stride 32, frozen.

    Args:
        weights: path of a ``.safetensors`` file with the released weights, or ``none`` for random ones.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.encoder = EfficientNetLite0((32,), weights, head=True)
        self.fc = nn.Linear(HEAD, CLASSES)
        if weights != "none":
            load_weights(self.fc, weights, renamed=lambda name: name[3:] if name.startswith("fc.") else None)
        self.requires_grad_(requires_grad=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to (N, 1000, H / 32, W / 32) probabilities of ImageNet's classes, sum 1 at each cell."""
        features = self.encoder(frames).movedim(1, -1)
        probabilities: Tensor = self.fc(features).softmax(-1).movedim(-1, 1)
        return probabilities

    def train(self, mode: bool = True) -> "ClassActivation":  # noqa: ARG002  # always in evaluation
        """Stays in evaluation."""
        return super().train(mode=False)


def image_classes() -> list[str]:
    """The 1000 names of ImageNet's classes, in the order of the classifier."""
    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
