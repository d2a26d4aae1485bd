"""Teachers that come with weights: classes, image formats, accuracy; students that begin with weights."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from crcd.errors import CrcdError
from crcd.evaluate.accuracy import near_chance
from crcd.models import ImageFormat, Viewer, create_model, read_metadata, save_weights
from crcd.models.adapt import Adapt
from crcd.train.build import load_model, metadata
from crcd.train.config import TrainConfig
from crcd.train.distill import distill
from crcd.train.material import Material
from crcd.train.reporter import Reporter
from crcd.train.run_folder import RunFolder
from crcd.train.scratch import train
from crcd.train.teacher_network import given_teacher

CPU = torch.device("cpu")


@pytest.fixture
def material(quick):
    return Material.load(quick(), 0, CPU)


@pytest.fixture
def saved(tmp_path, material):
    """Makes a file of weights of a resnet8 as this package writes it, but for changes of its metadata."""

    def save(num_classes=10, channels=1, **changes):
        torch.manual_seed(1)
        path = tmp_path / "given.safetensors"
        model = create_model("resnet8", num_classes, channels)
        save_weights(
            model.state_dict(), path, metadata("resnet8", material) | {"num_classes": str(num_classes)} | changes
        )
        return path, model.eval()

    return save


def names(*numbers):
    return "[" + ", ".join(f'"{number}"' for number in numbers) + "]"


@pytest.fixture
def pretrained(monkeypatch):
    """A library's own weights, for 33 classes."""

    def make(name):
        torch.manual_seed(5)
        return create_model(name, 33, 1)

    monkeypatch.setattr("crcd.train.build.pretrained_model", make)
    return make


def test_images_of_its_own_training(quick, material, saved):
    path, _ = saved(image_size="16", mean="0.2", std="0.4", interpolation="bicubic")
    network = given_teacher(quick(teacher_weights=path), material)
    assert network.format == ImageFormat(1, 16, (0.2,), (0.4,), "bicubic")
    assert given_teacher(quick(teacher_weights=path, teacher_images="data"), material).format == material.format


def test_the_run_gives_the_teacher_its_own_images_and_students_the_datas(quick, tmp_path, material, saved):
    path, model = saved(channels=3, in_channels="3", image_size="16", mean="0.2 0.3 0.4", std="0.4 0.4 0.4")
    outcome = distill(quick(methods=("kd", "sp"), teacher_weights=path, epochs=1, out=tmp_path / "run"))
    images = ImageFormat(3, 16, (0.2, 0.3, 0.4), (0.4, 0.4, 0.4))
    batches = list(material.score_loader().epoch(0))
    with torch.no_grad():
        logits = torch.cat([model(Adapt(material.format, images)(batch.image)) for batch in batches])
    right = (logits.argmax(dim=1) == material.scored.labels).float().mean()
    assert outcome.summary["teacher"]["top1"] == pytest.approx(100 * right.item(), abs=0.3)
    assert outcome.summary["teacher"]["multiply_adds"] > 4 * outcome.summary["learners"]["kd"]["multiply_adds"]
    kept = read_metadata(RunFolder(outcome.folder).weights("teacher"))
    assert (kept["in_channels"], kept["image_size"], kept["mean"]) == ("3", "16", "0.2 0.3 0.4")
    assert read_metadata(RunFolder(outcome.folder).weights("kd"))["image_size"] == "8"


def test_a_cache_is_of_the_images_that_the_teacher_saw(quick, tmp_path, saved):
    shared = {"methods": ("kd",), "teacher_views": 1, "epochs": 1, "teacher_cache": tmp_path / "cache"}
    path, _ = saved(image_size="16")
    own = distill(quick(teacher_weights=path, out=tmp_path / "own", **shared)).summary
    distill(quick(teacher_weights=path, teacher_images="data", out=tmp_path / "data", **shared))
    assert own["teacher"]["cache"]["views"] == 1
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_classes_are_put_into_the_datas_order_and_others_left_out(quick, material, saved):
    order = ["seven", *range(9, -1, -1), "eleven"]
    path, model = saved(12, class_names=names(*order))
    network = given_teacher(quick(teacher_weights=path), material)
    image = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.model.eval()(image), model(image)[:, range(10, 0, -1)])


def test_as_many_classes_in_another_order(quick, material, saved):
    path, model = saved(class_names=names(*range(9, -1, -1)))
    network = given_teacher(quick(teacher_weights=path), material)
    image = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.model.eval()(image), model(image).flip(1))


