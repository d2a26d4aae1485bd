"""Methods whose training begins with a stage of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from crcd.data.batch import Batch
from crcd.errors import require
from crcd.methods.method import Method
from crcd.relation.view import View


@dataclass(frozen=True)
class TwoStageConfig:
    """Settings of a first stage."""

    first_stage_epochs: int = 30
    """Epochs of the first stage, before those of --epochs (the CRD authors' benchmark)."""
    first_stage_lr: float | None = None
    """Learning rate of the whole first stage; None takes --lr (the CRD authors' benchmark)."""

    def __post_init__(self) -> None:
        name = type(self).__name__.removesuffix("Config").lower()
        epochs, rate = self.first_stage_epochs, self.first_stage_lr
        require(epochs >= 1, f"{name}.first_stage_epochs", epochs, "give 1 or more")
        require(rate is None or rate > 0, f"{name}.first_stage_lr", rate, "give a learning rate above 0")


class TwoStage(Method):
    """A method that first trains some parameters by a loss of its own, and only then stands beside cross-entropy.

    The learner's loss in the first stage is ``first_stage(student, teacher, batch)["loss"]`` alone. What that does not
    depend on stays as it was. A method with nothing to add afterwards turns ``beside_ce`` off, and the student goes on
    by cross-entropy.
    """

    def __init__(self, config: TwoStageConfig) -> None:
        super().__init__()
        self.first_stage_epochs = config.first_stage_epochs
        self.first_stage_lr = config.first_stage_lr

    def first_stage(self, student: Callable[[], View], teacher: View, batch: Batch) -> dict[str, Tensor]:
        """Loss terms of one batch, in the form that ``forward`` gives them; those of ``forward`` unless overridden.

        Args:
            student: reads the batch, once; not called where the first stage is the teacher's alone.
            teacher: the teacher's view of the batch.
            batch: images, classes and indices.
        """
        terms: dict[str, Tensor] = self(student(), teacher, batch)
        return terms
