import json
import os
import shutil

import pytest

from crcd.cli import main

SIZES = ("--image-size", "16", "--crop-padding", "1", "--batch-size", "4", "--warmup-epochs", "0", "--device", "cpu")


@pytest.fixture
def run(photographs, tmp_path):
    """A resnet8 that learned the photographs, whose classes have names with brackets."""
    for part in ("train", "val"):
        (photographs / part / "cat").rename(photographs / part / "cat [bold]")
    words = ("train", "--model", "resnet8", "--data", photographs, "--epochs", "8", *SIZES, "--out", tmp_path / "run")
    assert main([str(word) for word in words]) == 0
    return tmp_path / "run"


def pictures(photographs):
    return sorted((photographs / "val").rglob("*.png"))


def test_the_predictions_are_those_that_evaluate_scores(crcd, run, photographs):
    words = ("--data", photographs, "--device", "cpu")
    scored = crcd("evaluate", "--weights", run / "ce.safetensors", *words).out
    folder = run / "export" / "ce-safetensors-onnx-pt2"
    assert crcd("export", run, "--format", "safetensors", "onnx", "pt2").status == 0
    answers = []
    for model in (run, *(folder / f"model.{form}" for form in ("safetensors", "onnx", "pt2"))):
        answer = crcd("predict", model, photographs / "val", "--json", "--trust", "--top", "1")
        assert (answer.status, answer.err) == (0, "")
        answers.append([(line["image"], line["classes"][0]["name"]) for line in json.loads(answer.out)])
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert [image for image, _ in answers[0]] == [str(path) for path in pictures(photographs)]
    right = sum(path.parent.name == name for path, (_, name) in zip(pictures(photographs), answers[0], strict=True))
    assert scored.endswith(f"top-1 {100 * right / len(answers[0]):.2f} %\n")


def test_a_table_of_the_likeliest_classes(crcd, run, photographs):
    first, second, *_ = pictures(photographs)
    answer = crcd("predict", run, second, first)
    assert (answer.status, answer.err) == (0, "")
    lines = [line for line in answer.out.splitlines() if "%" not in line and any(c.isdigit() for c in line)]
    assert [str(path) in line for path, line in ((second, lines[0]), (first, lines[2]))] == [True, True]
    assert {name for line in lines[:2] for name in ("cat [bold]", "dog") if name in line} == {"cat [bold]", "dog"}
    shares = [float(line.split()[-1]) for line in lines]
    assert shares[0] >= shares[1]
    assert shares[0] + shares[1] == pytest.approx(100, abs=0.02)
    assert "\x1b" not in answer.out


def test_names_that_are_no_utf8(photographs, tmp_path, crcd, start, finish, monkeypatch):
    """A class folder named in Latin-1: exported, predicted and checked where output is strict."""
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")
    for part in ("train", "val"):
        (photographs / part / "cat").rename(photographs / part / os.fsdecode(b"caf\xe9"))
    words = ("train", "--model", "resnet8", "--data", photographs, "--epochs", "1", *SIZES, "--out", tmp_path / "run")
    assert crcd(*words).status == 0
    assert crcd("export", tmp_path / "run", "--format", "safetensors", "onnx", "pt2").status == 0
    folder = tmp_path / "run" / "export" / "ce-safetensors-onnx-pt2"
    assert r"caf\udce9" in (folder / "README.md").read_text(encoding="utf-8")
    for model in (tmp_path / "run", *(folder / f"model.{form}" for form in ("safetensors", "onnx", "pt2"))):
        answer = crcd("predict", model, photographs / "val", "--json", "--trust")
        assert {line["name"] for line in json.loads(answer.out)[0]["classes"]} == {os.fsdecode(b"caf\xe9"), "dog"}
    answer = finish(start("predict", tmp_path / "run", photographs / "val"))
    assert (answer.status, answer.err) == (0, "")
    assert r"val/caf\udce9/0.png" in answer.out
    answer = finish(start("data", "check", photographs))
    assert (answer.status, answer.err) == (0, "")


def test_a_broken_picture_is_named_after_the_others_are_done(crcd, run, photographs, tmp_path):
    good = pictures(photographs)[0]
    (tmp_path / "broken.png").write_text("no picture")
    words = ("predict", run, tmp_path / "broken.png", tmp_path / "absent.png", good)
    answer = crcd(*words)
    assert answer.status == 1
    assert str(good) in answer.out
    broken, absent = answer.err.splitlines()
    assert broken.startswith(f"crcd: error: {tmp_path}/broken.png is not a readable image (cannot identify image file")
    assert absent == f"crcd: error: {tmp_path}/absent.png: there is no such file"
    plain = crcd(*words, "--json")
    assert (plain.status, plain.err) == (1, answer.err)
    assert [sorted(line) for line in json.loads(plain.out)] == [
        ["error", "image"],
        ["error", "image"],
        ["classes", "image"],
    ]


def test_mistakes(crcd, run, photographs, tmp_path):
    good = pictures(photographs)[0]
    (tmp_path / "empty").mkdir()
    for words, named in (
        ((run,), "crcd predict needs pictures"),
        ((tmp_path / "absent", good), "absent: there is no such file or folder"),
        ((tmp_path / "empty", good), "is neither an export"),
        ((run, tmp_path / "empty"), "empty: there is no picture in this folder"),
        ((run, good, "--top", "0"), "--top is 0: give 1 or more"),
        ((run, good, "--learner", "kd"), "unknown learner of run"),
    ):
        answer = crcd("predict", *words)
        assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1), answer
        assert named in answer.err
    assert crcd("export", run, "--format", "pt2").status == 0
    program = run / "export" / "ce-pt2" / "model.pt2"
    assert "can run code that is in it: give --trust" in crcd("predict", program, good).err
    assert crcd("predict", program, good, "--trust").status == 0
    shutil.copy(good, tmp_path / "model.onnx")
    assert "model.onnx can't be read by ONNX Runtime" in crcd("predict", tmp_path / "model.onnx", good).err


def test_a_process(start, finish, run, photographs):
    answer = finish(start("predict", run, photographs / "val", "--json"))
    assert (answer.status, answer.err) == (0, "")
    assert len(json.loads(answer.out)) == 4
