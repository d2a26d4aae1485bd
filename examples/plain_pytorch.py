"""A plain PyTorch loop: the data set gives each image's number, and the loop hands it to the method in a Batch."""

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

import crcd
from crcd.models import create_model
from digits import Numbered, accuracy, student_images, trained_teacher

METHOD = "crcd+itrd"  # any of `crcd list methods`
EPOCHS = 20


def main() -> float:
    torch.manual_seed(0)
    data = student_images()
    loader = DataLoader(Numbered(data), batch_size=50, shuffle=True)
    student_model, teacher_model = create_model("resnet8", num_classes=10, in_channels=1), trained_teacher()

    # A viewer reads logits and features off a network; its feature maps are for methods that compare them.
    student = crcd.Viewer(student_model, crcd.stage_names(student_model))
    teacher = crcd.Viewer(teacher_model, crcd.stage_names(teacher_model)).eval()
    images, labels = data.tensors
    with torch.no_grad():
        method = crcd.build_method(METHOD, student.eval()(images[:2]), teacher(images[:2]), labels)

    parameters = [*student.parameters(), *method.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * len(loader))
    student.train()
    for _ in range(EPOCHS):
        for image, target, index in loader:
            with torch.no_grad():
                teacher_view = teacher(image)
            student_view = student(image)
            terms = method(student_view, teacher_view, crcd.Batch(image, target, index))
            loss = method.ce_weight * F.cross_entropy(student_view.logits, target) + terms["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return accuracy(student)


if __name__ == "__main__":
    print(f"accuracy of the student: {main():.1f} %")
