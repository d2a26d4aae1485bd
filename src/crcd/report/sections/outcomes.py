"""Where distillation helped and where it hurt."""

from crcd.errors import CrcdError
from crcd.evaluate.calibration import reliability
from crcd.report.charts.outcomes import BETTER, WORSE, agreement, calibration, class_gains, confusions
from crcd.report.figure import Chart, Choice, Columns, Figure
from crcd.report.networks import TEACHER
from crcd.report.outcomes import agreement_counts, changed_images, class_scores, confusion_changes
from crcd.report.pictures import Pictures
from crcd.report.source import Source
from crcd.report.words import ARROW, brief

MOST_CLASSES = 40
MOST_PAIRS = 10
MOST_EXAMPLES = 12
EXAMPLE_PICTURES = 200
"""Pictures for examples, at most: where there are many learners, fewer of each."""
LEAST_IMAGES = 3
"""Images of equal confidence from which on their accuracy is drawn."""


def classes_figure(source: Source) -> Figure:
    """Gain of each class."""
    readings, subject = source.readings, source.subject
    labels, names = readings.labels, readings.material.data.class_names
    baseline = readings.right(subject.baseline)
    data: Columns = {name: [] for name in ("learner", "number", "name", "gain", "accuracy", "baseline", "images")}
    rows = 0
    for learner in _distilled(source):
        scores = class_scores(readings.right(learner), baseline, labels)
        order = sorted(scores, key=lambda c: scores[c].gain)
        kept = order if len(order) <= MOST_CLASSES else [*order[: MOST_CLASSES // 2], *order[-MOST_CLASSES // 2 :]]
        rows = max(rows, len(kept))
        for c in sorted(kept):
            own = scores[c]
            data["learner"].append(learner)
            data["number"].append(c)
            data["name"].append(names[c])
            data["gain"].append(round(own.gain, 2))
            data["accuracy"].append(round(100 * own.right / own.images, 2))
            data["baseline"].append(round(100 * own.baseline_right / own.images, 2))
            data["images"].append(own.images)
    count = len(labels.unique())
    some = f" The {rows} of {count} classes that changed most are drawn." if count > rows else ""
    text = (
        f"Accuracy of the chosen learner in each class, less that of {subject.baseline}: it helped those to the right."
    )
    options = {"gain": "gain", "accuracy": "accuracy, lowest first", "number": "class number"}
    chart = class_gains(data, source.cast, rows)
    return Figure(text + some, [chart], [Choice("sort_by", "sort by", options)])


def confusions_figure(source: Source) -> Figure:
    """Confusions that went and that came."""
    readings, subject = source.readings, source.subject
    names = brief(readings.material.data.class_names, 14)
    mended: Columns = {name: [] for name in ("learner", "pair", "before", "after", "rank")}
    new: Columns = {name: [] for name in mended}
    most = [0, 0]
    for learner in _distilled(source):
        answers, before = (readings.networks[name].answers for name in (learner, subject.baseline))
        changes = confusion_changes(answers, before, readings.labels)
        order = sorted(changes, key=lambda pair: changes[pair][1] - changes[pair][0])
        fewer = [pair for pair in order if changes[pair][1] < changes[pair][0]][:MOST_PAIRS]
        more = [pair for pair in reversed(order) if changes[pair][1] > changes[pair][0]][:MOST_PAIRS]
        for place, (data, pairs) in enumerate(((mended, fewer), (new, more))):
            most[place] = max(most[place], len(pairs))
            for rank, (c, wrong) in enumerate(pairs):
                row = (learner, f"{names[c]} {ARROW} {names[wrong]}", *changes[c, wrong], rank)
                for name, value in zip(data, row, strict=True):
                    data[name].append(value)
    charts: list[Chart] = [
        confusions(mended, source.cast, most[0], "mended", BETTER),
        confusions(new, source.cast, most[1], "new", WORSE),
    ]
    text = (
        f"Images of one class taken for another (class {ARROW} answer), by {subject.baseline} (ring) and by the chosen "
        "learner (dot): the largest changes of either kind."
    )
    return Figure(text, charts, columns=2)


def examples_figure(source: Source, pictures: Pictures) -> Figure:
    """Images that changed sides."""
    readings, subject = source.readings, source.subject
    labels, names = readings.labels, readings.material.data.class_names
    answers = {name: reading.answers.tolist() for name, reading in readings.networks.items()}
    groups = {}
    most = min(MOST_EXAMPLES, max(1, EXAMPLE_PICTURES // (2 * len(subject.learners))))
    for learner in _distilled(source):
        right, baseline = readings.right(learner), readings.right(subject.baseline)
        changed = changed_images(right, baseline, labels, most)
        counts = (int((right & ~baseline).sum()), int((baseline & ~right).sum()))
        groups[learner] = [
            {
                "title": title,
                "count": count,
                "images": [
                    {
                        "picture": pictures.place(i),
                        "name": names[int(labels[i])],
                        "wrong": names[answers[wrong][i]],
                        "teacher": names[answers[TEACHER][i]],
                    }
                    for i in index.tolist()
                ],
            }
            for title, count, wrong, index in (
                (f"right now, wrong with {subject.baseline}", counts[0], subject.baseline, changed[0]),
                (f"wrong now, right with {subject.baseline}", counts[1], learner, changed[1]),
            )
        ]
    text = "Test images that changed sides: the true class, below it the wrong answer."
    return Figure(text, template="examples.html", content={"groups": groups, "learners": subject.learners})


def calibration_figure(source: Source) -> Figure:
    """Reliability diagram."""
    readings = source.readings
    data: Columns = {name: [] for name in ("learner", "images", "confidence", "accuracy")}
    for name in source.cast.names:
        bins = reliability(readings.networks[name].logits_NC, readings.labels)
        for images, right, confidence in zip(*(own.tolist() for own in bins), strict=True):
            if images >= LEAST_IMAGES:
                data["learner"].append(name)
                data["images"].append(images)
                data["confidence"].append(round(100 * confidence / images, 2))
                data["accuracy"].append(round(100 * right / images, 2))
    text = (
        "Above the dashed line a network is right more often than it believes, below it less often; larger dots stand "
        f"for more images, and those of fewer than {LEAST_IMAGES} are left out."
    )
    return Figure(text, [calibration(data, source.cast)])


def agreement_figure(source: Source) -> Figure:
    """Agreement with the teacher."""
    readings, count = source.readings, len(source.readings.labels)
    teacher = readings.networks[TEACHER].answers
    data: Columns = {name: [] for name in ("learner", "case", "images", "share", "place")}
    for name in source.subject.learners:
        cases = agreement_counts(readings.networks[name].answers, teacher, readings.labels)
        for place, (case, images) in enumerate(cases.items()):
            data["learner"].append(name)
            data["case"].append(case)
            data["images"].append(images)
            data["share"].append(round(100 * images / count, 2))
            data["place"].append(place)
    text = "How each learner's answers and the teacher's go together; in the two blue parts they agree."
    return Figure(text, [agreement(data, source.cast)])


def _distilled(source: Source) -> list[str]:
    if not source.subject.distilled:
        raise CrcdError(f"there is no learner beside {source.subject.baseline} to compare with it")
    return source.subject.distilled
