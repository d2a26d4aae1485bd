"""Classes of images by their nearest neighbours in the feature."""

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = 200
TEMPERATURE = 0.07
CHUNK = 256
"""Test images whose similarities to all training images are held at once."""


def weighted_knn(
    train_ND: Tensor, labels_N: Tensor, test_MD: Tensor, num_classes: int, neighbours: int = NEIGHBOURS
) -> Tensor:
    """score_mc = sum over the k most similar training images i of class c of exp((cos(x_m, x_i) - 1)/tau), [M, C].

    tau is 0.07 and k is 200, or all training images where they are fewer: the values of Wu et al., Unsupervised
    Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018, section 3.4. Nothing is fitted or chosen.
    The 1 changes no order: it keeps the exponential at 1 or less. A feature that is 0 is similar to none, cos 0.
    """
    train_ND = F.normalize(train_ND.double(), dim=1)
    scores = []
    for test_BD in F.normalize(test_MD.double(), dim=1).split(CHUNK):
        cosine_Bk, nearest_Bk = (test_BD @ train_ND.T).topk(min(neighbours, len(train_ND)), dim=1)
        weight_Bk = ((cosine_Bk - 1) / TEMPERATURE).exp()
        score_BC = weight_Bk.new_zeros(len(test_BD), num_classes)
        scores.append(score_BC.scatter_add_(1, labels_N[nearest_Bk], weight_Bk))
    return torch.cat(scores)
