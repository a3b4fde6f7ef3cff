"""The trimap loss of LVS, "Localizing Visual Sounds the Hard Way" (arXiv 2104.02691)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def trimap_loss(
    scores: Tensor, positive: float = 0.65, negative: float = 0.4, sharpness: float = 0.03, temperature: float = 0.07
) -> Tensor:
    """Contrasts the high-scoring cells of the matched frame with its low-scoring cells and with all other frames.

    With S_i the map of audio i on its own frame, and a soft mask sigmoid((S_i - threshold) / sharpness):
    P_i is the mean of S_i weighted by the mask at ``positive``; the hard negative is the mean weighted by one minus
    the mask at ``negative``; cells in between are ignored. The easy negatives are the means over the other frames.
    As in the released network, each negative is one logit of the softmax; the paper's equation sums them first.

    Args:
        scores: (B, B, HW) cosines of audio i (rows) with frame j (columns).
        positive: threshold of the positive region.
        negative: threshold of the background.
        sharpness: width of the soft masks' transition.
        temperature: divides the logits.

    Returns:
        Scalar, mean over the batch.
    """
    own = scores.diagonal().T  # (B, HW)
    positive_mask = ((own - positive) / sharpness).sigmoid()
    negative_mask = ((negative - own) / sharpness).sigmoid()
    inside = (positive_mask * own).sum(-1) / positive_mask.sum(-1)
    outside = (negative_mask * own).sum(-1) / negative_mask.sum(-1)
    matched = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    others = scores.mean(-1).masked_fill(matched, -torch.inf)  # (B, B)
    logits = torch.cat([inside[:, None], others, outside[:, None]], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(scores), dtype=torch.int64, device=scores.device))
