"""Each mistake is one line on standard error and exit status 2."""

import pickle
import shutil

import pytest
import sklearn.datasets
import torch

from crcd.cli import evaluate, names
from crcd.models import create_model, save_weights


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["distil"], "unknown command 'distil': did you mean distill"),
        (["distill", "digits"], "crcd distill takes images as --data digits and settings as --recipe digits"),
        (["distill", "--data", "digit"], "unknown data set 'digit': did you mean digits"),
        (["distill", "--student", "resnet9"], "unknown model 'resnet9': did you mean resnet8"),
        (["distill", "--teacher", "resnet65"], "unknown model 'resnet65': did you mean resnet56"),
        (["distill", "--teacher", "vit_tiny_patch16_224"], "write timm/vit_tiny_patch16_224"),
        (["distill", "--methods", "crdc"], "unknown method 'crdc': did you mean crd or crcd"),
        (["distill", "--methods", "ce,kd"], "separate methods by spaces, --methods ce kd"),
        (["distill", "--recipe", "digit"], "unknown recipe 'digit': did you mean digits"),
        (["distill", "--recipe", "absent.yaml"], "absent.yaml: cannot be read"),
        (["distill", "--batch-size", "1"], "--batch-size is 1"),
        (["distill", "--batch-size", "2000", "--student-images", "100"], "batch size 2000 is more than the 100"),
        (["distill", "--epochs", "0"], "--epochs is 0"),
        (["distill", "--teacher-epochs", "3", "--warmup-epochs", "4"], "--teacher-epochs is 3: give more than the 4"),
        (["distill", "--teacher-cache", "answers"], "--teacher-cache is answers: give --teacher-views too"),
        (["distill", "--kd.weight", "nan"], "kd.weight is nan"),
        (["distill", "--crcd.negatives", "0"], "crcd.negatives is 0: give 1 or more"),
        (["distill", "--time-budget", "soon"], "--time-budget is soon"),
        (["distill", "--device", "gpu"], "--device is gpu: give auto, cpu, cuda or cuda:N"),
        (["distill", "--device", "cuda:²"], "--device is cuda:²: give auto, cpu, cuda or cuda:N"),
        (["distill", "--workers", "100000"], "--workers is 100000: give 0 to 1024"),
        (["distill", "--workers", "-1"], "--workers is -1: give 0 to 1024"),
        (["evaluate", "--weights", "absent.safetensors", "--workers", "100000"], "--workers is 100000: give 0 to 1024"),
        (["distill", "--data", "cifar100"], "data set cifar100 needs --data-dir"),
        (["distill", "--data", "cifar100", "--data-dir", "absent"], "cifar100 is not in absent"),
        (["distill", "--data", "folder", "--data-dir", "absent"], "absent"),
        (["distill", "--teacher-weights", "absent.pt"], "absent.pt: no such file"),
        (["distill", "--teacher-weights", "t.pt", "--teacher-lr", "0.1"], "--teacher-weights and --teacher-lr exclude"),
        (["distill", "--teacher-pretrained", "--teacher-finetune"], "--teacher-pretrained and --teacher-finetune excl"),
        (["compare", "digits", "--teacher-weights", "t.pt", "--teacher-lr", "0.1"], "and --teacher-lr exclude each"),
        (
            ["distill", "--recipe", "folder-finetune", "--data-dir", "absent", "--teacher-weights", "absent.pt"],
            "absent/train is missing",
        ),
        (["distill", "--resume", "absent"], "--resume absent: there is no run here"),
        (["train", "--model", "resnet9"], "unknown model 'resnet9'"),
        (["evaluate", "--weights", "absent.safetensors"], "absent.safetensors: no such file"),
        (["list", "mdels"], "unknown list 'mdels': did you mean models"),
    ],
)
def test_mistakes_on_the_command_line(complaint, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    assert named in complaint(*words)
    assert list(tmp_path.iterdir()) == []


def test_unknown_setting_in_a_recipe(complaint, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("epoks: 3\n")
    assert "mine.yaml: unknown setting 'epoks': did you mean epochs" in complaint("distill", "--recipe", recipe)


def test_weights_of_another_architecture(complaint, tmp_path, quick):
    path = tmp_path / "weights.pt"
    torch.save(create_model("resnet14", 10, 1).state_dict(), path)
    error = complaint("distill", *quick, "--teacher-weights", path)
    assert "do not fit" in error
    assert "unexpected (body." in error


def test_weights_for_other_classes(complaint, tmp_path, quick):
    path = tmp_path / "weights.safetensors"
    save_weights(create_model("resnet8", 7, 1).state_dict(), path, {"model": "resnet8"})
    error = complaint("distill", *quick, "--teacher-weights", path)
    assert "they are for 7 classes" in error
    assert "has 10" in error


class Payload:
    def __reduce__(self):
        return print, ("the pickle ran",)


def test_a_pickle_is_refused_and_not_run(complaint, tmp_path, capsys, quick):
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(Payload(), protocol=2))
    error = complaint("distill", *quick, "--teacher-weights", path)
    assert "refused" in error or "cannot be read" in error
    assert "the pickle ran" not in error + capsys.readouterr().out


def test_run_folder_in_use(complaint, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "exists and is not empty: continue it with --resume" in complaint("distill", "--out", tmp_path)


def test_run_folder_that_may_not_be_made(complaint, tmp_path, weights, quick):
    (tmp_path / "file").write_text("")
    error = complaint("distill", *quick, "--teacher-weights", weights, "--out", tmp_path / "file" / "run")
    assert "Not a directory" in error


def test_weights_that_are_not_finite(complaint, tmp_path, quick):
    path = tmp_path / "nan.safetensors"
    model = create_model("resnet8", 10, 1)
    torch.nn.init.constant_(model.classifier.weight, torch.nan)
    save_weights(model.state_dict(), path, {"model": "resnet8", "data": "digits", "image_size": "8"})
    assert "logits that are not finite" in complaint("evaluate", "--weights", path, "--device", "cpu")
    assert "logits that are not finite" in complaint("distill", *quick, "--teacher-weights", path)


def test_step_that_breaks_the_student_at_the_end_of_an_epoch(complaint, tmp_path, weights, quick):
    words = ["distill", *quick, "--teacher-weights", weights, "--methods", "ce", "--lr", "1e30", "--batch-size", "100"]
    assert "of learner 'ce' not finite in epoch 1 by step 1" in complaint(*words, "--out", tmp_path / "run")
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["epoch"] == 0


def test_network_of_another_image_size(complaint, quick, weights):
    words = ("distill", *quick, "--teacher-weights", weights, "--student", "timm/vit_tiny_patch16_224")
    assert "does not take images of 8x8" in complaint(*words)


def test_loss_that_is_not_finite(complaint, tmp_path, weights, quick):
    error = complaint("distill", *quick, "--teacher-weights", weights, "--lr", "1e30", "--out", tmp_path / "run")
    assert "of learner 'ce' not finite in epoch 1 by step" in error
    assert (tmp_path / "run" / "checkpoint.pt").is_file()


REMEDIES = "lower --batch-size or --image-size, or give --batch-parts 4 or --precision bf16"


def test_memory_that_runs_out(complaint, tmp_path, weights, quick):
    words = ["distill", *quick, "--teacher-weights", weights, "--methods", "crcd", "--crcd.dim", 10**13]
    error = complaint(*words, "--out", tmp_path / "run")
    assert error == f"crcd: error: memory ran out (2560000000000000 bytes were asked for); what helps: {REMEDIES}\n"


@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.5 GiB. GPU 0"), " (2.5 GiB were asked for)"),
        (
            RuntimeError("[x] . DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
            " (8 bytes were asked for)",
        ),
        (MemoryError(), ""),
    ],
)
def test_memory_of_every_kind(complaint, monkeypatch, lacking, told):
    monkeypatch.setattr(names, "run", raising(lacking))
    assert (
        complaint("list")
        == f"crcd: error: memory ran out{told}; what helps: free some, or take a machine that has more\n"
    )


def test_memory_where_batches_can_only_be_smaller(complaint, monkeypatch):
    monkeypatch.setattr(evaluate, "run", raising(MemoryError()))
    assert complaint("evaluate", "--weights", "x") == "crcd: error: memory ran out; what helps: lower --batch-size\n"


def test_other_errors_of_pytorch_are_no_mistake_of_the_user(crcd, monkeypatch):
    monkeypatch.setattr(names, "run", raising(RuntimeError("shapes don't fit")))
    with pytest.raises(RuntimeError, match="shapes don't fit"):
        crcd("list")


def raising(error):
    def run(words):
        raise error

    return run


def test_label_out_of_range(complaint, monkeypatch):
    source = sklearn.datasets.load_digits()
    source.target[source.target == 9] = 12
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: source)
    error = complaint("distill", "--device", "cpu")
    assert "label 12 of image" in error
    assert "10 classes have labels 0 to 9" in error


