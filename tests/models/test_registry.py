import json
import sys

import pytest
import torch
from torch import nn

from crcd.errors import CrcdError
from crcd.models import Viewer, create_model, library_of, pretrained_model, refuse_code
from crcd.relation.head import MeanHead, linear_weight


def test_torchvision_by_name():
    assert create_model("torchvision/resnet18", 7).fc.out_features == 7
    with pytest.raises(CrcdError, match=r"unknown model 'torchvision/resnet19': did you mean .*torchvision/resnet18"):
        create_model("torchvision/resnet19", 7)
    with pytest.raises(CrcdError, match=r"write torchvision/mobilenet_v3_small$"):
        create_model("mobilenet_v3_small", 7)
    with pytest.raises(CrcdError, match="'torchvision/resnet18' takes images of 3 channels, those of the data have 1"):
        create_model("torchvision/resnet18", 7, in_channels=1)


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module ``mine`` in the working directory."""
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def wide(num_classes, in_chans):\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))\n"
        "def sized(in_channels, num_classes=10, width=4):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),"
        " nn.Linear(width, num_classes))\n"
        "def plain():\n    return nn.Linear(2, 3)\n"
        "def wrong():\n    return 'no network'\n"
        "def broken():\n    return nn.Linear(2, 'three')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", ".")])
    monkeypatch.delitem(sys.modules, "mine", raising=False)


@pytest.mark.usefixtures("code")
def test_ones_own_code_is_given_what_it_takes():
    model = create_model("mine:sized", 7, in_channels=1)
    assert (model[0].in_channels, model[-1].out_features) == (1, 7)
    assert create_model("mine:wide", 7, 2)[1].out_features == 7
    assert create_model("mine:plain", 7).out_features == 3


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mine:absent", "module mine has no 'absent'"),
        ("theirs:net", "No module named 'theirs': give PACKAGE.MODULE:NAME"),
        ("mine.inner:net", "No module named 'mine.inner'; 'mine' is not a package: give PACKAGE.MODULE:NAME"),
        (":net", "Empty module name: give PACKAGE.MODULE:NAME"),
        ("mine:wrong", "gives str: it must give a torch.nn.Module"),
        ("mine:broken", r"its code failed in .*, line \d+ \(\w+Error: "),
    ],
)
def test_code_that_gives_no_network(name, problem):
    with pytest.raises(CrcdError, match=f"model '{name}'.*{problem}"):
        create_model(name, 7)


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("from torch import nn\nrate = int('3,5')\n", r"failed in .*faulty\.py, line 2 \(ValueError: invalid literal"),
        ("import torch\ntorch.nn.Absent\n", r"failed in .*faulty\.py, line 2 \(AttributeError: "),
        ("\nimport package_that_is_absent\n", r"failed in .*faulty\.py, line 2 \(ModuleNotFoundError: No module"),
        ("x = 1\nif x\n", r"failed in .*faulty\.py, line 2 \(SyntaxError: "),
    ],
)
def test_a_module_that_fails_is_told_by_its_own_error(tmp_path, monkeypatch, written, problem):
    (tmp_path / "faulty.py").write_text(written)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    with pytest.raises(CrcdError, match=f"model 'faulty:build': its code {problem}"):
        create_model("faulty:build", 7)


def test_code_is_not_run_on_a_files_word():
    with pytest.raises(CrcdError, match="weights x name os:getcwd, code that is not run on a file's word"):
        refuse_code("os:getcwd", "weights x")
    for harmless in ("resnet8", "timm/resnet18", "hf/C:/folder", ""):
        refuse_code(harmless, "weights x")


def test_pretrained_weights_that_cannot_be_had(monkeypatch):
    import timm

    def fail(*_, **__):
        raise OSError("no network\nat all")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        CrcdError, match=r"'timm/resnet18': its pretrained weights could not be had \(no network at all\)"
    ):
        pretrained_model("timm/resnet18")
    with pytest.raises(CrcdError, match="'resnet8' has no pretrained weights"):
        pretrained_model("resnet8")


VIT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32}
TRANSFORMERS = {
    "ViTConfig": VIT | {"patch_size": 8},
    "DeiTConfig": VIT | {"patch_size": 8, "architectures": ["DeiTForImageClassificationWithTeacher"]},
    "BeitConfig": VIT | {"patch_size": 8},
    "ConvNextConfig": {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]},
    "ResNetConfig": {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1], "embedding_size": 8},
    "SwinConfig": {
        "image_size": 32,
        "patch_size": 2,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "MobileNetV2Config": {"depth_multiplier": 0.25, "image_size": 32},
}


@pytest.fixture
def saved(tmp_path):
    """Makes a folder with a transformers network of small size, of named classes, and its image processor."""
    transformers = pytest.importorskip("transformers")

    def make(kind):
        config = getattr(transformers, kind)(**TRANSFORMERS[kind], id2label={0: "cat, kitty", 1: "dog", 2: "hen"})
        transformers.AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path)
        processor = {
            "image_mean": [0.5] * 3,
            "image_std": [0.25] * 3,
            "size": {"height": 32, "width": 32},
            "resample": 3,
        }
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
        return f"hf/{tmp_path}"

    return make


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_networks_of_transformers(saved, kind):
    name = saved(kind)
    model, image = create_model(name, 5).eval(), torch.randn(2, 3, 32, 32)
    viewer = Viewer(model).eval()
    with torch.no_grad():
        for _ in range(2):
            view = viewer(image)
            assert view.logits.shape == (2, 5)
            torch.testing.assert_close(view.logits, model(image))
            torch.testing.assert_close(view.classifier(view.feature), view.logits)
    assert linear_weight(view.classifier) is not None
    assert isinstance(view.classifier, MeanHead if kind == "DeiTConfig" else nn.Module)
    library, inner = library_of(name)
    assert library.class_names(inner)[0] == {"cat", "kitty"}
    images = library.image_format(inner)
    assert (images.size, images.mean, images.interpolation) == (32, (0.5, 0.5, 0.5), "bicubic")
    assert pretrained_model(name)(image).shape == (2, 3)


def test_transformers_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CrcdError, match=r"hf/NAME needs the package transformers: pip install crcd\[transformers\]"):
        create_model("hf/any", 5)


def test_a_folder_without_configuration(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(CrcdError, match="its configuration could not be had"):
        create_model(f"hf/{tmp_path}", 5)
