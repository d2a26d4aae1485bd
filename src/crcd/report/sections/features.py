"""What distillation did to the features."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from crcd.errors import CrcdError
from crcd.evaluate.fidelity import class_correlation
from crcd.methods import method_parts
from crcd.report.charts.relations import embedding, matrix, shares
from crcd.report.critic import critic_cosines
from crcd.report.figure import Chart, Columns, Figure
from crcd.report.maps import MAPPED, NEIGHBOURS, embedding_map, nearest
from crcd.report.networks import BEFORE, TEACHER, Readings
from crcd.report.outcomes import changed_images, in_turn
from crcd.report.pictures import Pictures
from crcd.report.relations import BINS, ELEMENTS, choose_anchors, cosine_counts, evenly, likeness, relation_matrix
from crcd.report.source import Source
from crcd.report.words import brief

MOST_CLASSES = 30
"""Classes of a correlation map."""
QUERIES = 6
NEIGHBOUR_PICTURES = 200
"""Pictures for nearest neighbours, at most: where there are many learners, of fewer images."""
AFTER = "student after"
CHOSEN = "chosen learner"


def matrices_figure(source: Source) -> Figure:
    """Relation matrices of teacher and student before and after."""
    readings = source.readings
    index = choose_anchors(readings.labels)
    names = [f"{_class(readings, i)} (image {i})" for i in index.tolist()]
    charts, likenesses = [], []
    for element in ELEMENTS:
        teacher = relation_matrix(readings.networks[TEACHER], element, index)
        for title, networks in _panels(source, readings):
            found = {name: relation_matrix(readings.networks[name], element, index) for name in networks}
            of_focus = title == AFTER
            charts.append(_matrix(source, found, names, f"{title}, {element}s", 1.0, of_focus=of_focus))
            likenesses += [(element, name, likeness(own, teacher)) for name, own in found.items() if name != TEACHER]
    rows = [
        {"name": name, "cells": [f"{value:.2f}" for _, of, value in likenesses if of == name]}
        for name in dict.fromkeys(name for _, name, _ in likenesses)
    ]
    content = {
        "header": ["features", "gradients"],
        "rows": rows,
        "notes": [],
        "caption": "Correlation with the teacher's matrix",
    }
    reading = (
        f"Each cell is how alike a network finds two of the same {len(index)} test images, sorted by class (red alike, "
        "blue opposite): the more a matrix looks like the teacher's, the more that network relates images as it does."
    )
    columns = 3 if BEFORE in readings.networks else 2
    return Figure(reading, charts, template="scores.html", content=content, columns=columns, narrow_columns=columns)


def cosines_figure(source: Source) -> Figure:
    """Distribution of the cosines of all pairs."""
    readings, charts = source.readings, []
    for element in ELEMENTS:
        for title, networks in _panels(source, readings):
            found = {name: cosine_counts(readings.networks[name], element, readings.labels) for name in networks}
            charts.append(_shares(source, found, f"{title}, {element}s", of_focus=title == AFTER))
    reading = (
        "Cosines of pairs of test images of one class (blue) and of two classes (orange); a network that knows its "
        "classes keeps the two hills apart."
    )
    columns = 3 if BEFORE in readings.networks else 2
    return Figure(reading, charts, columns=columns)


def critic_figure(source: Source) -> Figure:
    """Cosines of CRCD's own relations in its trained heads."""
    readings, subject = source.readings, source.subject
    found: dict[str, dict[str, dict[str, Tensor]]] = {element: {} for element in ELEMENTS}
    for name in (name for name in subject.learners if "crcd" in method_parts(name)):
        student, teacher = readings.networks[name], readings.networks[TEACHER]
        for element, cosines in critic_cosines(subject, name, student, teacher, readings.labels).items():
            found[element][name] = cosines.shares()
    charts = [_shares(source, own, f"relations of {element}s", of_focus=True) for element, own in found.items() if own]
    if not charts:
        raise CrcdError("no learner contrasts relations: name a method with crcd")
    reading = (
        "Cosines between a relation as the teacher has it and as the student has it, in CRCD's embedding: of "
        "the same image (blue), which training pulls to 1, and of images of other classes (orange), which it pushes "
        "away; learners without crcd have none, and with crcd.sample_share=1 it is samples in place of relations."
    )
    return Figure(reading, charts, columns=2)


def correlation_figure(source: Source) -> Figure:
    """Differences of class correlations to the teacher's."""
    readings, subject = source.readings, source.subject
    teacher = class_correlation(readings.networks[TEACHER].logits_NC)
    apart = {n: (class_correlation(readings.networks[n].logits_NC) - teacher).float() for n in subject.learners}
    kept = torch.stack([own.abs().sum(dim=1) for own in apart.values()]).amax(dim=0)
    index = kept.topk(min(MOST_CLASSES, len(kept))).indices.sort().values
    names = [readings.material.data.class_names[c] for c in index.tolist()]
    cells = {name: own[index][:, index] for name, own in apart.items()}
    limit = max(0.1, round(float(torch.stack([own.abs().max() for own in cells.values()]).max()), 1))
    baseline = {subject.baseline: cells[subject.baseline]}
    charts = [
        _matrix(source, baseline, names, subject.baseline, limit, of_focus=False),
        _matrix(source, cells, names, CHOSEN, limit, of_focus=True),
    ]
    some = f" The {len(index)} of {len(kept)} classes that differ most are drawn." if len(index) < len(kept) else ""
    reading = (
        "How far the correlation of two classes' logits is from the teacher's (blue too low, red too high, full colour "
        f"at {limit:g}): the paler, the more student and teacher take the same classes for alike.{some}"
    )
    return Figure(reading, charts, columns=2, narrow_columns=2)


