"""The objective of SLAVC (arXiv 2209.09634), with one head for localization and one for matching."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def match_log_likelihood(localization: Tensor, instance: Tensor, temperature: float) -> Tensor:
    """Log of Σ_cells [softmax over candidates of ``localization``] · [softmax over cells of ``instance``].

    Args:
        localization: (N, M, HW) cosines of anchor n with candidate m at each cell.
        instance: (N, M, HW) the same cosines from the instance head.
        temperature: divides both.

    Returns:
        (N, M) logarithms, <= 0.
    """
    which = (localization / temperature).log_softmax(1)
    where = (instance / temperature).log_softmax(2)
    return (which + where).logsumexp(-1)


def match_loss(localization: Tensor, instance: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of choosing candidate n for anchor n; arguments as in `match_log_likelihood`, N = M."""
    own = torch.arange(len(localization), device=localization.device)
    return cross_entropy(match_log_likelihood(localization, instance, temperature), own)
