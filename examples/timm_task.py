"""A timm TrainingTask: timm's loops call task(input, target), so each image's number comes along in the target."""

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.task import TrainingTask
from timm.utils import unwrap_model
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import crcd
from digits import accuracy, student_images, trained_teacher

METHOD = "crcd+itrd"  # any of `crcd list methods`
EPOCHS = 20


class NumberedTargets(Dataset):
    """Images with targets [2]: class and number, which timm's own collation and prefetching pass on as they are."""

    def __init__(self, images: Dataset) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, target = self.images[index]
        return image, torch.tensor([target, index])


class Learner(nn.Module):
    """All that is trained, in one forward pass and under one moving average."""

    def __init__(self, student: crcd.Viewer, method: nn.Module) -> None:
        super().__init__()
        self.student, self.method = student, method

    def forward(self, image: Tensor, target: Tensor, index: Tensor, teacher: crcd.View) -> dict[str, Tensor]:
        view = self.student(image)
        terms = self.method(view, teacher, crcd.Batch(image, target, index))
        loss = self.method.ce_weight * F.cross_entropy(view.logits, target) + terms["loss"]
        return terms | {"loss": loss, "output": view.logits}


class DistillationTask(TrainingTask):
    """Trains the student by cross-entropy and a method's terms; checkpoints hold the method as the task's state."""

    def __init__(self, student: nn.Module, teacher: nn.Module, example: Tensor, labels: Tensor) -> None:
        super().__init__()
        viewer, self.teacher = crcd.Viewer(student), crcd.Viewer(teacher).requires_grad_(False)
        with torch.no_grad():
            method = crcd.build_method(METHOD, viewer.eval()(example), self.teacher.eval()(example), labels)
        self.trainable_module = Learner(viewer, method)

    def train(self, mode: bool = True) -> "DistillationTask":
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher_view = self.teacher(input)
        return self.trainable_module(input, *target.unbind(dim=1), teacher_view)

    def get_eval_model(self, module: nn.Module | None = None, ema: bool = False) -> nn.Module:
        return unwrap_model(module or self.get_trainable_module(ema=ema)).student.model

    def get_task_state(self, module: nn.Module | None = None, ema: bool = False) -> dict:
        return unwrap_model(module or self.get_trainable_module(ema=ema)).method.state_dict()

    def load_task_state(self, state, strict: bool = True, module: nn.Module | None = None, ema: bool = False) -> None:
        unwrap_model(module or self.get_trainable_module(ema=ema)).method.load_state_dict(state, strict=strict)


def main() -> float:
    torch.manual_seed(0)
    data = student_images()
    images, labels = data.tensors
    student = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    task = DistillationTask(student, trained_teacher(), images[:2], labels).train()
    optimizer = create_optimizer_v2(task.trainable_module, "sgd", lr=0.1, weight_decay=5e-4)
    schedule = CosineLRScheduler(optimizer, t_initial=EPOCHS)
    for epoch in range(EPOCHS):
        for image, target in DataLoader(NumberedTargets(data), batch_size=50, shuffle=True):
            optimizer.zero_grad()
            task(image, target)["loss"].backward()
            optimizer.step()
        schedule.step(epoch + 1)
    return accuracy(crcd.Viewer(task.get_eval_model()))


if __name__ == "__main__":
    print(f"accuracy of the student: {main():.1f} %")
