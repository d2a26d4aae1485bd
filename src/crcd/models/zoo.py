"""The CIFAR networks of the CRD tables, by name."""

from collections.abc import Callable
from functools import partial

from crcd.models.classifier import ImageClassifier
from crcd.models.mobilenetv2 import mobilenetv2
from crcd.models.resnet import NARROW, WIDE, cifar_resnet, resnet50
from crcd.models.shufflenetv1 import shufflenetv1
from crcd.models.shufflenetv2 import shufflenetv2
from crcd.models.vgg import CONVOLUTIONS, vgg
from crcd.models.wrn import wrn

ZOO: dict[str, Callable[[int, int], ImageClassifier]] = {
    **{f"resnet{depth}": partial(cifar_resnet, depth, NARROW) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{depth}x4": partial(cifar_resnet, depth, WIDE) for depth in (8, 32)},
    "resnet50": resnet50,
    **{f"wrn_{depth}_{widen}": partial(wrn, depth, widen) for depth in (16, 40) for widen in (1, 2)},
    **{f"vgg{depth}": partial(vgg, depth) for depth in CONVOLUTIONS},
    "mobilenetv2": mobilenetv2,
    "shufflenetv1": shufflenetv1,
    "shufflenetv2": shufflenetv2,
}
"""Makes a network of so many classes and image channels."""
