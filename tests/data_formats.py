"""Small data sets in the official formats: pictures of one colour, which tells class and number."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100, STL10, FashionMNIST
from torchvision.datasets.imagenet import ARCHIVE_META

WNIDS = ("n01443537", "n02012849", "n03126707")
WORDS = ("goldfish, Carassius auratus", "crane", "crane")
"""Both the bird and the machine are called crane."""


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def colour(label: int, number: int) -> tuple[int, int, int]:
    return 25 * label + 5, number, 200


def jpeg(label: int, number: int, size: tuple[int, int] = (64, 64)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour(label, number)).save(file, "JPEG", quality=95)
    return file.getvalue()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def tar(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def pixels(labels: Iterable[int], side: int) -> np.ndarray:
    """Pictures, uint8, [N, 3, side, side]; the first row of each is white."""
    squares = [
        np.broadcast_to(np.array(colour(label, i))[:, None, None], (3, side, side)) for i, label in enumerate(labels)
    ]
    image_NCHW = np.stack(squares).astype(np.uint8)
    image_NCHW[:, :, 0] = 255
    return image_NCHW


def make_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two training images for each file of batches, and three test images."""
    source = {"cifar10": CIFAR10, "cifar100": CIFAR100}[name]
    folder, key = root / source.base_folder, "labels" if name == "cifar10" else "fine_labels"
    contents = {}
    for file, labels in [*((file, [0, 1]) for file, _ in source.train_list), (source.test_list[0][0], [1, 1, 0])]:
        contents[file] = {"data": pixels(labels, 32).reshape(len(labels), -1), key: labels}
    contents[source.meta["filename"]] = {source.meta["key"]: ["apple", "bear"]}
    for file, content in contents.items():
        write(folder / file, pickle.dumps(content))
    monkeypatch.setattr(source, "train_list", [[file, md5(folder / file)] for file, _ in source.train_list])
    monkeypatch.setattr(source, "test_list", [[file, md5(folder / file)] for file, _ in source.test_list])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": md5(folder / source.meta["filename"])})


def make_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three training images, two test images and one without label; pixels by columns, classes from 1."""
    folder = root / STL10.base_folder
    for part, labels in (("train", [0, 9, 1]), ("test", [2, 0]), ("unlabeled", [0])):
        write(folder / f"{part}_X.bin", pixels(labels, 96).transpose(0, 1, 3, 2).tobytes())
        write(folder / f"{part}_y.bin", bytes(label + 1 for label in labels))
    names = "airplane bird car cat deer dog horse monkey ship truck"
    write(folder / "class_names.txt", "\n".join(names.split()).encode())
    for files in ("train_list", "test_list"):
        monkeypatch.setattr(STL10, files, [[file, md5(folder / file)] for file, _ in getattr(STL10, files)])


def make_fashion_mnist(root: Path) -> None:
    """Four training and two test images."""
    folder = root / "FashionMNIST/raw"
    for part, labels in (("train", [9, 0, 4, 4]), ("t10k", [1, 9])):
        images = pixels(labels, 28)[:, 1]
        write(folder / f"{part}-images-idx3-ubyte", struct.pack(">4i", 0x803, *images.shape) + images.tobytes())
        write(folder / f"{part}-labels-idx1-ubyte", struct.pack(">2i", 0x801, len(labels)) + bytes(labels))


def pack_fashion_mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as it is downloaded."""
    make_fashion_mnist(root)
    for file in list((root / "FashionMNIST/raw").iterdir()):
        write(file.with_name(f"{file.name}.gz"), gzip.compress(file.read_bytes()))
        file.unlink()
    hashes = [(file, md5(root / "FashionMNIST/raw" / file)) for file, _ in FashionMNIST.resources]
    monkeypatch.setattr(FashionMNIST, "resources", hashes)


def make_tiny_imagenet(root: Path) -> Path:
    """Two training images a class and three validation images; gives the folder of the data set."""
    base = root / "tiny-imagenet-200"
    for label, wnid in enumerate(WNIDS):
        for i in range(2):
            write(base / f"train/{wnid}/images/{wnid}_{i}.JPEG", jpeg(label, i))
        write(base / f"train/{wnid}/{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t10\t63\t58\n".encode())
    lines = []
    for i, label in enumerate((2, 0, 1)):
        write(base / f"val/images/val_{i}.JPEG", jpeg(label, 100 + i))
        lines.append(f"val_{i}.JPEG\t{WNIDS[label]}\t0\t32\t44\t62")
    write(base / "val/val_annotations.txt", "\n".join(lines).encode())
    write(base / "test/images/test_0.JPEG", jpeg(0, 200))
    write(base / "wnids.txt", "\n".join(reversed(WNIDS)).encode())
    synonyms = zip(WNIDS, WORDS, strict=True)
    write(base / "words.txt", "\n".join(f"{wnid}\t{words}" for wnid, words in synonyms).encode())
    return base


def zip_tree(base: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(base.rglob("*")):
            packed.write(path, path.relative_to(base.parent))


def make_imagenet_folders(root: Path) -> None:
    """Two training images and one validation image a class."""
    for label, wnid in enumerate(WNIDS):
        for i in range(2):
            write(root / f"train/{wnid}/{wnid}_{i}.JPEG", jpeg(label, i, (80, 72)))
        write(root / f"val/{wnid}/ILSVRC2012_val_{label:08}.JPEG", jpeg(label, 100, (70, 90)))


def make_imagenet_archives(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images as the three official archives."""
    classes = {}
    for label, wnid in enumerate(WNIDS):
        tar(root / "class.tar", {f"{wnid}_{i}.JPEG": jpeg(label, i, (80, 72)) for i in range(2)})
        classes[f"{wnid}.tar"] = (root / "class.tar").read_bytes()
    (root / "class.tar").unlink()
    tar(root / "ILSVRC2012_img_train.tar", classes)
    labels = (2, 0, 1)
    val = {f"ILSVRC2012_val_{i + 1:08}.JPEG": jpeg(label, 100, (70, 90)) for i, label in enumerate(labels)}
    tar(root / "ILSVRC2012_img_val.tar", val)
    nodes = [*zip(range(1, 4), WNIDS, WORDS, [0] * 3, strict=True), (4, "n00001740", "entity", 3)]
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "f8")]
    rows = [(number, wnid, words, "a gloss", children) for number, wnid, words, children in nodes]
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": np.array(rows, dtype=kinds)[:, None]})
    data = "ILSVRC2012_devkit_t12/data"
    truth = "".join(f"{label + 1}\n" for label in labels).encode()
    devkit = {f"{data}/meta.mat": meta.getvalue(), f"{data}/ILSVRC2012_validation_ground_truth.txt": truth}
    tar(root / "ILSVRC2012_devkit_t12.tar.gz", devkit)
    for part, (file, _) in list(ARCHIVE_META.items()):
        monkeypatch.setitem(ARCHIVE_META, part, (file, md5(root / file)))
