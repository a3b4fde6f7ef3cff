"""The multiple-instance contrastive (MIL) loss of TAVLO (arXiv 2507.04667, section 3.4).

A frame is a bag of cells. Its own sound must match some cell (the positive bag score), the frames of other clips must
not match it. As published the positive is the maximum over the cells and the negatives are their mean; a map with one
peak satisfies that for any sound (docs/method.md), so both poolings are options.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Pool = Literal["max", "mean", "smooth_max"]


def pool_bag(scores: Tensor, pool: Pool, sharpness: float = 20.0) -> Tensor:
    """One score for a bag of cells.

    Args:
        scores: (..., HW) cosines.
        pool: ``max``, ``mean``, or ``smooth_max``: log-mean-exp, which lies between the two.
        sharpness: of the smooth maximum; large values approach the maximum.

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
        scores: (B, B, T, HW) cosines of sound i (rows) with clip j (columns).
        positive: pooling of the matched pairs.
        negative: pooling of the others.

    Returns:
        (B, B, T) bag scores.
    """
    others = pool_bag(scores, negative)
    if positive == negative:
        return others
    own = pool_bag(scores.diagonal(dim1=0, dim2=1).movedim(-1, 0), positive)  # (B, T)
    return matched(own[:, None], others)


def matched(own: Tensor, others: Tensor) -> Tensor:
    """(B, B, T) bag scores: on the diagonal those of ``own``, which is broadcast, elsewhere those of ``others``."""
    diagonal = torch.eye(len(others), dtype=torch.bool, device=others.device)[..., None]
    return torch.where(diagonal, own, others)


def mil_loss(logits: Tensor, temperature: float, quiet: Tensor | None = None) -> Tensor:
    """InfoNCE from sound to picture plus from picture to sound, averaged over segments (equations 5 to 7).

    Args:
        logits: (B, B, T) bag scores, matched pairs on the diagonal.
        temperature: divides the scores; open in the paper, 0.03 in EZ-VSL (arXiv 2203.09324).
        quiet: (K, B, T) bag scores of K sounds that no picture makes; a picture must prefer its own to them too. Ours.

    Returns:
        Scalar, the sum of the two directions' means; log(B) + log(B + K) for a model that knows nothing.
    """
    batch, _, segments = logits.shape
    own = torch.arange(batch, device=logits.device)[:, None].expand(batch, segments)
    sounds = logits if quiet is None else torch.cat([logits, quiet])  # (B + K, B, T)
    return cross_entropy(logits / temperature, own) + cross_entropy(sounds.transpose(0, 1) / temperature, own)


def ranking_loss(own: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of choosing the first of several candidates. Ours, not the paper's.

    Args:
        own: (...) bag scores of the right candidates.
        others: (K, ...) bag scores of K wrong ones.
        temperature: divides the scores.

    Returns:
        Scalar; log(1 + K) for a model that knows nothing.
    """
    scores = torch.cat([own[None], others]) / temperature
    return (scores.logsumexp(0) - scores[0]).mean()


def pause_loss(own: Tensor, silent: Tensor, temperature: float) -> Tensor:
    """A clip's pictures must match its sound better while it sounds than in its pauses. Ours, not the paper's.

    Contrast alone rewards a pause for being near pictures in which nothing moves, and the whole map then rises.

    Args:
        own: (B, T) bag scores of each clip with its own sound.
        silent: (B, T) bool, where it pauses.
        temperature: divides the scores.

    Returns:
        Scalar, mean over the clips that pause; log 2 for a model that knows nothing, 0 where none pauses.
    """
    pauses = silent.any(1)
    if not pauses.any():
        return own.new_zeros(())
    own, silent = own[pauses], silent[pauses]
    loud, quiet = ((own * part).sum(1) / part.sum(1) for part in (~silent, silent))
    return ranking_loss(loud, quiet[None], temperature)


def mixed_loss(logits: Tensor, temperature: float) -> Tensor:
    """A sound that mixes those of clips i and i - 1 must find both pictures among the others. Ours, not the paper's.

    Args:
        logits: (B, B, T) bag scores of mixed sound i with clip j.
        temperature: divides the scores.

    Returns:
        Scalar, mean over both sources; log(B - 1) for a model that knows nothing.
    """
    first = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    both = first | first.roll(-1, 1)
    scores = logits.movedim(2, 0) / temperature  # (T, B, B)
    others = scores.masked_fill(both, -torch.inf).logsumexp(-1, keepdim=True)
    return (torch.logaddexp(scores, others) - scores)[both.expand_as(scores)].mean()


def flatness_loss(bags: Tensor, means: Tensor, temperature: float) -> Tensor:
    """How far the maps of wrong sounds stand out from flat. Ours, not the paper's.

    The contrast between bags is content once a wrong sound scores below the right one; what its map still shows is
    where objects are. This asks for no place at all.

    Args:
        bags: (B, B, T) bag scores of sound i with clip j.
        means: (B, B, T) mean scores of the same bags, from which the distance counts.
        temperature: divides the scores.

    Returns:
        Scalar >= 0, mean over mismatched pairs and segments.
    """
    wrong = ~torch.eye(len(bags), dtype=torch.bool, device=bags.device)
    return ((bags - means) / temperature)[wrong].mean()
