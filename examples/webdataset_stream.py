"""A stream of WebDataset's shards: its images have no numbers, so CRCDLoss takes negatives from a queue."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import webdataset
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as tv

import crcd
from crcd.models import create_model
from digits import accuracy, student_images, trained_teacher

EPOCHS = 20
IMAGES = 250
BATCH = 50


def write_shards(folder: str) -> list[str]:
    """Shards of 50 images; in your own loop this is your list of http(s) addresses, pipe: commands or files."""
    with webdataset.ShardWriter(f"file:{folder}/train-%06d.tar", maxcount=50, verbose=0) as writer:
        for i, (image, target) in enumerate(student_images()):
            picture = Image.fromarray(((image[0] + 1) * 8).byte().numpy())
            writer.write({"__key__": f"{i:04}", "png": picture, "cls": int(target)})
    return [f"pipe:cat {path}" for path in sorted(Path(folder).glob("*.tar"))]


def to_tensor(picture: Image.Image) -> Tensor:
    return tv.pil_to_tensor(picture.convert("L")).float() / 8 - 1


def train(urls: list[str]) -> crcd.Viewer:
    torch.manual_seed(0)
    stream = (
        webdataset.WebDataset(urls, shardshuffle=100, detshuffle=True, seed=0)  # the order of shards
        .compose(webdataset.detshuffle(IMAGES, seed=0))  # and of the images in a buffer
        .decode("pil")
        .to_tuple("png", "cls")
        .map_tuple(to_tensor, int)
    )
    loader = DataLoader(stream, batch_size=BATCH, drop_last=True)
    student = crcd.Viewer(create_model("resnet8", num_classes=10, in_channels=1))
    teacher = crcd.Viewer(trained_teacher()).eval()
    image = torch.zeros(2, 1, 8, 8)
    with torch.no_grad():
        dims = [viewer.eval()(image).feature.shape[1] for viewer in (student, teacher)]
    criterion = crcd.CRCDLoss(*dims, crcd.RelationConfig(source="queue", negatives=1024))

    parameters = [*student.parameters(), *criterion.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * (IMAGES // BATCH))
    student.train()
    for _ in range(EPOCHS):
        for image, target in loader:
            with torch.no_grad():
                teacher_view = teacher(image)
            student_view = student(image)
            relations = criterion(student_view, teacher_view, target)
            loss = F.cross_entropy(student_view.logits, target) + relations.loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return student


def main() -> float:
    with TemporaryDirectory() as folder:
        return accuracy(train(write_shards(folder)))


if __name__ == "__main__":
    print(f"accuracy of the student: {main():.1f} %")
