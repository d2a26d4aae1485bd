"""How far a student decides, judges and represents as its teacher does; all sums in float64."""

import torch
from torch import Tensor
from torch.nn import functional as F


def agreement(student_logits_NC: Tensor, teacher_logits_NC: Tensor) -> float:
    """100/N * number of images for which both name the same class, percent (Stanton et al. 2021, section 3)."""
    same = (student_logits_NC.argmax(dim=1) == teacher_logits_NC.argmax(dim=1)).sum()
    return 100 * same.item() / len(student_logits_NC)


def kl_divergence(student_logits_NC: Tensor, teacher_logits_NC: Tensor) -> float:
    """1/N sum_i sum_c p_ic (log p_ic - log q_ic), nats, p the teacher's probabilities and q the student's.

    It is KL(teacher || student) at temperature 1, averaged over the images (Stanton et al. 2021, section 3).
    """
    log_q_NC = student_logits_NC.double().log_softmax(dim=1)
    log_p_NC = teacher_logits_NC.double().log_softmax(dim=1)
    return F.kl_div(log_q_NC, log_p_NC, reduction="batchmean", log_target=True).item()


def class_correlation(x_NC: Tensor) -> Tensor:
    """r_cd of ``correlation_difference``, [C, C]: Pearson's correlation over the images of columns c and d."""
    unit_NC = F.normalize(_centred(x_NC), dim=0, eps=torch.finfo(torch.float64).tiny)
    return unit_NC.T @ unit_NC


def correlation_difference(student_logits_NC: Tensor, teacher_logits_NC: Tensor) -> float:
    """1/C^2 sum_cd | r_cd(student) - r_cd(teacher) |, without unit; 0 where both relate all classes alike, at most 2.

    r_cd is Pearson's correlation over the images of the logits of classes c and d. A class whose logit is the same
    for all images is correlated with none, itself included: its r are 0.
    Source: Tian et al., Contrastive Representation Distillation, ICLR 2020, section 4, which draws these matrices.
    """
    return (class_correlation(student_logits_NC) - class_correlation(teacher_logits_NC)).abs().mean().item()


def linear_cka(student_ND: Tensor, teacher_NE: Tensor) -> float:
    """|T'S|^2 / (|S'S| |T'T|), 0 to 1, for centred features S [N, D] and T [N, E] and Frobenius norms.

    Centred kernel alignment of linear kernels, from matrices of D x E, D x D and E x E. It is 1 for features that are
    each other's shift, rotation and scale, not for other linear maps; 0 where a network's feature is the same for all
    images. It is too high where images are few against D and E: compare networks on the same images.
    Source: Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019, section 3.
    """
    s_ND, t_NE = _centred(student_ND), _centred(teacher_NE)
    scale = torch.linalg.matrix_norm(s_ND.T @ s_ND) * torch.linalg.matrix_norm(t_NE.T @ t_NE)
    shared = torch.linalg.matrix_norm(t_NE.T @ s_ND) ** 2
    return (shared / scale).item() if scale > 0 else 0.0


def _centred(x_ND: Tensor) -> Tensor:
    """Columns of mean 0, exactly 0 where a column is constant: taking off the first row leaves nothing to round."""
    from_first_ND = x_ND.double() - x_ND[:1].double()
    return from_first_ND - from_first_ND.mean(dim=0)
