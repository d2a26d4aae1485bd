import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from crcd.errors import CrcdError
from crcd.report.networks import Place
from crcd.report.runs import find_runs
from crcd.report.sections.scores import scores_figure, setups_figure
from crcd.report.source import Source
from crcd.report.subject import subjects
from crcd.train.distill import distill
from crcd.train.scratch import train


def test_a_folder_of_runs_stands_for_all_of_them(runs, tmp_path):
    for run in reversed(runs):
        shutil.copytree(run, tmp_path / run.name)
    (tmp_path / "begun").mkdir()
    shutil.copy(runs[0] / "config.yaml", tmp_path / "begun")
    found = find_runs([tmp_path, tmp_path / "seed1"])
    assert [run.config.seed for run in found] == [0, 1]
    assert list(found[0].learners) == ["ce", "kd", "crcd+kd"]
    assert len(found[0].history) == 9


def test_folders_without_a_run_to_report(settings, runs, tmp_path):
    with pytest.raises(CrcdError, match="there is no ended run here"):
        find_runs([tmp_path])
    shutil.copy(runs[0] / "config.yaml", tmp_path)
    with pytest.raises(CrcdError, match=r"has not ended .* crcd distill --resume"):
        find_runs([tmp_path])
    shutil.copytree(runs[0], tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("{")
    with pytest.raises(CrcdError, match=r"metrics\.jsonl is damaged \(.*\): put a whole copy"):
        find_runs([tmp_path / "run"])
    train(replace(settings.for_teacher(tmp_path / "scratch"), epochs=1))
    with pytest.raises(CrcdError, match="not a run of crcd distill"):
        find_runs([tmp_path / "scratch"])


def test_learners_of_all_seeds_are_one_subject(runs):
    (subject,) = subjects(find_runs(runs), None)
    assert (subject.baseline, subject.focus, subject.label) == ("ce", "crcd+kd", "digits: resnet8 to resnet8")
    assert subject.learners == ["ce", "kd", "crcd+kd"]
    assert subject.first.config.seed == 0
    own, base = ([run.learners[name]["top1"] for run in find_runs(runs)] for name in ("kd", "ce"))
    gain = subject.column.gain("kd")
    assert gain.n == 2
    assert gain.mean == pytest.approx(sum(a - b for a, b in zip(own, base, strict=True)) / 2)


def test_one_seed_under_two_teachers_is_one_seed(runs):
    (first,) = find_runs(runs[:1])
    again = replace(first, summary=first.summary | {"teacher": first.teacher | {"weights": "another"}})
    (subject,) = subjects([first, again], None)
    source = Source(subject, [subject], Place("cpu"), lambda loader, _: loader.epoch(0))
    gain = source.gain("kd")
    assert (gain.points, gain.over) == (first.learners["kd"]["top1"] - first.learners["ce"]["top1"], None)
    figure = scores_figure(source).content
    assert [row["cells"][0] for row in figure["rows"]] == ["", "1", "1", "1"]
    assert "Without interval: there is one seed, under several teachers" in figure["notes"][0]


def test_setups_with_a_method_of_ones_own_code_are_shown_once(runs):
    (first,) = find_runs(runs[:1])
    setups = subjects([first, replace(first, config=replace(first.config, epochs=9))], None)
    for setup in setups:
        setup.column.entries["not_here:Own"] = {
            pair: replace(entry, method="not_here:Own") for pair, entry in setup.column.entries["kd"].items()
        }
    accuracy, gains = setups_figure(Source(setups[0], setups, Place("cpu"), lambda loader, _: None)).content["tables"]
    labels = [setup.label for setup in setups]
    assert accuracy.header[1:] == [f"{label} (n = 1)" for label in labels]
    assert [row[0] for row in gains.rows] == ["kd", "crcd+kd", "not_here:Own"]
    assert gains.rows[0][1:] == gains.rows[2][1:] != ["no pairs", "no pairs"]


def test_the_baseline_comes_first_and_may_be_named(runs):
    (subject,) = subjects(find_runs(runs), "kd")
    assert subject.learners == ["kd", "ce", "crcd+kd"]
    assert subject.distilled == ["ce", "crcd+kd"]
    with pytest.raises(
        CrcdError, match=r"--baseline crd is none of the learners of digits: resnet8 to resnet8: ce kd crcd\+kd"
    ):
        subjects(find_runs(runs), "crd")


def test_other_settings_are_another_setup_and_learners_of_one_name_must_be_alike(settings, runs, tmp_path):
    distill(replace(settings, methods=("ce",), epochs=1, out=tmp_path / "shorter"))
    found = subjects(find_runs([runs[0], tmp_path / "shorter"]), None)
    assert [subject.label for subject in found] == [f"digits: resnet8 to resnet8 epochs={n}" for n in (3, 1)]
    other = replace(settings, methods=("kd",), kd=replace(settings.kd, weight=2.0), out=tmp_path / "heavier")
    distill(other)
    with pytest.raises(CrcdError, match="its learner 'kd' has other settings"):
        subjects(find_runs([runs[0], tmp_path / "heavier"]), None)


def test_other_images_are_another_setup(runs):
    def labels(**changes):
        other = [
            replace(run, config=replace(run.config, **{name: own[i] for name, own in changes.items()}))
            for i, run in enumerate(find_runs(runs))
        ]
        return [subject.label for subject in subjects(other, None)]

    places = (Path("/photos"), Path("/others"))
    assert labels(image_size=(8, 12)) == [f"digits: resnet8 to resnet8 image_size={size}" for size in (8, 12)]
    assert labels(data=("folder", "folder"), data_dir=places) == [
        f"folder: resnet8 to resnet8 data_dir={place}" for place in places
    ]
    assert len(labels(data=("stl10", "stl10"), data_dir=places)) == 1
