"""From run folders to a page."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from crcd.errors import CrcdError
from crcd.files import write_text
from crcd.models.registry import TRUST
from crcd.own_code import refused
from crcd.report.figure import Figure, attempt
from crcd.report.networks import ImagesError, Place, Progress
from crcd.report.page import Section, render
from crcd.report.pictures import Pictures
from crcd.report.runs import find_runs
from crcd.report.sections import answer, features, outcomes, repeat, scores, training
from crcd.report.source import Source
from crcd.report.subject import subjects


def write_report(
    paths: Sequence[Path],
    out: Path,
    baseline: str | None = None,
    place: Place | None = None,
    progress: Progress = lambda loader, _: loader.epoch(0),
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the page about some runs.

    Args:
        paths: folders of ended runs, or of comparisons.
        out: file of the page.
        baseline: learner that the others are compared with; None takes the student alone, or the first.
        place: where networks and images are found.
        progress: see ``Progress``.
        note: is told what comes next, in words.

    Raises:
        CrcdError: there is no such run, the baseline is none of the learners, no images are where the place says, the
            page can't be written, or learners are of code that may not be run.
    """
    place = place or Place()
    source = f"settings or learners of {', '.join(map(str, paths))}"
    with nullcontext() if place.run_code else refused(source, TRUST):
        setups = subjects(find_runs(paths, note), baseline)
        write_text(out, make_report(Source(setups[0], setups, place, progress), note))


def make_report(source: Source, note: Callable[[str], None]) -> str:
    """The page's HTML. A figure that can't be made says so in its place.

    Raises:
        ImagesError: the images are not where the user says.
    """
    try:
        pictures = Pictures(source.readings.images)
    except ImagesError:
        raise
    except CrcdError as error:
        pictures = None
        note(f"without the figures that need networks and images: {error}")
    note("measuring latency")
    answers = [answer.answer(source, name) for name in source.subject.learners]
    where = answer.measured_where(source)
    note("drawing the report")

    def with_pictures(make: Callable[[Source, Pictures], Figure]) -> Figure:
        return make(source, Pictures(source.readings.images) if pictures is None else pictures)

    of_one_run = source.subject.of_one_run
    plan: list[tuple[str, str, dict[str, Callable[[], Figure]]]] = [
        (
            "The answer",
            "",
            {
                "Accuracy against cost": partial(scores.trade_off_figure, source),
                "All learners": partial(scores.scores_figure, source),
                **({"All setups": partial(scores.setups_figure, source)} if len(source.setups) > 1 else {}),
            },
        ),
        (
            "How training went",
            "",
            {
                "Accuracy while learning": partial(training.accuracy_figure, source),
                "Loss and its parts": partial(training.loss_figure, source),
                "Mutual information": partial(training.bounds_figure, source),
                "Schedule": partial(training.schedule_figure, source),
            },
        ),
        (
            "What distillation did",
            of_one_run,
            {
                "Relations between images": partial(features.matrices_figure, source),
                "Relation cosines of CRCD": partial(features.critic_figure, source),
                "Likeness within and between classes": partial(features.cosines_figure, source),
                "Correlation of classes, less the teacher's": partial(features.correlation_figure, source),
                "Maps of the features": partial(features.maps_figure, source),
                "Nearest neighbours": partial(with_pictures, features.neighbours_figure),
            },
        ),
        (
            "Where it helped and where it hurt",
            of_one_run,
            {
                "Gain of each class": partial(outcomes.classes_figure, source),
                "Confusions mended and new": partial(outcomes.confusions_figure, source),
                "Examples": partial(with_pictures, outcomes.examples_figure),
                "Calibration": partial(outcomes.calibration_figure, source),
                "Agreement with the teacher": partial(outcomes.agreement_figure, source),
            },
        ),
        ("How to repeat it", "", {"Command and circumstances": partial(repeat.repeat_figure, source)}),
    ]
    sections = [
        Section(heading, text, {title: attempt(title, make) for title, make in own.items()})
        for heading, text, own in plan
    ]
    return render(source, answers, where, sections, pictures)