def maps_figure(source: Source) -> Figure:
    """t-SNE maps of the features."""
    readings = source.readings
    index = evenly(len(readings.labels), MAPPED)
    labels, classes = readings.labels[index], brief(readings.material.data.class_names)
    charts = []
    for title, networks in _panels(source, readings):
        data: Columns = {name: [] for name in ("learner", "x", "y", "class", "name", "answer", "right")}
        for name in networks:
            reading = readings.networks[name]
            place, answers = embedding_map(reading, index), reading.answers[index]
            data["learner"] += [name] * len(index)
            data["x"] += [round(x, 3) for x in place[:, 0].tolist()]
            data["y"] += [round(y, 3) for y in place[:, 1].tolist()]
            data["class"] += labels.tolist()
            data["name"] += [classes[c] for c in labels.tolist()]
            data["answer"] += [classes[c] for c in answers.tolist()]
            data["right"] += (answers == labels).tolist()
        chart = embedding(data, len(classes), source.cast, title, of_focus=title == AFTER)
        charts.append(chart)
    text = (
        f"{len(index)} test images by t-SNE of their features, coloured by class; a cross is a wrong answer. What lies "
        "close is alike; distances between groups mean little."
    )
    return Figure(text, charts, columns=len(charts))


def neighbours_figure(source: Source, pictures: Pictures) -> Figure:
    """Nearest neighbours of some images in each network."""
    readings, subject = source.readings, source.subject
    labels, classes = readings.labels, readings.material.data.class_names
    mended, lost = changed_images(readings.right(subject.focus), readings.right(subject.baseline), labels, QUERIES)
    others = choose_anchors(labels)
    each = 1 + NEIGHBOURS * len(readings.networks)
    candidates = dict.fromkeys([*mended.tolist(), *lost.tolist(), *others.tolist()])
    query = in_turn(torch.tensor(list(candidates)), labels, min(QUERIES, max(1, NEIGHBOUR_PICTURES // each)))
    rows: list[dict[str, Any]] = [
        {"picture": pictures.place(i), "name": classes[int(labels[i])], "found": {}} for i in query.tolist()
    ]
    for name, reading in readings.networks.items():
        for row, i, near in zip(rows, query.tolist(), nearest(reading, query).tolist(), strict=True):
            row["found"][name] = [
                {"picture": pictures.place(j), "name": classes[int(labels[j])], "same": bool(labels[j] == labels[i])}
                for j in near
            ]
    fixed = [name for name in (TEACHER, BEFORE) if name in readings.networks]
    content = {"rows": rows, "fixed": fixed, "learners": subject.learners, "after": AFTER}
    text = (
        "The five test images that each network finds most like the one on the left: with a tick one of its class, in "
        "a dashed frame one of another."
    )
    return Figure(text, template="neighbours.html", content=content)


def _panels(source: Source, readings: Readings) -> list[tuple[str, Sequence[str]]]:
    """Titles, and the networks that a chart of such a title may show: of the last the page shows the chosen one."""
    before = [(BEFORE, [BEFORE])] if BEFORE in readings.networks else []
    return [(TEACHER, [TEACHER]), *before, (AFTER, source.subject.learners)]


def _class(readings: Readings, index: int) -> str:
    return readings.material.data.class_names[int(readings.labels[index])]


def _matrix(
    source: Source, found: dict[str, Tensor], names: list[str], title: str, limit: float, *, of_focus: bool
) -> Chart:
    size = len(names)
    data: Columns = {
        "row": [i for _ in found for i in range(size) for _ in range(size)],
        "column": [j for _ in found for _ in range(size) for j in range(size)],
        "value": [round(x, 2) for own in found.values() for x in own.flatten().tolist()],
    }
    if of_focus:
        data["learner"] = [name for name in found for _ in range(size * size)]
    return matrix(data, names, source.cast, title, limit, of_focus=of_focus)


def _shares(source: Source, found: dict[str, dict[str, Tensor]], title: str, *, of_focus: bool) -> Chart:
    data: Columns = {name: [] for name in ("learner", "kind", "low", "high", "share")}
    edges = [round(-1 + 2 * i / BINS, 3) for i in range(BINS + 1)]
    kinds = list(next(iter(found.values())))
    for name, of_kind in found.items():
        for kind, share in of_kind.items():
            data["learner"] += [name] * (BINS + 1)
            data["kind"] += [kind] * (BINS + 1)
            data["low"] += edges
            data["high"] += [*edges[1:], edges[-1]]
            data["share"] += [round(x, 2) for x in [*share.tolist(), float(share[-1])]]
    return shares(data, kinds, source.cast, title, of_focus=of_focus)
