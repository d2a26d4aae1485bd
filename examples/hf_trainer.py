"""A Hugging Face Trainer subclass: each image's number is a column of the data set, ``index``."""

from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

import crcd
from digits import splits, student_images, trained_teacher

METHOD = "crcd+itrd"  # any of `crcd list methods`


class Columns(Dataset):
    """Rows with the names that Trainer's collation turns into tensors of a batch."""

    def __init__(self, images: Dataset) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, target = self.images[index]
        return {"pixel_values": image, "labels": target, "index": index}


class Learner(nn.Module):
    """All that is trained, in one forward pass and one checkpoint; evaluation has cross-entropy alone."""

    def __init__(self, student: crcd.Viewer, method: nn.Module) -> None:
        super().__init__()
        self.student, self.method = student, method

    def forward(self, pixel_values: Tensor, labels: Tensor, index: Tensor, teacher: crcd.View) -> dict[str, Tensor]:
        view = self.student(pixel_values)
        loss = F.cross_entropy(view.logits, labels)
        if self.training:
            terms = self.method(view, teacher, crcd.Batch(pixel_values, labels, index))
            loss = self.method.ce_weight * loss + terms["loss"]
        return {"loss": loss, "logits": view.logits}


class DistillationTrainer(Trainer):
    """Trains a ``Learner`` under a teacher."""

    def __init__(self, *, teacher: crcd.Viewer, **settings: Any) -> None:
        super().__init__(**settings)
        self.teacher = teacher.eval().to(self.args.device)

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, **_: Any) -> Any:
        with torch.no_grad():
            teacher_view = self.teacher(inputs["pixel_values"])
        outputs = model(**inputs, teacher=teacher_view)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]


def main() -> float:
    torch.manual_seed(0)
    data = student_images()
    images, labels = data.tensors
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [1, 1, 1], "layer_type": "basic"}
    model = ResNetForImageClassification(ResNetConfig(num_channels=1, num_labels=10, **sizes))
    student, teacher = crcd.Viewer(model, classifier="classifier.1"), crcd.Viewer(trained_teacher())
    with torch.no_grad():
        method = crcd.build_method(METHOD, student.eval()(images[:2]), teacher.eval()(images[:2]), labels)
    with TemporaryDirectory() as folder:
        trainer = DistillationTrainer(
            teacher=teacher,
            model=Learner(student, method),
            args=TrainingArguments(
                folder,
                num_train_epochs=20,
                per_device_train_batch_size=50,
                learning_rate=3e-3,
                lr_scheduler_type="cosine",
                remove_unused_columns=False,  # keeps the numbers
                disable_tqdm=True,
                use_cpu=True,
            ),
            train_dataset=Columns(data),
            eval_dataset=Columns(splits()[1]),
            compute_metrics=lambda scored: {"accuracy": (scored.predictions.argmax(1) == scored.label_ids).mean()},
        )
        trainer.train()
        return 100 * trainer.evaluate()["eval_accuracy"]


if __name__ == "__main__":
    print(f"accuracy of the student: {main():.1f} %")
