"""Which parts of a pretrained encoder are trained."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from tavlo_pl.errors import ConfigError

Trained = Literal["none", "all"] | int
"""``none``: the encoder stays as it is, ``all``: every weight is trained, a number N: the last N layers are."""


class PartlyTrained:
    """Freezes a network, or all of it but its last layers: no gradient, and batch norms and dropout as in evaluation.

    Args:
        network: the network; not kept as a submodule.
        layers: its layers, in the order of the data.
        trained: what is trained.
        weights: the option of the encoder, ``none`` for random ones.

    Attributes:
        keeps_random: whether frozen layers had random weights when the encoder was made.

    Raises:
        ConfigError: a number of layers that the network does not have.
    """

    def __init__(self, network: nn.Module, layers: Sequence[nn.Module], trained: Trained, weights: str) -> None:
        if trained not in ("none", "all") and not 1 <= int(trained) <= len(layers):
            raise ConfigError(f"trained is {trained}; give none, all or a number of layers from 1 to {len(layers)}")
        self.keeps_random = weights == "none" and trained != "all"
        self._networks = () if trained == "all" else (network,)
        self._trained = tuple(layers[len(layers) - int(trained) :]) if isinstance(trained, int) else ()
        for frozen in self._networks:
            frozen.requires_grad_(requires_grad=False)
        for layer in self._trained:
            layer.requires_grad_()
        self.apply_mode(mode=True)  # the Trainer does not call ``train`` before a fit

    def apply_mode(self, mode: bool) -> None:
        """Sets frozen parts to evaluation; an encoder calls it at the end of its ``train(mode)``."""
        for frozen in self._networks:
            frozen.eval()
        for layer in self._trained:
            layer.train(mode)


def random_parts(network: nn.Module) -> list[str]:
    """Names of the frozen parts of a network that were made with random weights, which a checkpoint may replace."""
    parts = [(name, getattr(part, "partly", None)) for name, part in network.named_modules()]
    return [name for name, partly in parts if isinstance(partly, PartlyTrained) and partly.keeps_random]
