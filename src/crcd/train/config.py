"""What a run is told: one flat set of settings for distillation, one for training from scratch."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from crcd.errors import CrcdError
from crcd.methods import method_parts, method_settings, needs_one_class, uses_maps
from crcd.methods.ab import ABConfig
from crcd.methods.at import ATConfig
from crcd.methods.catkd import CATKDConfig
from crcd.methods.cc import CCConfig
from crcd.methods.crd import CRDConfig
from crcd.methods.dist import DISTConfig
from crcd.methods.dkd import DKDConfig
from crcd.methods.fitnet import FitNetConfig
from crcd.methods.fsp import FSPConfig
from crcd.methods.ft import FTConfig
from crcd.methods.itrd import ITRDConfig
from crcd.methods.kd import KDConfig
from crcd.methods.luminet import LumiNetConfig
from crcd.methods.nst import NSTConfig
from crcd.methods.pkt import PKTConfig
from crcd.methods.reviewkd import ReviewKDConfig
from crcd.methods.rkd import RKDConfig
from crcd.methods.sp import SPConfig
from crcd.methods.srrl import SRRLConfig
from crcd.methods.vid import VIDConfig
from crcd.methods.wttm import WTTMConfig
from crcd.relation.config import RelationConfig
from crcd.train.options import (
    ComputeOptions,
    DataOptions,
    OptimiserOptions,
    RunOptions,
    exclusive,
    require,
    require_epochs,
    require_milestones,
    require_seed,
)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions, OptimiserOptions, ComputeOptions, RunOptions):
    """Everything that training any network needs."""

    def __post_init__(self) -> None:
        for group in (DataOptions, OptimiserOptions, ComputeOptions, RunOptions):
            group.__post_init__(self)
        require(self.batch_size >= 2, "batch-size", self.batch_size, "give 2 or more: a relation needs two samples")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network."""

    model: str = "resnet20"
    """Network: a name of `crcd list models`, timm/NAME, torchvision/NAME, hf/NAME (transformers, or a folder of it), or
    PACKAGE.MODULE:FACTORY, which runs that code with num_classes and in_channels or in_chans if it takes them."""
    weights: Path | None = None
    """Its initial weights (.safetensors, .pt), without the head where they are for other classes; None draws them."""
    pretrained: bool = False
    """Begin with its library's own weights, downloaded if need be, without the head where it is for other classes."""
    classifier: str | None = None
    """Layer that makes its logits, for a network where it can't be told."""

    def __post_init__(self) -> None:
        exclusive("weights", self.weights is not None, "pretrained", self.pretrained)


