import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from PIL import Image

from crcd.cli import main
from crcd.models import create_model, save_weights


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    status: int
    out: str
    err: str


@pytest.fixture
def crcd(capsys) -> Callable[..., Answer]:
    """Runs a command in this process."""

    def run(*words: object) -> Answer:
        capsys.readouterr()
        try:
            status = main([str(word) for word in words])
        except SystemExit as left:
            status = left.code
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def complaint(crcd: Callable[..., Answer]) -> Callable[..., str]:
    """Runs a command that must fail; gives its one line."""

    def run(*words: object) -> str:
        answer = crcd(*words)
        assert answer.status == 2, answer
        assert answer.err.count("\n") == 1, answer.err
        assert answer.err.startswith("crcd: error: ")
        assert "Traceback" not in answer.err
        return answer.err

    return run


@pytest.fixture
def folder_words():
    """Words of a short run on a folder of images."""

    def words(root):
        images = ("--image-size", "16", "--crop-padding", "1", "--batch-size", "4", "--epochs", "1")
        networks = ("--teacher", "resnet8", "--student", "resnet8", "--methods", "ce", "--warmup-epochs", "0")
        return "distill", "--data", "folder", "--data-dir", root, *images, *networks, "--device", "cpu", "--no-report"

    return words


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Starts a command as a process of its own, with as many threads as this one."""

    def run(*words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "crcd", *(str(word) for word in words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        )

    return run


@pytest.fixture(scope="session")
def finish() -> Callable[[subprocess.Popen[str]], Answer]:
    """Waits for such a process."""

    def wait(process: subprocess.Popen[str]) -> Answer:
        out, err = process.communicate(timeout=240)
        return Answer(process.returncode, out, err)

    return wait


@pytest.fixture(scope="session")
def quick() -> tuple[str, ...]:
    """Flags of a run of a second, which leaves out the report."""
    return (
        *("--device", "cpu", "--image-size", "8", "--student-images", "100", "--batch-size", "32"),
        *("--epochs", "1", "--teacher", "resnet8", "--methods", "ce", "kd", "--weak-teacher", "--no-report"),
    )


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Weights of a resnet8 for the digits, not trained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet8.safetensors"
    named = {"model": "resnet8", "data": "digits", "image_size": "8"}
    save_weights(create_model("resnet8", 10, 1).state_dict(), path, named)
    return path


@pytest.fixture
def photographs(tmp_path):
    """A folder of two classes, four grey images each in train/ and two in val/."""
    root = tmp_path / "photographs"
    for part, count in (("train", 4), ("val", 2)):
        for number, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("L", (20, 18), 90 * number + 10 * i).save(root / part / name / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def run(tmp_path_factory, weights, quick):
    """Folder of an ended run of a second, of ce and kd."""
    path = tmp_path_factory.mktemp("run") / "run"
    assert main([str(word) for word in ("distill", *quick, "--teacher-weights", weights, "--out", path)]) == 0
    return path
