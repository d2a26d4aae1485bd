"""One training step: a batch, the teacher's view of it, and every learner's lesson from both."""

from collections.abc import Callable, Sequence

from crcd.data import Batch, Inputs, Loader
from crcd.relation.view import View
from crcd.train.learner import Learner

Guide = Callable[[Batch], View]
"""What students learn from: the teacher's view of a batch, without a graph."""


class Step:
    """The work of one step; all of it is the device's, which the host does not wait for.

    Args:
        loader: makes the batch.
        guide: the teacher; None where no learner has a method.
        learners: the students.
    """

    def __init__(self, loader: Loader, guide: Guide | None, learners: Sequence[Learner]) -> None:
        self.loader = loader
        self.guide = guide
        self.learners = learners

    def __call__(self, inputs: Inputs, learning_rate: float, weight: float) -> None:
        """Take the step.

        Args:
            inputs: what the batch is made from.
            learning_rate: of this step.
            weight: w, of the methods' terms; at 0 teacher and methods rest.
        """
        for learner in self.learners:
            learner.schedule(learning_rate, weight)
        self.run(inputs, distilling=weight > 0)

    def run(self, inputs: Inputs, *, distilling: bool) -> None:
        """The step under the learners' present schedule."""
        self.teach(self.loader.batch(inputs), self.guide if distilling else None)

    def teach(self, batch: Batch, guide: Guide | None) -> None:
        """All learners learn from a batch, one after the other, under one view of the teacher."""
        view = None if guide is None else guide(batch)
        for learner in self.learners:
            learner.step(batch, None if view is None else lambda: view)
