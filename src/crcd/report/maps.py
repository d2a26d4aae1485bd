"""Images placed by a network's features: maps in the plane, and nearest neighbours."""

import torch
from sklearn.manifold import TSNE
from torch import Tensor

from crcd.report.networks import Reading
from crcd.report.relations import centred_features

MAPPED = 300
"""Images on a map."""
STEPS = 500
NEIGHBOURS = 5


def embedding_map(reading: Reading, index: Tensor) -> Tensor:
    """Places of some images in the plane by t-SNE of their centred unit features, [n, 2], scaled to -1 to 1.

    The seed is fixed; what is near on the map is near in the feature, while distances between groups mean little.
    """
    x_ND = centred_features(reading)[index].double().numpy()
    perplexity = min(30.0, (len(x_ND) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca" if x_ND.std() > 0 else "random", max_iter=STEPS, random_state=0)
    place_N2 = torch.from_numpy(tsne.fit_transform(x_ND))
    return place_N2 / place_N2.abs().max().clamp(min=1e-9)


def nearest(reading: Reading, query_Q: Tensor) -> Tensor:
    """Numbers of the images most like each of some images, by the cosine of centred features, [Q, 5], nearest first."""
    x_ND = centred_features(reading)
    cosine_QN = x_ND[query_Q] @ x_ND.T
    cosine_QN[torch.arange(len(query_Q)), query_Q] = -torch.inf
    return cosine_QN.topk(min(NEIGHBOURS, len(x_ND) - 1), dim=1).indices
