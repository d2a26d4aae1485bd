import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from crcd.report.figure import Figure, attempt
from crcd.report.gain import gain_over_images
from crcd.report.networks import Place
from crcd.report.report import write_report
from crcd.report.runs import find_runs
from crcd.report.sections import answer
from crcd.report.source import Source
from crcd.report.subject import subjects
from crcd.report.words import points
from hostile_run import CLASSES, folder, run

MOST_BYTES = 3_000_000


class Outline(HTMLParser):
    """Tags, texts by tag, and the attributes that could ask for something."""

    def __init__(self):
        super().__init__()
        self.tags, self.asks, self.texts, self.open = [], [], {}, []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.asks += [value for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.asks += [name for name, _ in attrs if name.startswith("on")]
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, text):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(text.strip())


def outline(path):
    parser = Outline()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def data(path):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"))
    found = json.loads(text)
    for chart in found["charts"].values():
        for columns in chart["tables"].values():
            for name, column in columns.items():
                if isinstance(column, dict):
                    columns[name] = [column["words"][place] for place in column["at"]]
    return found


def missing(path):
    return re.findall(r'<p class="missing">Not shown: (.*?)</p>', path.read_text(encoding="utf-8"))


def test_all_figures_are_there_and_nothing_is_asked_for(page):
    found = outline(page)
    assert missing(page) == []
    assert found.texts["h2"] == [
        *("The answer", "How training went", "What distillation did"),
        *("Where it helped and where it hurt", "How to repeat it"),
    ]
    assert len([title for title in found.texts["h3"] if title]) == 18
    assert all(ask.startswith(("#", "data:,")) for ask in found.asks)
    assert not {"img", "iframe", "object", "form[action]"} & set(found.tags)
    assert "default-src 'none'" in page.read_text(encoding="utf-8")
    assert page.stat().st_size < MOST_BYTES


def test_the_library_is_there_once(page):
    assert page.read_text(encoding="utf-8").count("window.vegaEmbed") == 2  # where it is set, and where it is called


def test_the_answer_is_that_of_the_run(page, source):
    found = outline(page)
    sentences = [text for text in found.texts["p"] if "test images right" in text]
    assert len(sentences) == 3
    own = source.subject.first.learners["crcd+kd"]["top1"]
    (sentence,) = [text for text in sentences if "taught by crcd+kd" in text]
    space = "\N{NO-BREAK SPACE}"
    gain = own - source.subject.first.learners["ce"]["top1"]
    more = f"{abs(gain):.2f} points {'more' if gain > 0 else 'fewer'} than" if gain else "as much as"
    assert sentence.startswith(
        f"resnet8 taught by crcd+kd gets {own:.2f}{space}% of 360 test images right, "
        f"{more} on its own, with all of the parameters and "
    )
    teacher, kd = source.subject.first.teacher["top1"], source.subject.first.learners["kd"]["top1"]
    assert sentence.endswith(
        f"of its teacher, resnet8, which gets {teacher:.2f}{space}%. "
        f"Of the other methods kd gets most, {kd:.2f}{space}%."
    )
    assert f"{own:.2f}{space}%" in found.texts["b"]
    expected = gain_over_images(source.readings.right("crcd+kd"), source.readings.right("ce"))
    interval = f"points; 95 % interval over test images: {points(expected.low)} to {points(expected.high)}"
    assert interval in found.texts["small"]


def test_numbers_of_charts_are_those_of_the_run(page, source):
    charts = data(page)["charts"].values()
    (trade_off,) = [chart["tables"]["data"] for chart in charts if "parameters" in chart["tables"]["data"]]
    run = source.subject.first
    assert trade_off["learner"] == ["ce", "kd", "crcd+kd", "teacher"]
    entries = [*run.learners.values(), run.teacher]
    assert trade_off["accuracy"] == pytest.approx([entry["top1"] for entry in entries], rel=1e-4)
    assert trade_off["multiply_adds"] == [entry["multiply_adds"] for entry in entries]
    (gains,) = [chart["tables"]["data"] for chart in charts if "gain" in chart["tables"]["data"]]
    own = [i for i, name in enumerate(gains["learner"]) if name == "kd"]
    total = sum(gains["gain"][i] * gains["images"][i] for i in own) / 360
    assert total == pytest.approx(run.learners["kd"]["top1"] - run.learners["ce"]["top1"], abs=0.01)


