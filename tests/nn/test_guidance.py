"""Object priors and their combination with a map."""

import pytest
import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.guidance import ObjectGuidance, min_max_normalize, object_prior
from tavlo_pl.nn.visual import ShuffleNet, VisualEncoder


class Brightness(VisualEncoder):
    """Two features: the brightness and its negative."""

    def __init__(self) -> None:
        super().__init__(nn.Identity(), width=2, stride=1, pretrained=True)

    def forward(self, frames: Tensor) -> Tensor:
        bright = frames.float().mean(1, keepdim=True)
        return torch.cat([bright, -bright], 1)


def test_object_prior_is_the_mean_absolute_feature() -> None:
    assert object_prior(torch.tensor([[[[1.0, 2.0]], [[-3.0, 0.0]]]])).tolist() == [[[2.0, 1.0]]]


def test_min_max_normalize_maps_a_constant_map_to_zero() -> None:
    maps = torch.tensor([[[2.0, 2.0]], [[1.0, 3.0]]])
    assert min_max_normalize(maps).tolist() == [[[0.0, 0.0]], [[0.0, 1.0]]]


@pytest.mark.parametrize(
    ("scale", "by_hand"),
    [
        ("frame", [[0.4 * 0 + 0.6 * 1, 0.4 * 1 + 0.6 * 0]]),
        ("fixed", [[0.4 * 0.25 + 0.6 * 1.0, 0.4 * 0.75 + 0.6 * 0.4]]),  # (cos + 1) / 2; 5 and 1 of 2.5, at most 1
    ],
)
def test_guide_equals_hand_computed_values(scale: str, by_hand: list[list[float]]) -> None:
    frames = torch.tensor([5, 1], dtype=torch.uint8).expand(1, 1, 3, 1, 2)
    guidance = ObjectGuidance(Brightness(), weight=0.4, scale=scale)  # type: ignore[arg-type]
    assert torch.allclose(guidance.guide(torch.tensor([[[[-0.5, 0.5]]]]), frames)[0, 0], torch.tensor(by_hand))


def test_guidance_rejects_random_weights_and_a_large_weight() -> None:
    with pytest.raises(ConfigError, match="ImageNet weights"):
        ObjectGuidance(ShuffleNet("none"))(torch.zeros(1, 1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ConfigError, match=r"guidance.weight is 1.5"):
        ObjectGuidance(Brightness(), weight=1.5)


def test_weights_of_a_checkpoint_count_as_trained() -> None:
    encoder = ShuffleNet("none")
    encoder.pretrained = True
    stored = torch.nn.Sequential(ObjectGuidance(encoder)).state_dict()
    loaded = torch.nn.Sequential(ObjectGuidance(ShuffleNet("none")))
    loaded.load_state_dict(stored)
    frames = torch.randint(0, 256, (1, 1, 3, 32, 32), dtype=torch.uint8)
    assert loaded(frames).shape == (1, 1, 4, 4)


def test_guidance_is_frozen_and_stays_in_evaluation_mode() -> None:
    encoder = ShuffleNet("none")
    encoder.pretrained = True
    guidance = ObjectGuidance(encoder).train()
    assert not encoder.training and not any(p.requires_grad for p in guidance.parameters())
