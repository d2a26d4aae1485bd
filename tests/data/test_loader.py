"""Batches: order, augmentation and normalisation as a function of seed and epoch."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crcd.data import CropFlip, FolderImages, Images, Loader, TensorImages
from crcd.errors import CrcdError

CPU = torch.device("cpu")


def images(n: int = 23) -> TensorImages:
    g = torch.Generator().manual_seed(0)
    return TensorImages(torch.randint(256, (n, 3, 8, 8), generator=g, dtype=torch.uint8), torch.arange(n) % 4)


def loader(
    batch_size: int = 5,
    *,
    train: bool = True,
    seed: int = 0,
    source: Images | None = None,
    workers: int = 0,
    pool: int | None = None,
) -> Loader:
    return Loader(
        source or images(), batch_size, augment=CropFlip(2), mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6), device=CPU, seed=seed, train=train, workers=workers, pool=pool,
    )  # fmt: skip


def test_training_epoch_shows_each_image_at_most_once():
    batches = list(loader().epoch(3))
    assert len(batches) == len(loader()) == 4
    index = torch.cat([batch.index for batch in batches])
    assert len(index.unique()) == 20
    assert index.tolist() != sorted(index.tolist())
    assert all(torch.equal(batch.target, batch.index % 4) for batch in batches)
    assert batches[0].image.is_contiguous(memory_format=torch.channels_last)


def test_each_image_has_a_crop_and_flip_of_its_own():
    one = TensorImages(images(1).image_NCHW.expand(20, -1, -1, -1), torch.zeros(20, dtype=torch.long))
    shown = {size: torch.empty(20, 3, 8, 8) for size in (4, 10)}
    for size, image_NCHW in shown.items():
        for batch in loader(size, source=one).epoch(0):
            image_NCHW[batch.index] = batch.image
    assert torch.equal(shown[4], shown[10])
    assert len(shown[4].unique(dim=0)) > 10


def test_a_pool_shows_each_image_in_its_few_augmentations_whatever_the_seed():
    one = TensorImages(images(1).image_NCHW.expand(20, -1, -1, -1), torch.zeros(20, dtype=torch.long))
    shown: dict[tuple[int, int], torch.Tensor] = {}
    for seed, epoch in ((0, 0), (0, 1), (0, 2), (7, 0), (7, 1)):
        for batch in loader(5, source=one, pool=2, seed=seed).epoch(epoch):
            assert batch.pool_view is not None
            for view, index, image in zip(batch.pool_view.tolist(), batch.index.tolist(), batch.image, strict=True):
                assert torch.equal(shown.setdefault((view, index), image), image)
    assert {view for view, _ in shown} == {0, 1}
    assert len(torch.stack(list(shown.values())).unique(dim=0)) > 10


def test_a_view_of_the_pool_is_the_same_however_many_there_are():
    few, many = loader(pool=2), loader(pool=5)
    assert few.pool_RNP is not None
    assert many.pool_RNP is not None
    assert torch.equal(few.pool_RNP, many.pool_RNP[:2])
    assert few.pool_identity() == many.pool_identity()


def test_a_view_of_the_pool_in_order_is_what_the_epochs_show():
    pooled = loader(pool=3)
    view = [pooled.batch(inputs) for inputs in pooled.pool_inputs(1)]
    assert torch.equal(torch.cat([batch.index for batch in view]), torch.arange(23))
    image_NCHW = torch.cat([batch.image for batch in view])
    for batch in pooled.epoch(0):
        here = batch.pool_view == 1
        assert torch.equal(batch.image[here], image_NCHW[batch.index[here]])
    (last,) = (pooled.batch(inputs) for inputs in pooled.pool_inputs(1, 4))
    assert torch.equal(last.image, image_NCHW[20:])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 23), st.integers(0, 2**31 - 1), st.integers(0, 300), st.integers(0, 12), st.booleans())
def test_same_epoch_same_batches_and_resume_is_the_tail(size, seed, epoch, start, train):
    first = list(loader(size, seed=seed, train=train).epoch(epoch))
    again = list(loader(size, seed=seed, train=train).epoch(epoch, start))
    for a, b in zip(first[start:], again, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.index, b.index)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (1, 0)])
def test_other_seed_or_epoch_other_batches(seed, epoch):
    a, b = next(loader().epoch(0)), next(loader(seed=seed).epoch(epoch))
    assert not torch.equal(a.index, b.index)


def test_batches_tell_which_images_are_labelled():
    source = TensorImages(images().image_NCHW, torch.arange(23) % 4 - 1)
    for batch in loader(source=source).epoch(0):
        assert torch.equal(batch.labelled, batch.target >= 0)
        assert torch.equal(batch.target, batch.index % 4 - 1)
    assert next(loader().epoch(0)).labelled is None


def files(tmp_path: Path, n: int = 9) -> FolderImages:
    pixels = np.random.default_rng(0).integers(256, size=(n, 8, 8, 3), dtype=np.uint8)
    for i in range(n):
        Image.fromarray(pixels[i]).save(tmp_path / f"{i}.png")
    return FolderImages([tmp_path / f"{i}.png" for i in range(n)], torch.arange(n) % 3, 8)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("train", [True, False])
def test_decoded_files_make_the_batches_of_memory(tmp_path, workers, train):
    source = files(tmp_path)
    memory = TensorImages(source.fetch(torch.arange(9)), source.labels)
    for a, b in zip(
        loader(4, train=train, source=source, workers=workers).epoch(1, 1),
        loader(4, train=train, source=memory).epoch(1, 1),
        strict=True,
    ):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.target, b.target)
        assert torch.equal(a.index, b.index)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_corrupt_file_is_one_line_from_any_process(tmp_path, workers):
    source = files(tmp_path)
    (tmp_path / "3.png").write_bytes(b"no image")
    with pytest.raises(CrcdError, match=r"^\S*3\.png is not a readable image; mend it, or pass --skip-corrupt$"):
        list(loader(4, train=False, source=source, workers=workers).epoch(0))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_given_up_leaves_nothing_behind_for_the_next(tmp_path, workers):
    used, fresh = (loader(2, source=files(tmp_path), workers=workers) for _ in range(2))
    next(used.epoch(0))
    for epoch, start in ((0, 1), (1, 0)):
        for a, b in zip(used.epoch(epoch, start), fresh.epoch(epoch, start), strict=True):
            assert torch.equal(a.image, b.image)
            assert torch.equal(a.index, b.index)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_live_as_long_as_their_loader(tmp_path):
    def processes() -> set[int | None]:
        return {process.pid for process in multiprocessing.active_children()}

    source, before, living = loader(2, source=files(tmp_path), workers=2), processes(), []
    for epoch in range(2):
        list(source.epoch(epoch))
        living.append(processes() - before)
    assert len(living[0]) == 2
    assert living[0] == living[1]
    del source
    assert not processes() & living[0]


def test_two_epochs_of_files_at_once_are_refused(tmp_path):
    source = loader(2, source=files(tmp_path))
    first, second = source.epoch(0), source.epoch(1)
    next(first)
    next(second)
    with pytest.raises(RuntimeError, match="read one at a time"):
        next(first)


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_batches_leave_the_global_generator_alone(tmp_path, kind):
    source = images() if kind == "memory" else files(tmp_path)
    before = torch.get_rng_state()
    list(loader(source=source).epoch(0))
    assert torch.equal(before, torch.get_rng_state())


def test_scoring_is_in_order_whole_and_without_augmentation():
    source = images()
    batches = list(loader(train=False, source=source).epoch(0))
    assert [len(batch.target) for batch in batches] == [5, 5, 5, 5, 3]
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(23))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    expected = (source.image_NCHW / 255 - mean) / std
    torch.testing.assert_close(torch.cat([batch.image for batch in batches]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "message"), [(1, "two samples or more"), (24, "more than the 23 training images")])
def test_batch_size_that_cannot_be(size, message):
    with pytest.raises(CrcdError, match=message):
        loader(size)
