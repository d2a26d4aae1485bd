import json
import os
import signal
import sys

import huggingface_hub
import pytest

from hub_server import serving
from processes import until


@pytest.fixture
def complaint(crcd):
    def ask(*words):
        answer = crcd("export", *words)
        assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1), answer
        return answer.err

    return ask


def test_what_is_shown_and_written(crcd, run):
    answer = crcd("export", run, "--learner", "kd", "--license", "mit")
    assert (answer.status, answer.err) == (0, "")
    folder = run / "export" / "kd-safetensors"
    assert answer.out.splitlines()[-1] == f"all of it is in {folder}"
    row = next(line for line in answer.out.splitlines() if "model.safetensors" in line)
    assert row.split() == [
        "model.safetensors",
        f"{(folder / 'model.safetensors').stat().st_size:,}",
        "0.0e+00",
        "100.00",
    ]
    assert "compared on 360 images" in answer.out
    assert "license: mit" in (folder / "README.md").read_text()


def test_int8_is_shown_beside_float32(crcd, run, tmp_path):
    answer = crcd("export", run, "--learner", "kd", "--format", "onnx", "--int8", "--out", tmp_path / "out")
    assert (answer.status, answer.err) == (0, "")
    own = json.loads((tmp_path / "out" / "config.json").read_text())["crcd"]["int8"]
    line = f"int8 on 360 images: top-1 {own['top1']:.2f} %, float32 {own['float_top1']:.2f} %"
    assert line in answer.out.splitlines()
    assert "model.int8.onnx" in answer.out


def test_the_hub(crcd, run, tmp_path, monkeypatch):
    with serving() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        answer = crcd("export", run, "--learner", "kd", "--out", tmp_path / "out", "--push-to-hub", "me/net")
    assert answer.status == 0, answer.err
    assert answer.out.splitlines()[-1] == f"uploaded to {hub.address}/me/net"
    assert [asked["visibility"] for asked in hub.created] == ["private"]
    assert hub.files.keys() == {"README.md", "config.json", "model.safetensors"}
    assert b"hf download me/net --local-dir ." in hub.files["README.md"]


def test_mistakes(complaint, run, tmp_path, monkeypatch):
    assert "crcd export needs the folder of a run" in complaint()
    assert "absent: there is no run here (no config.yaml)" in complaint(tmp_path / "absent")
    assert "has several learners: name one with --learner: ce, kd" in complaint(run)
    assert "unknown learner of run" in complaint(run, "--learner", "crcd")
    assert "give --format onnx, too" in complaint(run, "--learner", "kd", "--int8")
    assert "exists and is not empty" in complaint(run, "--learner", "kd", "--out", run)
    data = ("--data", "folder", "--data-dir", tmp_path / "absent")
    assert "absent" in complaint(run, "--learner", "kd", *data, "--out", tmp_path / "out")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert "needs a token of the Hugging Face hub" in complaint(run, "--push-to-hub", "me/net")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    error = complaint(run, "--learner", "kd", "--format", "onnx", "--out", tmp_path / "out")
    assert 'ONNX needs the package onnxscript: pip install "crcd[onnx]"' in error
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_has_not_ended(complaint, tmp_path):
    (tmp_path / "config.yaml").write_text("methods: [ce]\n")
    assert f"it has not ended (no summary.json); go on with it first: --resume {tmp_path}" in complaint(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"seed": 0, "learn', "Unterminated string"),
        ("{}", "it does not have all of data, "),
        ("[1]", "it does not have all of data, "),
        ("\xff", "'utf-8' codec can't decode byte"),
    ],
)
def test_a_damaged_summary(complaint, crcd, run, tmp_path, text, reason):
    (tmp_path / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    (tmp_path / "summary.json").write_text(text, encoding="latin-1")
    told = f"crcd: error: {tmp_path / 'summary.json'} is damaged ({reason}"
    assert complaint(tmp_path).startswith(told)
    answer = crcd("predict", tmp_path, tmp_path / "picture.png")
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert answer.err.startswith(told)


def test_a_summary_whose_learner_has_no_score(complaint, run, tmp_path):
    (tmp_path / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    summary = json.loads((run / "summary.json").read_text())
    del summary["learners"]["kd"]["top1"]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert "is damaged (a learner has no model or no top1)" in complaint(tmp_path)


def test_unknown_formats_are_refused_by_name(crcd, run):
    answer = crcd("export", run, "--format", "onxx")
    assert answer.status == 2
    assert "safetensors" in answer.err


def test_an_end_from_outside_leaves_nothing_behind(start, finish, run, tmp_path):
    process = start("export", run, "--learner", "kd", "--format", "pt2", "--out", tmp_path / "out")
    until(lambda: list(tmp_path.iterdir()), process)
    process.send_signal(signal.SIGTERM)
    answer = finish(process)
    assert answer.status in (
        143,
        -signal.SIGINT,
    )  # by chance of where it was: Python ends so where nothing is there to catch it
    assert (answer.out, answer.err) == ("", "crcd: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_just_as_the_folder_is_made_leaves_nothing_behind(crcd, run, tmp_path, monkeypatch):
    make = os.mkdir

    def interrupted(path, *words):
        make(path, *words)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", interrupted)
    answer = crcd("export", run, "--learner", "kd", "--out", tmp_path / "out")
    assert (answer.status, answer.err) == (130, "crcd: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_process_exports_every_form_and_says_nothing_else(start, finish, run, tmp_path):
    words = ("--learner", "kd", "--format", "safetensors", "onnx", "pt2", "--int8", "--out", tmp_path / "out")
    answer = finish(start("export", run, *words))
    assert (answer.status, answer.err) == (0, "")
    shown = [line.split()[0] for line in answer.out.splitlines() if line.strip().startswith("model.")]
    assert shown == ["model.safetensors", "model.onnx", "model.pt2", "model.int8.onnx"]
    assert answer.out.splitlines()[-1] == f"all of it is in {tmp_path / 'out'}"
