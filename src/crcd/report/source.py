"""What the sections of a page draw on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from crcd.errors import CrcdError
from crcd.report.charts.parts import Cast
from crcd.report.cost import Cost, cost, measure_latency
from crcd.report.gain import Gain, gain_over_images, gain_over_seeds
from crcd.report.networks import TEACHER, Place, Progress, Readings, read_networks
from crcd.report.subject import Subject


@dataclass
class Source:
    """A subject, and what is read and measured of it once for all figures.

    Attributes:
        subject: what the page is about.
        setups: all subjects of the report, this one among them.
        place: where networks and images are found.
        progress: see ``Progress``.
    """

    subject: Subject
    setups: Sequence[Subject]
    place: Place
    progress: Progress

    @cached_property
    def _readings(self) -> Readings | CrcdError:
        try:
            return read_networks(self.subject, self.place, self.progress)
        except CrcdError as error:
            return error
        except Exception as error:  # a network of a library or of one's own code may fail in any way
            return CrcdError(f"networks and images can't be read ({type(error).__name__}: {error})")

    @property
    def readings(self) -> Readings:
        """What the networks make of the test images.

        Raises:
            CrcdError: networks or images can't be had; as ``read_networks`` says why.
        """
        if isinstance(self._readings, CrcdError):
            raise type(self._readings)(str(self._readings))
        return self._readings

    @property
    def cast(self) -> Cast:
        """The networks that charts know."""
        return Cast(TEACHER, self.subject.learners, self.subject.focus, self.subject.baseline)

    def gain(self, learner: str) -> Gain | None:
        """A learner's gain over the baseline: over seeds where there are several, else over images of the one run."""
        subject = self.subject
        difference = subject.column.gain(learner)
        if difference is None:
            return None
        if difference.n > 1:
            return gain_over_seeds(difference)
        if subject.column.scores(learner).keys() & subject.column.scores(subject.baseline).keys() != {subject.shown}:
            return Gain(difference.mean)
        try:
            readings = self.readings
        except CrcdError:
            return Gain(difference.mean)
        if learner not in readings.networks or len(readings.images) < subject.first.summary["scored_images"]:
            return Gain(difference.mean)
        over_images = gain_over_images(readings.right(learner), readings.right(subject.baseline))
        return replace(over_images, points=difference.mean)

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """Cost of the teacher and of the students, by name."""
        run, latency = self.subject.first, self._latency
        costs = {TEACHER: cost(run.teacher, run.folder.weights("teacher"), latency.get(TEACHER, {}))}
        for name in self.subject.learners:
            weights = self.subject.run(name).folder.weights(name)
            costs[name] = cost(self.subject.entry(name), weights, latency.get("student", {}))
        return costs

    @cached_property
    def _latency(self) -> dict[str, dict[int, float]]:
        """Of the teacher and of the students, which are one architecture; none where they can't be had."""
        try:
            readings = self.readings
        except CrcdError:
            return {}
        device = readings.material.device
        teacher, student = (readings.networks[name].viewer.model for name in (TEACHER, self.subject.baseline))
        return {
            TEACHER: measure_latency(teacher, readings.teacher_format, device),
            "student": measure_latency(student, readings.material.format, device),
        }
