"""One student, its method and its optimiser."""

from collections.abc import Callable
from typing import Any

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from crcd import distributed
from crcd.data.batch import Batch
from crcd.errors import CrcdError
from crcd.methods.method import Method
from crcd.models import Viewer
from crcd.relation.view import View
from crcd.train.batchnorm import whole_batch_statistics
from crcd.train.optimiser import Optimiser, freeze
from crcd.train.options import ComputeOptions, OptimiserOptions
from crcd.train.parts import read_in_parts
from crcd.train.randomness import RandomStream
from crcd.train.reader import Reader
from crcd.train.stopwatch import Stopwatch
from crcd.train.supervision import supervised_loss
from crcd.train.totals import Totals


class LearnerError(CrcdError):
    """A loss or weights of a learner are not finite.

    Attributes:
        learner: its name.
    """

    def __init__(self, learner: str, message: str) -> None:
        super().__init__(message)
        self.learner = learner


class Learner:
    """A student that learns by ce_weight * CE + w * method loss (CE alone without a method).

    Whatever it draws at random comes from a stream of its own, so its numbers do not depend on the learners beside it.

    Of several processes each has a copy that reads its share of the batch, computes the loss of the whole and averages
    all gradients with the others: method and optimiser do in each the same as in a single process. One message after
    the backward pass carries them, of student and method alike, in place of a wrapper round the network: it needs no
    other names, and it does not matter which parameters a stage leaves without gradients.

    Args:
        name: what it is called in the run's files.
        viewer: the student.
        method: distillation terms, whose parameters are trained along; None for the student alone.
        options: settings of the optimiser.
        stream: its random numbers.
        device: where all of it computes.
        compute: how its network computes.
        class_weight_C: of each class in cross-entropy; None for 1.
    """

    advice = "try a lower --lr or longer --warmup-epochs"
    """What to do where its loss is not finite."""

    def __init__(
        self,
        name: str,
        viewer: Viewer,
        method: Method | None,
        options: OptimiserOptions,
        stream: RandomStream,
        device: torch.device,
        compute: ComputeOptions,
        class_weight_C: Tensor | None = None,
    ) -> None:
        self.name = name
        self.viewer = convert_conv2d_weight_memory_format(viewer.to(device), torch.channels_last)
        self.method = method.to(device) if method is not None else None
        self.guided = method is not None and method.beside_ce
        self.stream = stream
        self.device = device
        self.totals = Totals(device)
        self.watch = Stopwatch(device)
        self.frozen = freeze(viewer.model, options.freeze)
        self.read = Reader(self.viewer, compute)
        self.sync_batchnorm, self.batch_parts = compute.sync_batchnorm, compute.batch_parts
        self.weight = torch.ones((), device=device)
        self.optimiser = Optimiser(viewer.model, method, options, device)
        self.label_smoothing = options.label_smoothing
        self.class_weight_C = None if class_weight_C is None else class_weight_C.to(device)
        self.ema = options.ema
        self.begin_average()

    @property
    def result(self) -> Viewer:
        """The network that is scored and kept: the student, or the moving average of it."""
        if self.average is None:
            return self.viewer
        averaged: nn.Module = self.average.module
        return Viewer(averaged, self.viewer.maps, self.viewer.classifier)

    def begin_average(self) -> None:
        """Begin the moving average, if there is one, with the weights of now."""
        self.average = None if self.ema is None else ModelEmaV3(self.viewer.model, self.ema)

    def schedule(self, learning_rate: float, weight: float) -> None:
        """Set the learning rate, and w, the weight of the method's terms, for the steps to come."""
        self.optimiser.set_rate(learning_rate)
        self.weight.fill_(weight)

    def step(self, batch: Batch, teacher: Callable[[], View] | None) -> None:
        """Learn from one batch and add the loss and its parts to the epoch's totals.

        Args:
            batch: images, classes and indices.
            teacher: gives the teacher's view of the batch, when the student's is made; None where the method rests.
        """
        self.viewer.train()
        for part in self.frozen:
            part.eval()
        with self.watch.running(), self.stream.active():
            loss, parts = self._loss(batch, teacher)
            self.optimiser.step(loss, self._agree)
            if self.average is not None:
                self.average.update(self.viewer.model)
            self.totals.add(parts)

    def _view(self, batch: Batch) -> View:
        """The student's view of the whole batch, with its graph."""

        def read(image_BCHW: Tensor) -> View:
            with whole_batch_statistics(self.sync_batchnorm):
                return self.read(image_BCHW)

        with self.stream.apart():
            own = read_in_parts(read, self.viewer, batch.image, self.batch_parts)
        return own.gathered(len(batch.target))

    def _agree(self) -> None:
        """Make the gradients those of the mean loss of all processes, and statistics of parts their means."""
        if distributed.size() == 1:
            return
        parameters = self.optimiser.parameters()
        tensors = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not self.sync_batchnorm:
            tensors += [buffer for buffer in self.viewer.buffers() if buffer.is_floating_point()]
        distributed.average(tensors)

    def _loss(self, batch: Batch, teacher: Callable[[], View] | None) -> tuple[Tensor, dict[str, Tensor]]:
        student = self._view(batch)
        ce = supervised_loss(student.logits, batch, self.label_smoothing, self.class_weight_C)
        if self.method is None or not self.guided or teacher is None:
            return ce, {"loss": ce.detach(), "ce": ce.detach()}
        terms = self.method(student, teacher(), batch)
        loss = self.method.ce_weight * ce + self.weight * terms["loss"]
        return loss, terms | {"loss": loss.detach(), "ce": ce.detach()}

    def not_finite(self) -> list[str]:
        """Names of what is infinite or not a number: parts of the epoch's loss, or its weights; waits."""
        modules = [self.viewer, *([self.method] if self.method is not None else [])]
        tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        floating = [tensor for tensor in tensors if tensor.is_floating_point()]
        broken = distributed.highest(any(not torch.isfinite(tensor).all() for tensor in floating))
        return [*self.totals.not_finite(), *(["weights"] if broken else [])]

    def begin_epoch(self) -> None:
        """Set the epoch's totals and time to zero."""
        self.totals.clear()
        self.watch.seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Everything that its next step depends on, and the epoch's totals."""
        return {
            "student": self.viewer.model.state_dict(),
            "method": self.method.state_dict() if self.method is not None else {},
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.module.state_dict() if self.average is not None else {},
            "stream": self.stream.state_dict(),
            "totals": self.totals.state_dict(),
            "seconds": self.watch.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        self.viewer.model.load_state_dict(state["student"])
        if self.method is not None:
            self.method.load_state_dict(state["method"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self.stream.load_state_dict(state["stream"])
        self.totals.load_state_dict(state["totals"])
        self.watch.seconds = state["seconds"]
