"""The regularisers of FNAC, "Learning Audio-Visual Source Localization via False Negative Aware Contrastive Learning"
(arXiv 2303.11302): clips that sound or look alike are no negatives of each other.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import l1_loss, normalize

from tavlo_pl.nn.guidance import stretched


class Regularisers(NamedTuple):
    """Scalars >= 0, each the mean absolute difference of two adjacency matrices.

    Attributes:
        fns_audio: sounds against audio-visual pairs (false negative suppression 1).
        tne: sounds against the regions that they light (true negative enhancement).
        fns_visual: pictures against audio-visual pairs (false negative suppression 2).
    """

    fns_audio: Tensor
    tne: Tensor
    fns_visual: Tensor


def regularisers(pairs: Tensor, sounds: Tensor, pictures: Tensor, regions: Tensor, temperature: float) -> Regularisers:
    """Compares who resembles whom, by rows of a softmax.

    Args:
        pairs: (B, B) bag scores of picture i (rows) with sound j (columns).
        sounds: (B, D) audio features of unit length.
        pictures: (B, D) mean visual features of unit length.
        regions: (B, D) mean visual features of the lit region, of unit length.
        temperature: divides all similarities.
    """

    def adjacency(similarity: Tensor) -> Tensor:
        return (similarity / temperature).softmax(1)

    alike, matched = adjacency(sounds @ sounds.T), adjacency(pairs)
    return Regularisers(
        fns_audio=l1_loss(alike, matched),
        tne=l1_loss(alike, adjacency(regions @ regions.T)),
        fns_visual=l1_loss(adjacency(pictures @ pictures.T), matched),
    )


def lit_region(cells: Tensor, maps: Tensor, threshold: float = 0.6) -> Tensor:
    """Mean feature of the cells where the stretched map exceeds ``threshold``.

    Args:
        cells: (B, D, h, w) visual features.
        maps: (B, h, w) scores of each picture with its own sound.
        threshold: on the map stretched to [0, 1].

    Returns:
        (B, D) of unit length.
    """
    lit = (stretched(maps) > threshold).to(cells.dtype)
    return normalize((cells * lit[:, None]).sum((-2, -1)), dim=-1)