def test_folder_without_train(complaint, photographs, folder_words):
    shutil.rmtree(photographs / "train")
    assert "train is missing" in complaint(*folder_words(photographs))


@pytest.mark.parametrize("words", [("train", "--data"), ("probe", "RUN", "--data"), ("data", "check")])
def test_folders_that_can_be_no_data_set(complaint, photographs, run, words):
    words = [run if word == "RUN" else word for word in words]
    assert f"data set {photographs}/absent: there is no such folder" in complaint(*words, photographs / "absent")
    assert "the name of the data set is empty" in complaint(*words, "")
    error = complaint(*words, photographs, "--data-dir", photographs.parent)
    assert f"data set {photographs} is a folder, where it lies: leave out --data-dir {photographs.parent}" in error


def test_folder_with_one_class(complaint, photographs, folder_words):
    for part in ("train", "val"):
        shutil.rmtree(photographs / part / "dog")
    assert "one class only (cat)" in complaint(*folder_words(photographs))


def test_empty_folder(complaint, tmp_path, folder_words):
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
    assert "class" in complaint(*folder_words(tmp_path))


def test_corrupt_image_is_named_and_may_be_skipped(complaint, crcd, photographs, tmp_path, folder_words):
    broken = photographs / "train" / "cat" / "9.png"
    broken.write_bytes(b"no image")
    error = complaint(*folder_words(photographs))
    assert str(broken) in error
    assert "--skip-corrupt" in error
    answer = crcd(*folder_words(photographs), "--skip-corrupt", "--out", tmp_path / "run")
    assert answer.status == 0, answer.err


def test_class_count_of_weights_and_folder_differ(complaint, photographs, weights, folder_words):
    error = complaint(*folder_words(photographs), "--teacher-weights", weights)
    assert "crcd: error: weights" in error


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"WORLD_SIZE": "abc"}, "the environment variable WORLD_SIZE is 'abc', not a whole number: start by torchrun"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2 and RANK is not set: start by torchrun, or unset WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is 2 and MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "2", "RANK": "x", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "RANK is 'x', not one of 0 to 1"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "crcd list uses one: start one"),
    ],
)
def test_processes_that_were_started_otherwise(complaint, monkeypatch, environment, told):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert told in complaint("list", "data")


def test_full_process(start, finish):
    answer = finish(start("distill", "--student", "resnet9"))
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == "crcd: error: unknown model 'resnet9': did you mean resnet8 or resnet56 or resnet50?\n"
