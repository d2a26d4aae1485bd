"""Settings of CRCD."""

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

from crcd.errors import CrcdError, require, unknown
from crcd.relation.kernels.choice import Kernel
from crcd.relation.objectives import MIN_TEMPERATURE


@dataclass(frozen=True)
class RelationConfig:
    """How relations are made and contrasted."""

    relation: Literal["difference", "mlp"] = "difference"
    """Difference of two elements (released code), or a learned relation network (paper, eq. 10 and 11)."""
    objective: Literal["infonce", "nce"] = "infonce"
    """InfoNCE, or noise-contrastive estimation with a frozen constant (released code, CRD)."""
    temperature: float = 0.1
    """Temperature tau of the critic."""
    teacher_head: Literal["linear", "standardised"] = "linear"
    """The teacher's elements are embedded by a linear layer that the mirrored term trains (paper); or each of their
    numbers is standardised over the samples met, so that nothing is trained and none of the teacher's can get lost."""
    dim: int = 128
    """Width D of the embedded elements; standardised ones keep the teacher's."""
    hidden: int = 128
    """Hidden width of the mlp relation."""
    source: Literal["queue", "bank", "batch"] = "queue"
    """Where negatives come from: the latest elements, rows of all samples (released code), or the batch itself."""
    remember: Literal["elements", "embeddings"] = "elements"
    """What bank and queue keep: elements, which the current heads embed when they are drawn; or what the heads of their
    time made of them (released code), by which the contrast can tell the old from the new without a look at samples."""
    negatives: int = 4096
    """Number K of negatives, at most as many as there are samples; with `batch` it is the batch that counts."""
    exclude: Literal["exact", "relax"] = "exact"
    """A sample's negatives leave out its own class (exact) or only itself (relax)."""
    shared: bool = True
    """One draw of K negatives for the whole batch, or one for each sample (bank only)."""
    bank_momentum: float = 0.5
    """Share of its old value that a bank row keeps."""
    bank_precision: Literal["float32", "float16"] = "float32"
    """Of the bank's rows; float16 halves its memory."""
    bank_rows: Literal["replicated", "sharded"] = "replicated"
    """Of several processes each holds all rows of the bank, or its share of them; the numbers are the same."""
    anchors: int | None = None
    """Number A of anchors; None takes every sample of the batch."""
    anchor_source: Literal["current", "bank"] = "current"
    """Anchors are the batch's current teacher elements, or rows of the bank."""
    sample_share: float = 0.5
    """Share of the loss that contrasts samples themselves, as CRD does, in place of their relations: 0 for relations
    alone (paper), 1 for samples alone."""
    anchor_exclude: Literal["relax", "exact"] = "relax"
    """A sample is not seen from itself (relax), nor from any of its own class (exact)."""
    pair_weighting: Literal["equal", "distance"] = "equal"
    """All pairs of sample and anchor weigh alike, or as much as the teacher has the two apart: the nearer they are, the
    longer the gradient of their relation."""
    anchor_scope: Literal["gathered", "local"] = "gathered"
    """Of several processes each relates the samples of the whole batch, or those of its own share alone: less to
    compute, and numbers that depend on how many processes there are."""
    positive_source: Literal["current", "bank"] = "current"
    """The positive key is the sample's current teacher element, or its row of the bank."""
    feature_weight: float = 1.0
    """Weight of the relation loss on features."""
    gradient_weight: float = 0.1
    """Weight of the relation loss on feature gradients."""
    gradient_head: Literal["linear", "affine"] = "linear"
    """Head of the gradients: linear, to which their length is nothing; or with a bias, over gradients of the batch's
    mean loss, so short that the bias swamps them (released code)."""
    kernel: Kernel = "auto"
    """How it is computed: with all relations at once (oracle) or none kept, in PyTorch (streaming), in C on the CPU
    (native), on a GPU (triton); auto takes the fastest that can run."""
    min_gradient: float = 1e-7
    """Samples whose feature gradient is shorter weigh nothing in the gradient relation."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(RelationConfig).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise unknown(f"crcd.{name}", str(getattr(self, name)), get_args(kind))
        for name, holds, advice in (
            ("temperature", self.temperature >= MIN_TEMPERATURE, f"{MIN_TEMPERATURE} or more"),
            ("dim", self.dim >= 2, "2 or more"),
            ("hidden", self.hidden >= 1, "1 or more"),
            ("negatives", self.negatives >= 1, "1 or more"),
            ("bank_momentum", 0 <= self.bank_momentum < 1, "from 0 to below 1"),
            ("anchors", self.anchors is None or self.anchors >= 1, "1 or more"),
            ("sample_share", 0 <= self.sample_share <= 1, "from 0 to 1"),
            ("feature_weight", self.feature_weight >= 0, "0 or more"),
            ("gradient_weight", self.gradient_weight >= 0, "0 or more"),
            ("min_gradient", self.min_gradient >= 0, "0 or more"),
        ):
            require(holds, f"crcd.{name}", getattr(self, name), f"give {advice}")
        if self.feature_weight == self.gradient_weight == 0:
            raise CrcdError("crcd.feature_weight and crcd.gradient_weight are 0: give one a weight, or leave out crcd")
        self._refuse_without_effect()

    def _refuse_without_effect(self) -> None:
        """Raise the CrcdError that names the first setting that another one makes meaningless."""
        leave = "leave it out"
        of_relations = ("relation", "anchors", "anchor_source", "anchor_exclude", "pair_weighting")
        of_bank = ("anchor_source", "positive_source", "bank_rows", "bank_precision", "bank_momentum", "shared")
        for names, has_effect, why, advice in (
            (of_relations, self.sample_share < 1, "with crcd.sample_share 1 there are no relations", leave),
            (("hidden",), self.relation == "mlp", "the difference relation has no hidden layer", leave),
            (
                ("dim",),
                self.teacher_head == "linear",
                "with crcd.teacher_head standardised embedded elements are as wide as the teacher's",
                leave,
            ),
            (of_bank, self.source == "bank", f"negatives come from the {self.source}", "set crcd.source to bank"),
            (("remember",), self.source != "batch", "negatives come from the batch, which nothing remembers", leave),
            (("gradient_head", "min_gradient"), self.gradient_weight > 0, "crcd.gradient_weight is 0", leave),
        ):
            for name in () if has_effect else names:
                if (value := getattr(self, name)) != getattr(RelationConfig, name):
                    raise CrcdError(f"crcd.{name} is {value}, but {why}: {advice}")
