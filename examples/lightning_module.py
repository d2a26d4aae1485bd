"""A LightningModule: the data set gives each image's number, so it is part of the batch of ``training_step``."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import crcd
from crcd.models import create_model
from digits import Numbered, accuracy, student_images, trained_teacher

METHOD = "crcd+itrd"  # any of `crcd list methods`


class Distillation(LightningModule):
    """Student, teacher and method: as submodules they move to the device and are in checkpoints, its memory too.

    Args:
        student: learns.
        teacher: trained.
        example: a few images, which the method reads the networks' shapes off.
        labels: class of every training image, in the order of their numbers.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, example: Tensor, labels: Tensor) -> None:
        super().__init__()
        self.student = crcd.Viewer(student)
        self.teacher = crcd.Viewer(teacher).requires_grad_(False)
        with torch.no_grad():
            self.method = crcd.build_method(METHOD, self.student.eval()(example), self.teacher.eval()(example), labels)
        self.student.train()  # Lightning leaves modes as they are: the teacher stays in eval mode

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        image, target, index = batch
        with torch.no_grad():
            teacher_view = self.teacher(image)
        student_view = self.student(image)
        terms = self.method(student_view, teacher_view, crcd.Batch(image, target, index))
        ce = F.cross_entropy(student_view.logits, target)
        self.log_dict({"ce": ce, "distillation": terms["loss"]})
        return self.method.ce_weight * ce + terms["loss"]

    def configure_optimizers(self) -> dict:
        parameters = [*self.student.parameters(), *self.method.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=5e-4)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main() -> float:
    torch.manual_seed(0)
    data = student_images()
    images, labels = data.tensors
    student = create_model("resnet8", num_classes=10, in_channels=1)
    module = Distillation(student, trained_teacher(), images[:2], labels)
    trainer = Trainer(
        max_epochs=20,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(Numbered(data), batch_size=50, shuffle=True))
    return accuracy(module.student)


if __name__ == "__main__":
    print(f"accuracy of the student: {main():.1f} %")
