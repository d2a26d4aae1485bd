"""The teacher's cache: what it holds, whom it is for, and what happens when it is damaged or interrupted."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from crcd.data import CropFlip, FolderImages, Loader, TensorImages, load_dataset
from crcd.errors import CrcdError
from crcd.models import create_model
from crcd.train.config import DistillConfig
from crcd.train.options import ComputeOptions
from crcd.train.reporter import Reporter
from crcd.train.stop import RunStopped, StopSignal
from crcd.train.teacher import Teacher
from crcd.train.teacher_cache import CachedTeacher, TeacherCache

CPU = torch.device("cpu")
NEVER = StopSignal(None, "")
DIGITS = load_dataset("digits", None, image_size=8)


def network(seed: int = 0):
    """A resnet8 with running statistics that are not those of a new one."""
    torch.manual_seed(seed)
    model = create_model("resnet8", 10, 1)
    model(torch.randn(64, 1, 8, 8))
    return model


MODEL, CROP = network(), CropFlip(1, flip=True)


def loader(images=None, *, pool=2, batch_size=32, crop=CROP, mean=DIGITS.mean, seed=0, device=CPU):
    images = images or DIGITS.train.take(torch.arange(100))
    return Loader(
        images, batch_size, augment=crop, mean=mean, std=DIGITS.std, device=device, seed=seed, train=True, pool=pool
    )


def cache(folder, source=None, *, model=MODEL, **settings):
    return TeacherCache(folder, DistillConfig(**{"teacher": "resnet8", **settings}), model, source or loader())


def teacher_of(model=MODEL, device=CPU):
    return Teacher(model, device, ComputeOptions())


class Watch(Reporter):
    """Counts the images that the teacher sees; ``stop`` is due after so many batches."""

    def __init__(self, batches=10**6):
        self.images, self.done, self.left = 0, None, batches
        self.stop = StopSignal(None, "crcd distill --resume run")
        self.stop.due = lambda: self.left <= 0

    def begin_filling(self, views, images, done):
        self.done = done

    def fill(self, images):
        self.images += images
        self.left -= 1


def filled(files):
    files.fill(teacher_of(), NEVER, Reporter())
    return files


def contents(folder):
    """Metadata and bits of each file; safetensors writes metadata in any order."""
    files = {}
    for path in folder.iterdir():
        with safe_open(path, framework="pt") as file:
            bits = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118
            files[path.name] = file.metadata() | bits
    return files


def photographs(folder, count=9):
    g = torch.Generator().manual_seed(0)
    for i in range(count):
        Image.fromarray(torch.randint(256, (9, 8), generator=g, dtype=torch.uint8).numpy()).save(folder / f"{i}.png")
    return FolderImages([folder / f"{i}.png" for i in range(count)], torch.arange(count) % 3, 8)


def test_rows_are_the_live_teachers_rounded_to_float16(tmp_path):
    source, teacher = loader(pool=3), teacher_of()
    cached = CachedTeacher(filled(cache(tmp_path, source)), teacher)
    shown = set()
    for batch in (batch for epoch in range(3) for batch in source.epoch(epoch)):
        live, kept = teacher(batch), cached(batch)
        for name in ("logits", "feature"):
            exact, rounded = getattr(live, name), getattr(kept, name)
            assert rounded.dtype == torch.float32
            assert torch.equal(rounded, rounded.half().float())
            torch.testing.assert_close(rounded, exact, rtol=2**-10, atol=1e-6)
        assert kept.classifier is live.classifier
        shown |= set(batch.pool_view.tolist())
    assert shown == {0, 1, 2}


def test_rows_of_photographs(tmp_path):
    (tmp_path / "images").mkdir()
    images, model = photographs(tmp_path / "images"), create_model("resnet8", 3, 3)
    source = Loader(
        images, 4, augment=CropFlip(1), mean=(0.5,) * 3, std=(0.5,) * 3, device=CPU, seed=0, train=True, pool=2
    )
    teacher, files = teacher_of(model), cache(tmp_path / "cache", source, model=model)
    files.fill(teacher, NEVER, Reporter())
    cached = CachedTeacher(files, teacher)
    for batch in source.epoch(0):
        torch.testing.assert_close(cached(batch).feature, teacher(batch).feature, rtol=2**-10, atol=1e-6)


def test_views_on_one_tensor_are_gathered_alike(tmp_path):
    source = loader()
    cached = CachedTeacher(filled(cache(tmp_path, source)), teacher_of())
    batch = next(source.epoch(0))
    mapped = cached(batch)
    cached.logits, cached.feature = torch.stack(cached.logits), torch.stack(cached.feature)
    assert torch.equal(cached(batch).logits, mapped.logits)
    assert torch.equal(cached(batch).feature, mapped.feature)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_reads_what_the_cpu_wrote(tmp_path):
    mapped = CachedTeacher(filled(cache(tmp_path)), teacher_of())
    device = torch.device("cuda:0")
    source = loader(device=device)
    files = cache(tmp_path, source)
    assert files.fill(teacher_of(MODEL, device), NEVER, Reporter())["seconds"] == 0
    moved = CachedTeacher(files, teacher_of(MODEL, device))
    for on_cpu, on_gpu in zip(loader().epoch(0), source.epoch(0), strict=True):
        assert torch.equal(mapped(on_cpu).logits, moved(on_gpu).logits.cpu())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mapped files")
def test_files_are_mapped_on_the_cpu(tmp_path):
    files = filled(cache(tmp_path))
    cached = CachedTeacher(files, teacher_of())
    maps = Path("/proc/self/maps").read_text()
    assert all(str(files.path(view)) in maps for view in range(2))
    assert len(cached.logits) == 2


def test_what_is_there_is_not_asked_again(tmp_path):
    watch = Watch()
    made = cache(tmp_path).fill(teacher_of(), NEVER, watch)
    assert (watch.images, watch.done, made["views"]) == (200, 0, 2)
    assert made["seconds"] > 0
    assert made["bytes"] == sum(path.stat().st_size for path in tmp_path.iterdir())
    again = cache(tmp_path).fill(teacher_of(), NEVER, watch)
    assert again == made | {"seconds": 0}
    assert watch.images == 200
    cache(tmp_path, loader(pool=3)).fill(teacher_of(), NEVER, watch)
    assert (watch.images, watch.done) == (300, 200)


@pytest.mark.parametrize(
    "other",
    [
        lambda: cache(Path("x"), model=network(1)),
        lambda: cache(Path("x"), teacher="resnet14"),
        lambda: cache(Path("x"), precision="bf16"),
        lambda: cache(Path("x"), loader(DIGITS.train.take(torch.arange(1, 101)))),
        lambda: cache(Path("x"), loader(DIGITS.train.take(torch.arange(99)))),
        lambda: cache(Path("x"), loader(crop=CropFlip(2, flip=True))),
        lambda: cache(Path("x"), loader(crop=CropFlip(1, flip=False))),
        lambda: cache(Path("x"), loader(mean=(0.5,))),
    ],
    ids=["weights", "network", "precision", "images", "fewer images", "crop", "flip", "mean"],
)
def test_files_are_for_one_teacher_and_one_pool(other):
    assert other().hash != cache(Path("x")).hash


def test_files_are_for_any_number_of_views_seed_and_batch_size():
    others = (loader(pool=5), loader(seed=7), loader(batch_size=10))
    assert {cache(Path("x"), other).hash for other in others} == {cache(Path("x")).hash}


def test_labels_are_no_part_of_the_hash():
    images = DIGITS.train.take(torch.arange(100))
    other = TensorImages(images.image_NCHW, images.labels.flip(0))
    assert cache(Path("x"), loader(other)).hash == cache(Path("x")).hash


def test_hash_of_photographs(tmp_path, monkeypatch):
    images = photographs(tmp_path)
    before = images.digest()
    monkeypatch.chdir(tmp_path)
    relative = FolderImages([Path(path.name) for path in images.paths], images.labels, 8)
    assert relative.digest() == before
    assert FolderImages(images.paths, images.labels, 9).digest() != before
    assert images.take(torch.arange(8)).digest() != before
    os.utime(images.paths[3], ns=(1, 1))
    assert images.digest() != before


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def exchange_views(path):
    shutil.copy(path.with_name(path.name.replace("view001", "view000")), path)


@pytest.mark.parametrize("damage", [cut, flip_a_bit, exchange_views, empty])
def test_a_damaged_file_is_said_and_made_again(tmp_path, caplog, damage):
    files = filled(cache(tmp_path))
    whole = contents(tmp_path)
    damage(files.path(1))
    watch = Watch()
    files.fill(teacher_of(), NEVER, watch)
    assert [record.getMessage() for record in caplog.records] == [
        f"{files.path(1)} is damaged; this view of the teacher is made again"
    ]
    assert (watch.images, watch.done) == (100, 100)
    assert contents(tmp_path) == whole


def test_a_file_of_another_hash_is_not_used_under_this_name(tmp_path):
    theirs = cache(tmp_path, model=network(1))
    theirs.fill(teacher_of(network(1)), NEVER, Reporter())
    ours = cache(tmp_path)
    theirs.path(0).rename(ours.path(0))
    assert ours.rows(0) == 0


@pytest.mark.parametrize(("batches", "kept"), [(1, 32), (2, 64), (4, 100), (5, 132)])
def test_a_stopped_filling_goes_on_to_the_same_bits(tmp_path, batches, kept):
    filled(cache(tmp_path / "whole"))
    watch, files = Watch(batches), cache(tmp_path / "stopped")
    with pytest.raises(RunStopped, match=r"in view [12] of 2 of the teacher; continue with: crcd distill --resume run"):
        files.fill(teacher_of(), watch.stop, watch)
    assert watch.images == kept
    later = Watch()
    files.fill(teacher_of(), NEVER, later)
    assert (later.done, later.images) == (kept, 200 - kept)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_killed_filling_keeps_the_views_before(tmp_path):
    class Kill(Watch):
        def fill(self, images):
            super().fill(images)
            if self.left == 0:
                raise KeyboardInterrupt

    filled(cache(tmp_path / "whole"))
    files = cache(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        files.fill(teacher_of(), NEVER, Kill(6))
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [files.path(0).name]
    assert contents(filled(files).folder) == contents(tmp_path / "whole")


@pytest.mark.parametrize("factor", [1e7, float("nan")])
def test_numbers_that_float16_cannot_hold_are_refused(tmp_path, factor):
    model = network()
    model.classifier.weight.data *= factor
    with pytest.raises(CrcdError, match=r"logits of view 0 reach (nan|\S+e\+\d+), .* leave out --teacher-views"):
        cache(tmp_path, model=model).fill(teacher_of(model), NEVER, Reporter())
    assert list(tmp_path.iterdir()) == []
