"""Every form gives the network's logits, for any number of images, and is read again from its file alone."""

import sys

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import nn

from crcd.errors import CrcdError
from crcd.export.description import Description
from crcd.export.formats import MODULES, file_name, format_of
from crcd.models import create_model

CLASSES = '["cat", "dog", "owl"]'


def describe(model, channels, size):
    return Description.read(
        {
            **{"model": model, "data": "folder", "num_classes": "3", "class_names": CLASSES},
            **{"in_channels": str(channels), "image_size": str(size)},
            **{"mean": " ".join(["0.5"] * channels), "std": " ".join(["0.25"] * channels)},
        },
        "weights",
    )


def randomised(model):
    """With running statistics and norms as of training, so that all parts of the network count."""
    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif "running_mean" in name or name.endswith("bias"):
            tensor.normal_(0, 0.2)
    return model.eval()


def check(name, folder, architecture, channels, size, batches=(1, 7, 64)):
    model = randomised(create_model(architecture, 3, channels))
    description = describe(architecture, channels, size)
    path = folder / file_name(name)
    format_of(name).write(model, description, path)
    assert format_of(name).strings(path) == description.strings
    logits = format_of(name).read(path, description)
    for count in batches:
        image = torch.randn(count, channels, size, size)
        with torch.no_grad():
            expected = model(image)
        assert expected.std() > 1e-3
        torch.testing.assert_close(logits(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_a_small_network(name, tmp_path):
    check(name, tmp_path, "resnet8", 1, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("architecture", "channels", "size"),
    [
        ("timm/mobilenetv3_small_100", 3, 64),
        ("timm/resnet10t", 1, 64),
        ("timm/vit_tiny_patch16_224", 3, 224),
        ("torchvision/resnet18", 3, 64),
        ("shufflenetv1", 3, 32),
        ("shufflenetv2", 3, 32),
        ("mobilenetv2", 3, 32),
        ("wrn_16_1", 3, 32),
        ("vgg8", 3, 32),
    ],
)
def test_networks_of_every_kind(name, tmp_path, architecture, channels, size):
    check(name, tmp_path, architecture, channels, size, (1, 7) if size > 100 else (1, 7, 64))


def test_timm_itself_loads_the_weights(tmp_path):
    model = randomised(create_model("timm/mobilenetv3_small_050", 3, 1))
    description = describe("timm/mobilenetv3_small_050", 1, 32)
    format_of("safetensors").write(model, description, tmp_path / "model.safetensors")
    name = "mobilenetv3_small_050"
    loaded = timm.create_model(name, num_classes=3, in_chans=1, checkpoint_path=str(tmp_path / "model.safetensors"))
    image = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(image), model(image))


def test_plain_torch_loads_the_weights(tmp_path):
    model = create_model("resnet8", 3, 1)
    format_of("safetensors").write(model, describe("resnet8", 1, 8), tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors").keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", MODULES)
def test_damaged_files(name, tmp_path):
    path = tmp_path / file_name(name)
    path.write_bytes(b"no file of this kind")
    with pytest.raises(CrcdError, match=path.name) as error:
        format_of(name).strings(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["onnx", "pt2"])
def test_a_file_cut_off(name, tmp_path):
    description = describe("resnet8", 1, 8)
    path = tmp_path / file_name(name)
    format_of(name).write(create_model("resnet8", 3, 1), description, path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CrcdError, match="can't be read"):
        format_of(name).read(path, description)


def test_a_program_of_somebody_else(tmp_path):
    class Plain(nn.Module):
        def forward(self, image):
            return image.flatten(1)

    torch.export.save(torch.export.export(Plain(), (torch.zeros(2, 3),)), tmp_path / "model.pt2")
    with pytest.raises(CrcdError, match="no program that crcd export wrote"):
        format_of("pt2").strings(tmp_path / "model.pt2")


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_packages_to_write(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CrcdError, match=rf'ONNX needs the package {package}: pip install "crcd\[onnx\]"'):
        format_of("onnx").write(create_model("resnet8", 3, 1), describe("resnet8", 1, 8), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_package_to_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CrcdError, match='ONNX needs the package onnxruntime: pip install "crcd'):
        format_of("onnx").strings(tmp_path / "m.onnx")


class Branching(nn.Module):
    """Its operations depend on what it sees, which no program can follow."""

    def forward(self, image):
        return image.flatten(1)[:, :3] if image.sum() > 0 else image.flatten(1)[:, 3:6]


@pytest.mark.parametrize("name", ["onnx", "pt2"])
def test_a_network_that_is_no_program(tmp_path, name):
    with pytest.raises(CrcdError, match="can't be made a program") as error:
        format_of(name).write(Branching(), describe("resnet8", 1, 8), tmp_path / "m")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
