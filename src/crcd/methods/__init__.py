"""Distillation methods by name."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from crcd.config_file import fill
from crcd.errors import CrcdError, unknown
from crcd.methods.ab import AB, ABConfig
from crcd.methods.at import AT, ATConfig
from crcd.methods.catkd import CATKD, CATKDConfig
from crcd.methods.cc import CC, CCConfig
from crcd.methods.combined import Combined
from crcd.methods.crcd import CRCD
from crcd.methods.crd import CRD, CRDConfig
from crcd.methods.dist import DIST, DISTConfig
from crcd.methods.dkd import DKD, DKDConfig
from crcd.methods.fitnet import FitNet, FitNetConfig
from crcd.methods.fsp import FSP, FSPConfig
from crcd.methods.ft import FT, FTConfig
from crcd.methods.itrd import ITRD, ITRDConfig
from crcd.methods.kd import KD, KDConfig
from crcd.methods.luminet import LumiNet, LumiNetConfig
from crcd.methods.method import Method as Method
from crcd.methods.names import split_name
from crcd.methods.nst import NST, NSTConfig
from crcd.methods.own import own_method
from crcd.methods.pkt import PKT, PKTConfig
from crcd.methods.reviewkd import ReviewKD, ReviewKDConfig
from crcd.methods.rkd import RKD, RKDConfig
from crcd.methods.sp import SP, SPConfig
from crcd.methods.srrl import SRRL, SRRLConfig
from crcd.methods.vid import VID, VIDConfig
from crcd.methods.wttm import WTTM, WTTMConfig
from crcd.relation.config import RelationConfig
from crcd.relation.view import View

METHODS: dict[str, tuple[type[Method], type[Any]]] = {
    "kd": (KD, KDConfig),
    "dkd": (DKD, DKDConfig),
    "dist": (DIST, DISTConfig),
    "wttm": (WTTM, WTTMConfig),
    "luminet": (LumiNet, LumiNetConfig),
    "fitnet": (FitNet, FitNetConfig),
    "at": (AT, ATConfig),
    "nst": (NST, NSTConfig),
    "vid": (VID, VIDConfig),
    "reviewkd": (ReviewKD, ReviewKDConfig),
    "catkd": (CATKD, CATKDConfig),
    "sp": (SP, SPConfig),
    "cc": (CC, CCConfig),
    "rkd": (RKD, RKDConfig),
    "pkt": (PKT, PKTConfig),
    "srrl": (SRRL, SRRLConfig),
    "fsp": (FSP, FSPConfig),
    "ab": (AB, ABConfig),
    "ft": (FT, FTConfig),
    "itrd": (ITRD, ITRDConfig),
    "crd": (CRD, CRDConfig),
    "crcd": (CRCD, RelationConfig),
}
"""Each method's class and the class of its settings; ``ce`` is the student alone and has neither."""

PLAIN = "ce"
"""Cross-entropy with the labels alone, the student without a teacher: it shows what a teacher is worth at all."""


def method_names() -> list[str]:
    """Names of methods; several are combined by +, such as ``crcd+dkd``."""
    return [PLAIN, *METHODS]


def find_method(name: str) -> tuple[type[Method], type[Any]]:
    """A method's class and the class of its settings.

    Args:
        name: one of ``METHODS``, or ``package.module:Class`` of the user's own code, which is imported.

    Raises:
        CrcdError: there is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    if ":" in name:
        return own_method(name)
    raise unknown("method", name, method_names())


def method_parts(name: str) -> list[str]:
    """The methods that a learner's name stands for: two for ``crcd+dkd``, none for ``ce`` (no teacher).

    Raises:
        CrcdError: no method has one of the names (``find_method``), one stands twice, or what follows @ is wrong
            (``split_name``).
    """
    parts, changes = split_name(name)
    if parts == [PLAIN] and not changes:
        return []
    for part in parts:
        if part == PLAIN:
            raise CrcdError(f"method '{name}': cross-entropy is part of every method and has no settings: leave it out")
        if "," in part:
            spaced = name.replace(",", " ")
            raise CrcdError(f"unknown method '{name}': separate methods by spaces, --methods {spaced}")
        find_method(part)
    if len(set(parts)) < len(parts):
        raise CrcdError(f"method '{name}' names one method twice: name each once")
    return parts


def uses_maps(name: str) -> bool:
    """Whether a learner of this name needs feature maps of student and teacher."""
    return any(find_method(part)[0].uses_maps for part in method_parts(name))


def uses_preactivations(name: str) -> bool:
    """Whether a learner of this name needs feature maps before their activation."""
    return any(find_method(part)[0].uses_preactivations for part in method_parts(name))


def needs_one_class(name: str) -> bool:
    """Whether a learner of this name needs the one class of each image."""
    return any(find_method(part)[0].one_class for part in method_parts(name))


def method_settings(name: str, usual: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of each method of a learner's name: the usual ones, but for what the name changes after @.

    Args:
        name: as ``build_method`` takes it.
        usual: settings by method; of one that it lacks, they are the defaults.

    Raises:
        CrcdError: the name is wrong, or a change is of no setting or no value for it.
    """
    _, changes = split_name(name)
    settings = {part: usual[part] if part in usual else find_method(part)[1]() for part in method_parts(name)}
    changed = {part: fill(settings[part], own, f"method '{name}'") for part, own in changes.items()}
    return settings | changed


def build_method(
    methods: str | Mapping[str, Any], student: View, teacher: View, labels_N: Tensor | None = None
) -> Method:
    """A method, or the sum of several, for two networks.

    The student's loss is ``method.ce_weight * CE + method(student_view, teacher_view, batch)["loss"]``. Train the
    method's parameters with the student's, and keep its ``state_dict`` (heads and banks) in checkpoints.

    Args:
        methods: a name such as ``crcd+kd`` for default settings, but for what it changes after @
            (``crcd+kd@crcd.negatives=512,kd.weight=1``), in which ``package.module:Class`` is a method of your own; or
            each method's settings by its name, such as ``{"crcd": RelationConfig(negatives=512), "kd": KDConfig()}``.
        student: any view of the student, which shapes are read off; with feature maps if a method ``uses_maps``.
        teacher: the teacher's view of the same batch.
        labels_N: class of every training sample, in the order of ``Batch.index``, [N]; None where samples have no
            numbers, as in a stream, and ``Batch.index`` is None.

    Raises:
        CrcdError: the name or a setting is wrong, it is ``ce`` (the student alone), it needs labels and there are
            none, or the settings do not fit the networks or the data.
    """
    if isinstance(methods, str):
        methods = method_settings(methods, {})
    config = {part: (find_method(part)[0], own) for part, own in methods.items()}
    if not config:
        raise CrcdError(f"'{PLAIN}' is cross-entropy alone and has no terms to build: name a method, such as crcd+kd")
    if len(config) > 1:
        return Combined.build(config, student, teacher, labels_N)
    ((kind, own),) = config.values()
    return kind.build(own, student, teacher, labels_N)