@dataclass(frozen=True, kw_only=True)
class TeachingOptions:
    """Teacher, student and how the one learns from the other."""

    teacher: str = "resnet20"
    """Large network: a name of `crcd list models`, timm/NAME, torchvision/NAME, hf/NAME (transformers, or a folder of
    it), or PACKAGE.MODULE:FACTORY, which runs that code with num_classes and in_channels or in_chans if it takes
    them."""
    teacher_weights: Path | None = None
    """Its weights (.safetensors, .pt); None trains it first, in the folder teacher/ of the run."""
    teacher_pretrained: bool = False
    """Take its library's own weights, downloaded where they are not kept; their classes must hold the data's."""
    teacher_finetune: bool = False
    """Where the teacher is trained first, begin with its library's own weights, without the head where it is for other
    classes; --layer-decay is its, too."""
    teacher_images: Literal["own", "data"] = "own"
    """Size and normalisation of its images: its own, as its weights or library name them, or those of the data."""
    teacher_classifier: str | None = None
    """Layer that makes its logits, for a network where it can't be told."""
    weak_teacher: bool = False
    """Go on under a teacher whose accuracy is near chance."""
    teacher_epochs: int | None = None
    """Epochs of that training; None takes --epochs."""
    teacher_seed: int | None = None
    """Seed of that training; None takes --seed."""
    teacher_lr: float | None = None
    """Initial learning rate of that training; None takes --lr."""
    teacher_views: int | None = None
    """Fixed augmentations an image, the teacher's answers kept in float16; None draws new ones and asks each step."""
    teacher_cache: Path | None = None
    """Folder of those answers, which runs may share; None takes teacher-cache/ of the run."""
    student: str = "resnet8"
    """Small network, named as the teacher is."""
    student_weights: Path | None = None
    """Its initial weights (.safetensors, .pt), without the head where they are for other classes; None draws them."""
    student_pretrained: bool = False
    """Begin with its library's own weights, downloaded if need be, without the head where it is for other classes."""
    student_classifier: str | None = None
    """Layer that makes its logits, for a network where it can't be told."""
    methods: tuple[str, ...] = ("ce", "kd", "itrd", "crcd+itrd")
    """Methods to train side by side, a student each: ce has no teacher, kd learns from logits, itrd from
    features, crcd+itrd as itrd and by relations at once,
    kd@kd.weight=1,kd.temperature=2 has other settings than the run's, PACKAGE.MODULE:CLASS is one of your own code."""
    keep_going: bool = False
    """Leave out a student whose loss is not finite and go on with the others."""
    student_images: int | None = None
    """Labelled training images that the students see, class by class in proportion; None for all. Unlabelled ones of
    the data set are beside them in any case: in distillation terms and relations of features, not in cross-entropy."""
    pseudo_labels: bool = False
    """Give unlabelled training images the class that the teacher takes for the likeliest, for all learners."""
    distill_until: float | None = None
    """Last epoch with distillation terms, cross-entropy alone afterwards; a share of all epochs where below 1, None for
    all of them."""

    def __post_init__(self) -> None:
        require(len(self.methods) > 0, "methods", "empty", "name at least one, such as ce kd")
        for name in self.methods:
            method_parts(name)
        require(len(set(self.methods)) == len(self.methods), "methods", " ".join(self.methods), "name each one once")
        for flag in ("teacher_epochs", "teacher_views", "student_images"):
            value = getattr(self, flag)
            require(value is None or value >= 1, flag.replace("_", "-"), value, "give 1 or more")
        if self.teacher_seed is not None:
            require_seed("teacher-seed", self.teacher_seed)
        for flag, above_0 in (("teacher-lr", self.teacher_lr), ("distill-until", self.distill_until)):
            require(above_0 is None or above_0 > 0, flag, above_0, "give a number above 0")
        needless = self.teacher_cache is not None and self.teacher_views is None
        advice = "give --teacher-views too, how many augmentations of each image it shall hold, or leave it out"
        require(not needless, "teacher-cache", self.teacher_cache, advice)
        exclusive("student-weights", self.student_weights is not None, "student-pretrained", self.student_pretrained)
        exclusive("teacher-weights", self.teacher_weights is not None, "teacher-pretrained", self.teacher_pretrained)
        for flag, value in (("teacher-epochs", self.teacher_epochs), ("teacher-seed", self.teacher_seed)):
            self.refuse_beside_weights(flag, given=value is not None)

    def refuse_beside_weights(self, flag: str, *, given: bool) -> None:
        """Raises ``CrcdError`` where a flag for the teacher's training is given and the teacher comes with weights."""
        exclusive("teacher-weights", self.teacher_weights is not None, flag, given)
        exclusive("teacher-pretrained", self.teacher_pretrained, flag, given)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ModelOptions, TrainOptions):
    """Train a classifier, from scratch or from given weights."""

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        TrainOptions.__post_init__(self)


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TeachingOptions, TrainOptions):
    """Train small classifiers under a large one, side by side on the same batches."""

    kd: KDConfig = field(default_factory=KDConfig)
    dkd: DKDConfig = field(default_factory=DKDConfig)
    dist: DISTConfig = field(default_factory=DISTConfig)
    wttm: WTTMConfig = field(default_factory=WTTMConfig)
    luminet: LumiNetConfig = field(default_factory=LumiNetConfig)
    fitnet: FitNetConfig = field(default_factory=FitNetConfig)
    at: ATConfig = field(default_factory=ATConfig)
    nst: NSTConfig = field(default_factory=NSTConfig)
    vid: VIDConfig = field(default_factory=VIDConfig)
    reviewkd: ReviewKDConfig = field(default_factory=ReviewKDConfig)
    catkd: CATKDConfig = field(default_factory=CATKDConfig)
    sp: SPConfig = field(default_factory=SPConfig)
    cc: CCConfig = field(default_factory=CCConfig)
    rkd: RKDConfig = field(default_factory=RKDConfig)
    pkt: PKTConfig = field(default_factory=PKTConfig)
    srrl: SRRLConfig = field(default_factory=SRRLConfig)
    fsp: FSPConfig = field(default_factory=FSPConfig)
    ab: ABConfig = field(default_factory=ABConfig)
    ft: FTConfig = field(default_factory=FTConfig)
    itrd: ITRDConfig = field(default_factory=ITRDConfig)
    crd: CRDConfig = field(default_factory=CRDConfig)
    crcd: RelationConfig = field(default_factory=RelationConfig)

    def __post_init__(self) -> None:
        TeachingOptions.__post_init__(self)
        TrainOptions.__post_init__(self)
        for learner in self.methods:
            self.method_settings(learner)
        if self.teacher_epochs is not None:
            advice = f"give more than the {self.warmup_epochs:g} of --warmup-epochs, or lower that"
            require(self.teacher_epochs > self.warmup_epochs, "teacher-epochs", self.teacher_epochs, advice)
            if self.schedule == "step":
                require_milestones(self.milestones, "teacher-epochs", self.teacher_epochs)
        if self.distill_until is not None:
            require_epochs("distill-until", self.distill_until, "epochs", self.epochs)
        if self.teacher_views is not None and (learner := next(filter(uses_maps, self.methods), "")):
            raise CrcdError(
                f"method '{learner}' needs the teacher's feature maps, which its cache does not hold: leave out "
                "--teacher-views, or that method"
            )
        if self.mixed:
            self._check_mixed()
        advice = "without augmentation an image has one view: give 1, or set --crop, --flip, --policy or --erasing"
        require(self.teacher_views in (None, 1) or self.augmented, "teacher-views", self.teacher_views, advice)

    def _check_mixed(self) -> None:
        if self.teacher_views is not None:
            raise CrcdError("--teacher-views has no answers for mixed images: leave it out, or --mixup and --cutmix")
        if learner := next(filter(needs_one_class, self.methods), ""):
            raise CrcdError(f"method '{learner}' needs the one class of each image: leave it out, or mixup and cutmix")
        if self.mix_prob == 1 and any("crcd" in method_parts(learner) for learner in self.methods):
            raise CrcdError("--mix-prob is 1: without images that are not mixed crcd has no negatives, give less")

    def method_settings(self, learner: str) -> dict[str, Any]:
        """Settings of each method of a learner: the run's, but for what its name changes after @.

        Raises:
            CrcdError: the name is wrong, or a change is of no setting or no value for it.
        """
        return method_settings(learner, vars(self))

    def run_settings(self) -> "DistillConfig":
        """These settings without those that a command has beside a run's."""
        return DistillConfig(**{f.name: getattr(self, f.name) for f in fields(DistillConfig)})

    def for_teacher(self, out: Path | None) -> TrainConfig:
        """Settings of training this run's teacher, as a run of its own in the folder ``out``."""
        shared = {f.name: getattr(self, f.name) for f in fields(TrainOptions)}
        own = {
            "epochs": self.teacher_epochs or self.epochs,
            "lr": self.teacher_lr or self.lr,
            "seed": self.seed if self.teacher_seed is None else self.teacher_seed,
            "pretrained": self.teacher_finetune,
            "freeze": (),
            "layer_decay": self.layer_decay if self.teacher_finetune else None,
            "out": out,
            "resume": None,
        }
        return TrainConfig(model=self.teacher, classifier=self.teacher_classifier, **(shared | own))