def test_names_of_all_kinds_are_escaped(settings, tmp_path):
    photos = folder(tmp_path / "<b>photo's</b>")
    methods = ("ce", "crcd+kd@kd.weight=0.5")
    path = tmp_path / "report.html"
    write_report([run(settings, photos, tmp_path / "a <i>run</i>", methods=methods)], path, place=Place("cpu"))
    text, found = path.read_text(encoding="utf-8"), outline(path)
    assert missing(path) == []
    assert found.tags.count("script") == 3
    assert not {"img", "i", "b" if "<b>photo" in text else ""} & set(found.tags)
    assert [ask for ask in found.asks if not ask.startswith(("#", "data:,"))] == []
    names = {name for chart in data(path)["charts"].values() for name in chart["tables"]["data"].get("name", [])}
    assert {name.replace("/", "\N{DIVISION SLASH}") for name in CLASSES} <= names
    assert "49" not in names
    assert any("<i>run</i>" in text for text in found.texts["span"])


@pytest.mark.slow
def test_many_classes_of_pictures_stay_within_the_bound(settings, tmp_path):
    photos = folder(tmp_path / "photos", tuple(f"class number {i}" for i in range(100)), size=64, train=2, test=2)
    path = tmp_path / "report.html"
    large = {"image_size": 64, "batch_size": 50}
    write_report([run(settings, photos, tmp_path / "run", **large)], path, place=Place("cpu"))
    assert missing(path) == []
    assert 1_000_000 < path.stat().st_size < MOST_BYTES


@pytest.mark.slow
def test_without_images_and_weights_the_rest_is_shown(settings, tmp_path):
    photos = folder(tmp_path / "photos")
    ended = run(settings, photos, tmp_path / "run")
    shutil.move(photos, tmp_path / "moved")
    path = tmp_path / "report.html"
    write_report([ended], path, place=Place("cpu"))
    assert len(missing(path)) == 11
    assert all("photos" in reason for reason in missing(path))
    assert "Latency was not measured" in path.read_text(encoding="utf-8")
    assert "no interval" in path.read_text(encoding="utf-8")
    write_report([ended], path, place=Place("cpu", tmp_path / "moved"))
    assert missing(path) == []
    (ended / "kd.safetensors").unlink()
    write_report([ended], path, place=Place("cpu", tmp_path / "moved"))
    assert len(missing(path)) == 11
    assert all("no such file" in reason for reason in missing(path))


@pytest.mark.slow
def test_one_learner_alone(settings, tmp_path):
    path = tmp_path / "report.html"
    write_report(
        [run(settings, folder(tmp_path / "photos"), tmp_path / "run", methods=("kd",))], path, place=Place("cpu")
    )
    reasons = missing(path)
    assert len(reasons) == 5
    assert sum("there is no learner beside kd" in reason for reason in reasons) == 3
    assert sum("no learner contrasts relations" in reason for reason in reasons) == 2


@pytest.mark.slow
def test_several_seeds_and_setups(runs, settings, tmp_path):
    other = run(settings, folder(tmp_path / "photos"), tmp_path / "run")
    path = tmp_path / "report.html"
    write_report([*runs, other], path, place=Place("cpu"))
    text = path.read_text(encoding="utf-8")
    assert "95 % interval over 2 seeds" in text
    assert "Paired difference to ce, points" in text
    assert "bands reach from the least to the greatest" in text
    assert text.count("These figures are of the networks of seed 0 alone, one of 2") == 2
    assert text.count('<pre class="command">crcd distill') == 2
    assert '<pre class="command">crcd distill --recipe digits --seed 1' in text


def test_a_part_that_breaks_does_not_break_the_page(caplog):
    def broken() -> Figure:
        raise ZeroDivisionError("by nought")

    assert attempt("Broken", broken).missing == "ZeroDivisionError: by nought"
    assert "'Broken' could not be made" in caplog.text


@pytest.mark.parametrize(("own", "whole", "text"), [(2, 7, "1/3.5 of"), (10, 10.1, "all of"), (12, 10, "1.2 times")])
def test_parts_in_words(own, whole, text):
    assert answer._share(own, whole) == text


def test_in_words_against_another_baseline(runs):
    (subject,) = subjects(find_runs(runs[:1]), "kd")
    source = Source(subject, [subject], Place("cpu"), lambda loader, _: loader.epoch(0))
    own = answer.answer(source, "ce")
    assert [tile.label for tile in own.tiles[:3]] == ["distilled by kd", "student alone", "teacher"]
    entries = subject.column.entries | {"ce": subject.column.entries["kd"]}
    alike = replace(subject, column=replace(subject.column, entries=entries))
    assert ", as much as taught by kd, " in answer.answer(replace(source, subject=alike), "ce").sentence
