"""The losses of the picture stage, each a mean over rows; logits are scaled cosines."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention


def multi_positive(logits: Tensor, positive: Tensor, outside: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy for rows with several positives that do not compete with each other.

    `positive` has the weights of the positives, shape of `logits`, 0 for negatives; `outside` has the logits
    of more negatives, shape (rows, n). Rows without positives are skipped. The loss is that of Khosla et al.
    2020, "Supervised Contrastive Learning", with the other positives removed from the denominator.
    """
    wrong = logits.masked_fill(positive > 0, -torch.inf)
    if outside is not None:
        wrong = torch.cat([wrong, outside], 1)
    each = F.softplus(torch.logsumexp(wrong, 1, keepdim=True) - logits)
    total = positive.sum(1)
    rows = total > 0
    if not rows.any():
        return logits.sum() * 0
    return ((each * positive).sum(1)[rows] / total[rows]).mean()


def nothing_there(logits: Tensor, neutral: Tensor) -> Tensor:
    """Make the best neutral phrase, (rows, 1), beat every word on pictures that show nothing."""
    if not len(logits):
        return logits.sum() * 0
    return F.softplus(torch.logsumexp(logits, 1, keepdim=True) - neutral).mean()


def against_neutral(
    logits: Tensor, positive: Tensor, neutral: Tensor, negative_weight: float = 0.02
) -> Tensor:
    """Apply the product's own rule: a true word must beat the best neutral phrase, any other must lose."""
    margins = logits - neutral
    true = (positive > 0).float()
    found = (F.softplus(-margins) * positive).sum() / positive.sum().clamp(min=1)
    refused = (F.softplus(margins) * (1 - true)).sum() / len(logits)
    return found + negative_weight * refused


def same_relations(mapped: Tensor, original: Tensor) -> Tensor:
    """Preserve similarities under the map: mean squared difference of all cosines."""
    return (mapped @ mapped.T - original @ original.T).square().mean()
