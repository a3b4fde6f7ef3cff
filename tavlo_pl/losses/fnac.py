"""The regularisers of FNAC, "Learning Audio-Visual Source Localization via False Negative Aware Contrastive Learning".

Source: arXiv 2303.11302. Clips with similar audio or similar frames are not treated as negatives of each other.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import l1_loss, normalize

from tavlo_pl.nn.guidance import min_max_normalize


class Regularisers(NamedTuple):
    """Scalars >= 0, each the mean absolute difference of two adjacency matrices.

    Attributes:
        fns_audio: audio similarities against audio-visual similarities (false negative suppression 1).
        tne: audio similarities against similarities of the localized regions (true negative enhancement).
        fns_visual: visual similarities against audio-visual similarities (false negative suppression 2).
    """

    fns_audio: Tensor
    tne: Tensor
    fns_visual: Tensor


def regularisers(pairs: Tensor, audio: Tensor, visual: Tensor, regions: Tensor, temperature: float) -> Regularisers:
    """Compares the adjacency matrices of a batch; each is a softmax over the rows of a similarity matrix.

    Args:
        pairs: (B, B) bag scores of frame i (rows) with audio j (columns).
        audio: (B, D) audio features of unit length.
        visual: (B, D) mean visual features of unit length.
        regions: (B, D) mean visual features of the localized region (`region_features`), of unit length.
        temperature: divides all similarities.
    """

    def adjacency(similarity: Tensor) -> Tensor:
        return (similarity / temperature).softmax(1)

    audio_adjacency, pair_adjacency = adjacency(audio @ audio.T), adjacency(pairs)
    return Regularisers(
        fns_audio=l1_loss(audio_adjacency, pair_adjacency),
        tne=l1_loss(audio_adjacency, adjacency(regions @ regions.T)),
        fns_visual=l1_loss(adjacency(visual @ visual.T), pair_adjacency),
    )


def region_features(cells: Tensor, maps: Tensor, threshold: float = 0.6) -> Tensor:
    """Mean feature of the cells where the min-max normalised map exceeds ``threshold``.

    Args:
        cells: (B, D, h, w) visual features.
        maps: (B, h, w) scores of each frame with its own audio.
        threshold: in [0, 1].

    Returns:
        (B, D) of unit length.
    """
    inside = (min_max_normalize(maps) > threshold).to(cells.dtype)
    return normalize((cells * inside[:, None]).sum((-2, -1)), dim=-1)
