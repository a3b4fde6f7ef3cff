"""The multiple-instance contrastive (MIL) loss as TAVLO publishes it (arXiv 2507.04667, section 3.4, equations 5 to 7).

A frame is a bag of cells. With S_ij^t(c) the cosine of the audio token of clip i with cell c of clip j at segment t:

- equation 5, positive bag score:   p_i^t  = max_c  S_ii^t(c)                     `pool_bag`, ``max``
- equation 6, negative bag score:   n_ij^t = mean_c S_ij^t(c),  j != i            `pool_bag`, ``mean``
- equation 7, loss:                 L = InfoNCE(audio -> visual) + InfoNCE(visual -> audio), mean over segments
                                                                                  `mil_logits`, `mil_loss`

A map with a single peak satisfies maximum against mean for any audio (docs/method.md), so both poolings are options.
The paper does not state the temperature; EZ-VSL uses 0.03 (arXiv 2203.09324).
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Pool = Literal["max", "mean", "smooth_max"]


def pool_bag(scores: Tensor, pool: Pool, sharpness: float = 20.0) -> Tensor:
    """Equations 5 and 6: one score for a bag of cells.

    Args:
        scores: (..., HW) cosines.
        pool: ``max``, ``mean``, or ``smooth_max``: log-mean-exp, which lies between the two.
        sharpness: of the smooth maximum, which approaches the maximum for large values.

    Returns:
        (...) bag scores.
    """
    if pool == "max":
        return scores.amax(-1)
    if pool == "mean":
        return scores.mean(-1)
    cells = torch.tensor(float(scores.shape[-1]))
    return ((sharpness * scores).logsumexp(-1) - cells.log()) / sharpness


def mil_logits(scores: Tensor, positive: Pool, negative: Pool) -> Tensor:
    """Bag scores of all pairs, matched pairs on the diagonal.

    Args:
        scores: (B, B, T, HW) cosines of audio i (rows) with clip j (columns).
        positive: pooling of the matched pairs.
        negative: pooling of the mismatched pairs.

    Returns:
        (B, B, T) bag scores.
    """
    negatives = pool_bag(scores, negative)
    if positive == negative:
        return negatives
    matched = pool_bag(scores.diagonal(dim1=0, dim2=1).movedim(-1, 0), positive)  # (B, T)
    return with_diagonal(matched[:, None], negatives)


def with_diagonal(positives: Tensor, negatives: Tensor) -> Tensor:
    """(B, B, T) bag scores: ``positives``, which is broadcast, on the diagonal and ``negatives`` elsewhere."""
    diagonal = torch.eye(len(negatives), dtype=torch.bool, device=negatives.device)[..., None]
    return torch.where(diagonal, positives, negatives)


def mil_loss(logits: Tensor, temperature: float, silent: Tensor | None = None) -> Tensor:
    """Equation 7: InfoNCE from audio to visual plus InfoNCE from visual to audio, averaged over segments.

    Args:
        logits: (B, B, T) bag scores of audio i (rows) with clip j (columns), matched pairs on the diagonal.
        temperature: divides the scores.
        silent: (K, B, T) bag scores of K further audio tokens that match no clip; they are negatives of the second
            direction. An addition to the paper.

    Returns:
        Scalar, the sum of the means of the two directions; log(B) + log(B + K) for uniform scores.
    """
    batch, _, segments = logits.shape
    target = torch.arange(batch, device=logits.device)[:, None].expand(batch, segments)
    audio = logits if silent is None else torch.cat([logits, silent])  # (B + K, B, T)
    return cross_entropy(logits / temperature, target) + cross_entropy(audio.transpose(0, 1) / temperature, target)
