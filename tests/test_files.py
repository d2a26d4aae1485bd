import resource
from contextlib import contextmanager

import pytest
import torch

from crcd.errors import CrcdError
from crcd.files import file_stem, plain_name, write_atomically
from crcd.train.checkpoint import load_checkpoint, save_checkpoint


@contextmanager
def full_disk():
    """No file grows beyond 4 kB in here: writing more fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_checkpoint_comes_back(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"fingerprint": "f", "weights": torch.arange(3.0), "history": [{"epoch": 1}]})
    state = load_checkpoint(path, "f", tmp_path)
    assert torch.equal(state["weights"], torch.arange(3.0))
    assert state["history"] == [{"epoch": 1}]


def test_full_disk_keeps_the_old_checkpoint_and_says_so_in_one_line(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"fingerprint": "f", "weights": torch.zeros(3)})
    with full_disk(), pytest.raises(CrcdError, match="could not be written") as error:
        save_checkpoint(path, {"fingerprint": "f", "weights": torch.zeros(10**5)})
    assert "the file of before is kept" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(load_checkpoint(path, "f", tmp_path)["weights"]) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_failed_writing_leaves_nothing(tmp_path):
    def write(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x", write)
    assert list(tmp_path.iterdir()) == []


def test_checkpoint_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"fingerprint": "f"})
    with pytest.raises(CrcdError, match=r"other settings than \S*config.yaml: undo"):
        load_checkpoint(path, "g", tmp_path / "config.yaml")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02c__builtin__\neval\n."])
def test_broken_checkpoint_is_one_line(tmp_path, content):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(CrcdError, match="cannot be read as a checkpoint"):
        load_checkpoint(path, "f", tmp_path)


def test_a_name_is_that_of_a_file_where_it_can_be():
    usual = "crcd+kd@crcd.negatives=512,kd.weight=1"
    assert file_stem(usual) == usual
    assert file_stem("n" * 225) == "n" * 225
    odd = [f"{'n' * 300}{end}" for end in "ab"]
    odd += [f"m:M@m:M.file={path}" for path in ("/x/y", "/x_y", "é" * 200)]
    assert len({file_stem(name) for name in odd}) == len(odd)
    assert all(len(file_stem(name).encode()) <= 225 for name in odd)
    assert not any(set(file_stem(name)) & set('<>:"/\\|?*\n') for name in [*odd, "C:\\net", "a|b?", 'x"\n\udce9<*>'])
    assert file_stem("net:Small") != file_stem("net_Small") == "net_Small"
    assert plain_name("digits-net:Small-hf/a/b") == "digits-net_Small-hf_a_b"
