from dataclasses import replace

import pytest
import torch

from crcd.data import DataSet, Loader, TensorImages, load_dataset, relabelled
from crcd.errors import CrcdError
from crcd.evaluate.feature_set import FeatureOptions, feature_sets
from crcd.evaluate.features import extract
from crcd.evaluate.pretrained import Pretrained
from crcd.models import ImageFormat, Viewer, create_model

CPU = torch.device("cpu")
GREY = ImageFormat(1, 8, (0.3,), (0.3,))
COLOUR = ImageFormat(3, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def network(tmp_path, name="ce", images=GREY):
    torch.manual_seed(0)
    return Pretrained(tmp_path, name, "resnet8", "other", images, Viewer(create_model("resnet8", 7, images.channels)))


def digits(size):
    return load_dataset("digits", None, image_size=size)


def test_features_are_those_of_images_as_the_network_was_trained_on_them(tmp_path):
    networks = [network(tmp_path, "a"), network(tmp_path, "b", COLOUR), network(tmp_path, "c")]
    found = feature_sets(networks, digits, FeatureOptions(), CPU)
    assert [features.network.name for features in found] == ["a", "b", "c"]
    for features in found:
        images = features.network.format
        pixels = digits(images.size).test.fetch(torch.arange(360)).repeat(1, images.channels, 1, 1) / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (images.mean, images.std))
        with torch.no_grad():
            expected = features.network.viewer.eval()((pixels - mean) / std).feature
        torch.testing.assert_close(features.test.feature_ND, expected, rtol=1e-4, atol=1e-5)
    assert found[0].fit.labels_N.equal(found[1].fit.labels_N)


def test_training_images_are_split_and_no_test_image_is_among_them(tmp_path):
    (features,) = feature_sets([network(tmp_path)], digits, FeatureOptions(holdout=0.25), CPU)
    assert len(features.held_out.labels_N) == pytest.approx(1437 / 4, abs=1)
    data = digits(8)
    loader = Loader(data.train, 256, augment=None, mean=(0.3,), std=(0.3,), device=CPU, seed=0, train=False)
    ((feature_ND, _),) = extract([features.network.viewer], loader.epoch(0))
    assert features.train.labels_N.bincount().equal(data.train.labels.bincount())
    torch.testing.assert_close(features.train.feature_ND.double().sum(0), feature_ND.double().sum(0))
    assert features.test.labels_N.equal(data.test.labels)


def test_every_image_is_read_once_for_networks_of_one_format(tmp_path):
    titles = []

    def progress(loader, title):
        titles.append(title)
        return loader.epoch(0)

    networks = [network(tmp_path, "a"), network(tmp_path, "b"), network(tmp_path, "c", COLOUR)]
    feature_sets(networks, digits, FeatureOptions(), CPU, progress)
    assert [title.split()[2] for title in titles] == ["1150", "287", "360"] * 2
    assert [title.split()[5] for title in titles] == ["2"] * 3 + ["1"] * 3


def made(labels, channels=1, *, size):
    images = TensorImages(torch.zeros(len(labels), channels, size, size, dtype=torch.uint8), torch.tensor(labels))
    return DataSet("made", images, images, ("a", "b"), (0.5,) * channels, (0.5,) * channels)


def test_colour_images_for_a_network_of_grey_ones(tmp_path):
    with pytest.raises(CrcdError, match="network 'kd' takes images of 1 channel, those of made have 3: probe it on"):
        feature_sets([network(tmp_path, "kd")], lambda size: made([0, 1] * 5, 3, size=size), FeatureOptions(), CPU)


def test_one_class_in_training(tmp_path):
    with pytest.raises(CrcdError, match="made: all training images are of one class: a probe needs two or more"):
        feature_sets([network(tmp_path)], lambda size: made([1] * 8, size=size), FeatureOptions(), CPU)


def test_too_few_images_to_hold_any_out(tmp_path):
    with pytest.raises(CrcdError, match=r"holding out 0\.2 of 4 images leaves a class empty: choose another share"):
        feature_sets([network(tmp_path)], lambda size: made([0, 1, 0, 1], size=size), FeatureOptions(), CPU)


def test_weights_that_are_broken(tmp_path):
    broken = network(tmp_path, "kd")
    torch.nn.init.constant_(broken.viewer.model.body.stem[0].weight, torch.nan)
    with pytest.raises(CrcdError, match="network 'kd' gives features that are not finite"):
        feature_sets([broken], digits, FeatureOptions(), CPU)


def test_unlabelled_training_images_are_left_out(tmp_path):
    def mostly_unlabelled(size):
        data = digits(size)
        return replace(data, train=relabelled(data.train, data.train.labels.where(torch.arange(1437) < 400, -1)))

    (features,) = feature_sets([network(tmp_path)], mostly_unlabelled, FeatureOptions(holdout=0.25), CPU)
    assert (len(features.fit.labels_N), len(features.held_out.labels_N)) == (300, 100)
    assert features.train.labels_N.bincount().equal(digits(8).train.labels[:400].bincount())