@pytest.mark.parametrize("damage", [{"class_names": "[1"}, {"class_names": "5"}, {"class_names": "[]", "mean": "x"}])
def test_damaged_metadata(quick, material, saved, damage):
    path, _ = saved(**damage)
    with pytest.raises(CrcdError, match=r"weights .*: what it says of its images or classes is damaged"):
        given_teacher(quick(teacher_weights=path), material)


@pytest.mark.parametrize(
    ("classes", "listed", "problem"),
    [
        (10, names(*"abcdefghij"), r"10 of the data's 10 are not among them \(0, 1, 2, 3, 4, ...\): train the network"),
        (12, None, "they are for 12 classes, which nothing names, the data has 10: train the network"),
    ],
)
def test_other_classes_get_no_new_head(quick, material, tmp_path, saved, classes, listed, problem):
    path, model = saved(classes, **({} if listed is None else {"class_names": listed}))
    if listed is None:
        save_weights(model.state_dict(), path, {"model": "resnet8"})
    config = quick(teacher_weights=path, weak_teacher=True, out=tmp_path / "run")
    with pytest.raises(CrcdError, match=problem):
        distill(config)
    assert not (tmp_path / "run").exists()


def test_a_librarys_own_weights_for_some_of_imagenets_classes(quick, material, monkeypatch):
    import timm

    torch.manual_seed(0)
    model = create_model("timm/resnet10t", 1000).eval()
    monkeypatch.setattr("crcd.train.teacher_network.pretrained_model", lambda name: model)
    train, test = (part.take((part.labels < 3).nonzero()[:, 0]) for part in (material.data.train, material.data.test))
    data = replace(material.data, class_names=("goldfish", "tench", "hen"), train=train, test=test)
    network = given_teacher(
        quick(teacher="timm/resnet10t", teacher_weights=None, teacher_pretrained=True), replace(material, data=data)
    )
    cfg = timm.get_pretrained_cfg("resnet10t")
    assert network.format == ImageFormat(3, cfg.input_size[1], cfg.mean, cfg.std, cfg.interpolation)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.model.eval()(image), model(image)[:, [1, 0, 8]])


class Notes(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_accuracy_is_shown_first_and_near_chance_is_refused(quick, tmp_path, material):
    reporter = Notes()
    with pytest.raises(CrcdError, match=r"near chance \(below 1\d\.\d\d %\).*--weak-teacher goes on"):
        distill(quick(methods=("ce", "kd"), weak_teacher=False, out=tmp_path / "run"), reporter)
    assert not (tmp_path / "run").exists()
    (note,) = reporter.notes
    assert note.startswith("teacher resnet8: top-1 ")
    assert note.endswith(" % on 360 test images")
    outcome = distill(quick(methods=("ce",), epochs=1, out=tmp_path / "run"), reporter)
    assert (
        reporter.notes[1]
        == note
        == f"teacher resnet8: top-1 {outcome.summary['teacher']['top1']:.2f} % on 360 test images"
    )


@pytest.mark.parametrize(("teacher_seed", "is_said"), [(None, True), (1, False)])
def test_a_student_that_is_its_teacher_is_told(quick, tmp_path, teacher_seed, is_said):
    reporter = Notes()
    settings = quick(
        methods=("ce",), teacher_weights=None, student_images=None, epochs=1, teacher_epochs=1, out=tmp_path / "run"
    )
    distill(replace(settings, teacher_seed=teacher_seed), reporter)
    assert ("ce is its teacher to the bit" in " ".join(reporter.notes)) is is_said


def test_chance_is_what_the_commonest_class_gets():
    assert near_chance(torch.tensor([0, 0, 0, 1])) == pytest.approx(75 + 0.05 * 25)
    assert near_chance(torch.arange(10)) == pytest.approx(10 + 0.05 * 90)


def test_students_and_classifiers_begin_with_weights_but_for_a_head_of_other_classes(quick, tmp_path, saved):
    path, model = saved(7, class_names=names(*"abcdefg"))
    tiny = {"lr": 1e-30, "weight_decay": 0.0, "momentum": 0.0, "epochs": 1, "methods": ("ce",)}
    outcome = distill(quick(student_weights=path, out=tmp_path / "run", **tiny))
    found = load_file(outcome.folder / "ce.safetensors")
    for name, parameter in model.named_parameters():
        if not name.startswith("classifier."):
            torch.testing.assert_close(found[name], parameter.detach(), atol=1e-20, rtol=0)
    assert found["classifier.weight"].shape[0] == 10
    own = TrainConfig(
        model="resnet8", weights=path, out=tmp_path / "own", image_size=8, device="cpu", epochs=1, lr=1e-30
    )
    trained = load_file(train(replace(own, weight_decay=0.0)).folder / "ce.safetensors")
    assert torch.equal(trained["body.stage1.0.conv1.weight"], model.body.stage1[0].conv1.weight)


def test_pretrained_students(quick, tmp_path, pretrained):
    tiny = {"lr": 1e-30, "weight_decay": 0.0, "momentum": 0.0, "epochs": 1, "methods": ("ce",), "image_size": 32}
    config = quick(student="timm/resnet10t", student_pretrained=True, out=tmp_path / "run", **tiny)
    found = load_file(distill(config).folder / "ce.safetensors")
    assert torch.equal(found["layer1.0.conv1.weight"], pretrained("timm/resnet10t").layer1[0].conv1.weight)
    with pytest.raises(CrcdError, match="--student-weights and --student-pretrained exclude each other"):
        replace(config, student_weights=tmp_path / "x.pt")


def test_any_modules_as_teacher_and_student(quick, tmp_path, material):
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Dropout(0.1), nn.Linear(6, 10))
    before = student[1].weight.clone()
    config = quick(methods=("ce", "kd", "crcd+kd"), teacher="mlp", student="small", out=tmp_path / "run")
    config = replace(config, crcd=replace(config.crcd, negatives=16, dim=8))
    outcome = distill(config, teacher_model=teacher, student_model=student)
    assert torch.equal(student[1].weight, before)
    assert torch.equal(load_file(outcome.folder / "teacher.safetensors")["1.weight"], teacher[1].weight)
    assert not torch.equal(load_file(outcome.folder / "kd.safetensors")["1.weight"], before)
    view = Viewer(teacher).eval()(torch.randn(2, 1, 8, 8))
    assert view.feature.shape == (2, 20)
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 7))
    with pytest.raises(CrcdError, match=r"model 'mlp' gives \[2, 7\] for two images: it must give \[2, 10\]"):
        distill(replace(config, out=tmp_path / "wrong"), teacher_model=wrong)


