"""The training step as one CUDA graph: a launch a step instead of hundreds a network."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from crcd.data import Batch, Inputs, Loader
from crcd.relation.view import View
from crcd.train.learner import Learner
from crcd.train.step import Guide, Step

log = logging.getLogger(__name__)

WARM_UP = 3
"""Steps that run eagerly before the capture: libraries choose algorithms, optimisers make their state."""


class CapturedStep(Step):
    """The same step, captured after a few eager ones and replayed from then on.

    The teacher and each learner are parallel branches: students are read while the teacher is, and their methods wait
    for its view.

    What changes from step to step lies in tensors whose memory stays: the batch's inputs are copied into those of
    the captured step, rate and weight into the learners'. When distillation begins or ends, the step is captured anew.
    A step that can't be captured goes on eagerly, after one warning that says why.

    Args:
        loader: makes the batch.
        guide: the teacher; None where no learner has a method.
        learners: the students, on a CUDA device.
    """

    def __init__(self, loader: Loader, guide: Guide | None, learners: Sequence[Learner]) -> None:
        super().__init__(loader, guide, learners)
        self._trunk = torch.cuda.Stream(loader.device)
        self._teacher, *self._branches = [torch.cuda.Stream(loader.device) for _ in [guide, *learners]]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: Inputs | None = None
        self._distilling: bool | None = None
        self._warm = 0
        self._capturable = True

    def run(self, inputs: Inputs, *, distilling: bool) -> None:
        if distilling != self._distilling:
            self._graph, self._warm, self._distilling = None, 0, distilling
        if self._capturable and self._graph is None and self._warm >= WARM_UP:
            self._capture(inputs, distilling)
        if self._graph is not None and self._inputs is not None:
            self._inputs.copy_(inputs)
            self._graph.replay()
        elif self._capturable:
            with _on(self._trunk):
                super().run(inputs, distilling=distilling)
            self._warm += 1
        else:
            super().run(inputs, distilling=distilling)

    def teach(self, batch: Batch, guide: Guide | None) -> None:
        if not self._capturable:
            super().teach(batch, guide)
            return
        trunk = torch.cuda.current_stream()
        branches = [self._teacher, *self._branches]
        for branch in branches:
            branch.wait_stream(trunk)
        with torch.cuda.stream(self._teacher):
            view = None if guide is None else guide(batch)

        def after_teacher() -> View:
            assert view is not None
            torch.cuda.current_stream().wait_stream(self._teacher)
            return view

        for learner, branch in zip(self.learners, self._branches, strict=True):
            with torch.cuda.stream(branch):
                learner.step(batch, None if view is None else after_teacher)
        for branch in branches:
            trunk.wait_stream(branch)

    def _capture(self, inputs: Inputs, distilling: bool) -> None:
        """Record the step without taking it."""
        self._inputs = inputs.clone()
        graph = torch.cuda.CUDAGraph()
        outside = torch.cuda.current_stream()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # newer versions register by themselves
                for learner in self.learners:
                    graph.register_generator_state(learner.stream.generator)
            # Another thread may go on pinning memory for the loader.
            with torch.cuda.graph(graph, stream=self._trunk, capture_error_mode="thread_local"):
                super().run(self._inputs, distilling=distilling)
        except RuntimeError as error:
            log.warning("the training step can't be captured as a CUDA graph, it runs eagerly (%s)", _reason(error))
            self._capturable = False
            torch.cuda.set_stream(outside)  # the failing end skips the way back
            for learner in self.learners:
                learner.stream.leave_graph()
                learner.watch.leave_graph()
            return
        self._graph = graph


def _reason(error: RuntimeError) -> str:
    """Why a capture failed; its end, which failed too, is what was raised. Keeps no frame, and so no memory, alive."""
    first = error.__context__ or error
    return str(first).strip().splitlines()[0] if str(first).strip() else type(first).__name__


@contextmanager
def _on(stream: torch.cuda.Stream) -> Iterator[None]:
    """Work inside runs on another stream, after what came before and before what comes after."""
    outside = torch.cuda.current_stream()
    stream.wait_stream(outside)
    with torch.cuda.stream(stream):
        yield
    outside.wait_stream(stream)
