import torch
from torch.nn import functional as F

from crcd.report.maps import embedding_map, nearest
from crcd.report.networks import TEACHER


def test_neighbours_are_the_most_alike_of_all_others(source):
    reading = source.readings.networks["kd"]
    x = reading.feature_ND - reading.feature_ND.mean(dim=0)
    (found,) = nearest(reading, torch.tensor([17])).tolist()
    cosine = {i: float(F.cosine_similarity(x[17], x[i], dim=0)) for i in range(len(x)) if i != 17}
    assert found == sorted(cosine, key=cosine.__getitem__, reverse=True)[:5]


def test_a_map_is_the_same_each_time_and_keeps_classes_together(source):
    reading, index = source.readings.networks["kd"], torch.arange(60)
    place = embedding_map(reading, index)
    assert place.shape == (60, 2)
    assert float(place.abs().max()) == 1
    assert torch.equal(place, embedding_map(reading, index))
    assert embedding_map(source.readings.networks[TEACHER], torch.arange(5)).isfinite().all()