class Elsewhere(nn.Sequential):
    """A network on another device than the CPU, as far as its images can tell."""

    away = True

    def cpu(self):
        self.away = False
        return super().cpu()

    def forward(self, image):
        if self.away:
            raise RuntimeError("Expected all tensors to be on the same device")
        return super().forward(image)


def test_modules_may_be_on_any_device_with_weights(quick, tmp_path):
    teacher, student = (
        Elsewhere(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)) for width in (9, 5)
    )
    config = quick(methods=("kd",), epochs=1, teacher="mlp", student="small", out=tmp_path / "run")
    distill(config, teacher_model=teacher, student_model=student)
    assert teacher.away
    assert student.away
    config = replace(config, out=tmp_path / "meta")
    for given in ({"teacher_model": teacher.to("meta")}, {"teacher_model": student, "student_model": teacher}):
        with pytest.raises(CrcdError, match=r"model '(mlp|small)' is on the meta device, without weights"):
            distill(config, **given)


def test_a_named_layer_is_the_classifier(quick, tmp_path):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(64, 12), nn.Linear(12, 10)

        def forward(self, image):
            return self.head(self.body(image.flatten(1)).relu()) * 2

    config = quick(methods=("kd",), epochs=1, student="scaled", out=tmp_path / "run")
    with pytest.raises(CrcdError, match=r"Scaled: 0 linear layers give exactly its logits.*candidates: head$"):
        distill(config, student_model=Scaled())
    distill(replace(config, student_classifier="head"), student_model=Scaled())


def test_weights_of_a_finished_run_are_a_teacher_as_they_are(quick, tmp_path, material):
    outcome = distill(quick(methods=("ce",), epochs=1, out=tmp_path / "run"))
    path = outcome.folder / "ce.safetensors"
    network = given_teacher(quick(teacher_weights=path), material)
    assert network.format == material.format
    expected = load_model("resnet8", path, material).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.model.state_dict().items())


def test_a_teacher_that_is_fine_tuned_first(quick, tmp_path, pretrained):
    """With next to no learning rate it stays what it began with, under a new head for the classes of the data."""
    tiny = {"lr": 1e-30, "weight_decay": 0.0, "momentum": 0.0, "epochs": 1, "methods": ("ce",), "image_size": 32}
    config = quick(teacher="timm/resnet10t", teacher_weights=None, out=tmp_path / "run", **tiny)
    found = load_file(distill(replace(config, teacher_finetune=True)).folder / "teacher.safetensors")
    assert torch.equal(found["layer1.0.conv1.weight"], pretrained("timm/resnet10t").layer1[0].conv1.weight)
    assert found["fc.weight"].shape[0] == 10
