"""The second element of CRCD: the gradient of cross-entropy with respect to the penultimate feature.

For a linear classifier z = W f + b it is g = (softmax(z) - onehot(y)) W, so no double backward is needed, and it
stays differentiable with respect to the logits and to W. With p_y near 1 the factor 1 - p_y is the difference of two
nearly equal numbers; it is computed here as sum_{c != y} p_c, so the *direction* of g is exact however well the
network fits the sample.

A label may be soft, y in place of onehot(y), as that of an image mixed of two: then g = (softmax(z) - y) W.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crcd.relation.head import linear_weight
from crcd.relation.view import View


def feature_gradient(logits_BC: Tensor, target: Tensor, weight_CD: Tensor) -> Tensor:
    """Per-sample gradient of cross-entropy at the feature, in closed form.

    g_i = (softmax(z_i) - onehot(y_i)) W, in float32 at least, with softmax(z)_y - 1 = -sum_{c != y} softmax(z)_c.
    Of soft labels, p_c - y_c = p_c (1 - y_c) - y_c sum_{k != c} p_k for p = softmax(z), to the same end.

    Args:
        logits_BC: z.
        target: y, class numbers, [B]; or soft labels that sum to 1, [B, C]. Where a class is not known there is no
            such gradient: what stands there means nothing.
        weight_CD: W of the linear classifier.

    Returns:
        g_BD, differentiable with respect to ``logits_BC`` and ``weight_CD``.
    """
    dtype = torch.promote_types(logits_BC.dtype, torch.float32)
    with torch.autocast(logits_BC.device.type, enabled=False):
        if target.dim() == 2:
            return _soft_residual(logits_BC.to(dtype), target.to(dtype)) @ weight_CD.to(dtype)
        is_target_BC = target[:, None] == torch.arange(logits_BC.shape[1], device=target.device)
        others_BC = F.softmax(logits_BC.to(dtype), dim=1).masked_fill(is_target_BC, 0.0)
        residual_BC = torch.where(is_target_BC, -others_BC.sum(dim=1, keepdim=True), others_BC)
        return residual_BC @ weight_CD.to(dtype)


def _soft_residual(logits_BC: Tensor, soft_BC: Tensor) -> Tensor:
    """softmax(z) - y of soft labels; of the greatest probability, 1 - p is the sum of the others."""
    p_BC = F.softmax(logits_BC, dim=1)
    is_greatest_BC = logits_BC.argmax(dim=1, keepdim=True) == torch.arange(logits_BC.shape[1], device=logits_BC.device)
    others_B1 = p_BC.masked_fill(is_greatest_BC, 0.0).sum(dim=1, keepdim=True)
    return p_BC * (1 - soft_BC) - soft_BC * torch.where(is_greatest_BC, others_B1, 1 - p_BC)


def feature_gradient_autograd(feature_BD: Tensor, target: Tensor, classifier: nn.Module) -> Tensor:
    """The same gradient for any classifier head, by ``torch.autograd.grad`` with its graph kept.

    The head is run again on the feature; it must treat each sample by itself (no batch statistics).

    Args:
        feature_BD: f. When it requires no gradient, neither does the result.
        target: y, class numbers, [B], -1 where one is not known; or soft labels, [B, C].
        classifier: maps f to logits.
    """
    differentiable = feature_BD.requires_grad
    with torch.enable_grad(), torch.autocast(feature_BD.device.type, enabled=False):
        feature_BD = feature_BD.to(next(classifier.parameters(), feature_BD).dtype)
        feature = feature_BD if differentiable else feature_BD.detach().requires_grad_()
        loss = F.cross_entropy(classifier(feature).float(), target, reduction="sum", ignore_index=-1)
        (gradient_BD,) = torch.autograd.grad(loss, feature, create_graph=differentiable)
    return gradient_BD if differentiable else gradient_BD.detach()


def gradient_element(view: View, target: Tensor) -> Tensor:
    """g_BD of one view: closed form when its classifier is linear (``linear_weight``), autograd otherwise.

    The labels are class numbers, [B], or soft, [B, C].
    """
    weight_CD = linear_weight(view.classifier)
    if weight_CD is not None:
        return feature_gradient(view.logits, target, weight_CD)
    return feature_gradient_autograd(view.feature, target, view.classifier)
