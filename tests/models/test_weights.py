import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.models import create_model, load_weights, read_metadata, save_weights


def assert_same_weights(left: nn.Module, right: nn.Module) -> None:
    assert left.state_dict().keys() == right.state_dict().keys()
    for name, value in left.state_dict().items():
        torch.testing.assert_close(value, right.state_dict()[name], rtol=0, atol=0)


def refusal(model: nn.Module, path: Path) -> str:
    with pytest.raises(CrcdError) as caught:
        load_weights(model, path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_round_trip_with_metadata(tmp_path: Path) -> None:
    saved, loaded = create_model("resnet8", 5).to(memory_format=torch.channels_last), create_model("resnet8", 5)
    path = tmp_path / "student.safetensors"
    save_weights(saved.state_dict(), path, {"model": "resnet8", "classes": "5"})
    assert read_metadata(path) == {"model": "resnet8", "classes": "5"}
    load_weights(loaded, path)
    assert_same_weights(saved, loaded)
    assert [file.name for file in tmp_path.iterdir()] == ["student.safetensors"]


def test_paths_may_be_strings(tmp_path: Path) -> None:
    path = str(tmp_path / "layer.safetensors")
    saved, loaded = nn.Linear(2, 2), nn.Linear(2, 2)
    save_weights(saved.state_dict(), Path(path), {"model": "layer"})
    assert read_metadata(path) == {"model": "layer"}
    load_weights(loaded, path)
    assert_same_weights(saved, loaded)
    with pytest.raises(CrcdError, match="no such file"):
        load_weights(loaded, f"{path}x")


def test_shared_weights_round_trip(tmp_path: Path) -> None:
    layer = nn.Linear(3, 3)
    saved, loaded = nn.Sequential(layer, layer), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    save_weights(saved.state_dict(), tmp_path / "a.safetensors", {})
    load_weights(loaded, tmp_path / "a.safetensors")
    assert_same_weights(saved, loaded)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(nn.Linear(2, 2).state_dict(), path, {})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(
        CrcdError, match=r"could not be written \(No space left on device\); the file of before is kept"
    ):
        save_weights(nn.Linear(2, 2).state_dict(), path, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_pytorch_files(tmp_path: Path, suffix: str, key: str | None, prefix: str) -> None:
    saved, loaded = create_model("resnet8", 5), create_model("resnet8", 5)
    state = {prefix + name: value for name, value in saved.state_dict().items()}
    path = tmp_path / f"teacher{suffix}"
    torch.save({key: state, "epoch": 240} if key else state, path)
    load_weights(loaded, path)
    assert_same_weights(saved, loaded)


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(nn.Linear(2, 2), tmp_path / "absent.safetensors")
    with pytest.raises(CrcdError, match="no such file"):
        read_metadata(tmp_path / "absent.safetensors")


def test_unknown_file_type(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    assert "unknown file type '.bin'" in refusal(nn.Linear(2, 2), tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"not weights at all"])
def test_broken_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refusal(nn.Linear(2, 2), tmp_path / name)


def test_truncated_files(tmp_path: Path) -> None:
    model = nn.Linear(64, 64)
    save_weights(model.state_dict(), tmp_path / "a.safetensors", {})
    torch.save(model.state_dict(), tmp_path / "a.pt")
    for path in (tmp_path / "a.safetensors", tmp_path / "a.pt"):
        path.write_bytes(path.read_bytes()[:-1000])
        assert "cannot be read" in refusal(model, path)


class Payload:
    """Unpickling this runs a command."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_pickled_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "extra": Payload(tmp_path / "ran")}, tmp_path / "evil.pt")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    torch.save(nn.Linear(2, 2), tmp_path / "whole_model.pt")
    for name in ("evil.pt", "raw.pth", "whole_model.pt"):
        assert "not plain weights" in refusal(nn.Linear(2, 2), tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {"model": {"epoch": 3}}, {0: torch.zeros(1)}])
def test_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    assert "no state dict" in refusal(nn.Linear(2, 2), tmp_path / "a.pt")


def test_another_class_count_is_said_in_these_words(tmp_path: Path) -> None:
    for name in ("resnet8", "timm/resnet18"):
        save_weights(create_model(name, 10).state_dict(), tmp_path / "a.safetensors", {})
        message = refusal(create_model(name, 100), tmp_path / "a.safetensors")
        assert "they are for 10 classes" in message
        assert "has 100" in message


def test_another_architecture_names_counts_and_first_keys(tmp_path: Path) -> None:
    save_weights(create_model("resnet20", 10).state_dict(), tmp_path / "a.safetensors", {})
    small = refusal(create_model("resnet8", 10), tmp_path / "a.safetensors")
    assert "72 unexpected (body.stage1.1.bn1.bias [16], " in small
    assert "missing" not in small
    save_weights(create_model("resnet8", 10).state_dict(), tmp_path / "a.safetensors", {})
    large = refusal(create_model("resnet20", 10), tmp_path / "a.safetensors")
    assert "72 missing (body.stage1.1.conv1.weight [16, 16, 3, 3], " in large
    wide = refusal(create_model("resnet8x4", 10), tmp_path / "a.safetensors")
    assert "of another shape (body.stem.0.weight [16, 3, 3, 3] for [32, 3, 3, 3], " in wide
    assert all(len(message) < 600 for message in (small, large, wide))


def test_weights_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    save_weights(create_model("resnet8", 10).state_dict(), tmp_path / "a.safetensors", {})
    model = create_model("resnet8", 100)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    refusal(model, tmp_path / "a.safetensors")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_others_may_read_weights_as_they_may_any_file(tmp_path):
    save_weights(nn.Linear(2, 2).state_dict(), tmp_path / "net.safetensors", {})
    (tmp_path / "any").touch()
    assert (tmp_path / "net.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode
