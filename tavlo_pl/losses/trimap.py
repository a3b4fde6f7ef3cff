"""The trimap loss of LVS, "Localizing Visual Sounds the Hard Way" (arXiv 2104.02691)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def trimap_loss(
    scores: Tensor, positive: float = 0.65, negative: float = 0.4, sharpness: float = 0.03, temperature: float = 0.07
) -> Tensor:
    """The bright cells of a sound's own picture must win against its dark cells and against all other pictures.

    With S_i the map of sound i on its own picture, and a soft mask sigmoid((S_i - threshold) / sharpness):
    P_i is the mean of S_i weighted by the mask at ``positive``; the hard negative is the mean weighted by one minus
    the mask at ``negative``; cells in between are left out. The easy negatives are the plain means over other pictures.
    As in the released network the negatives enter the softmax one by one; the paper's equation adds them up first.

    Args:
        scores: (B, B, HW) cosines of sound i (rows) with picture j (columns).
        positive: threshold of the positive region.
        negative: threshold of the background.
        sharpness: of the soft masks.
        temperature: divides the logits.

    Returns:
        Scalar, mean over sounds.
    """
    own = scores.diagonal().T  # (B, HW)
    bright = ((own - positive) / sharpness).sigmoid()
    dark = ((negative - own) / sharpness).sigmoid()
    inside = (bright * own).sum(-1) / bright.sum(-1)
    outside = (dark * own).sum(-1) / dark.sum(-1)
    matched = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    others = scores.mean(-1).masked_fill(matched, -torch.inf)  # (B, B)
    logits = torch.cat([inside[:, None], others, outside[:, None]], dim=1) / temperature
    return cross_entropy(logits, torch.zeros(len(scores), dtype=torch.int64, device=scores.device))
