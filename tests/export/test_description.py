import json

import pytest

from crcd.errors import CrcdError
from crcd.export.description import Description
from crcd.models import ImageFormat

STRINGS = {
    **{"model": "timm/mobilenetv3_small_100", "data": "folder", "num_classes": "2", "in_channels": "3"},
    **{"image_size": "64", "mean": "0.1 0.2 0.3", "std": "0.4 0.5 0.6", "interpolation": "bilinear"},
    "class_names": json.dumps(["cat", "dog"]),
}


def test_what_the_texts_say():
    description = Description.read(STRINGS, "a.onnx")
    assert description.images == ImageFormat(3, 64, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert (description.model, description.data) == ("timm/mobilenetv3_small_100", "folder")
    assert (description.class_names, description.timm_name) == (("cat", "dog"), "mobilenetv3_small_100")
    assert description.strings == STRINGS


def test_the_form_that_timm_reads():
    config = Description.read(STRINGS, "a.onnx").config()
    assert (config["architecture"], config["label_names"]) == ("mobilenetv3_small_100", ["cat", "dog"])
    assert (config["num_classes"], config["model_args"]) == (2, {"in_chans": 3})
    assert config["pretrained_cfg"] == {
        **{"input_size": [3, 64, 64], "interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "center"},
        **{"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "first_conv": "conv_stem", "classifier": "classifier"},
    }
    own = Description.read(STRINGS | {"model": "resnet8"}, "a.onnx")
    assert own.timm_name is None
    assert own.config()["architecture"] == "resnet8"
    assert "first_conv" not in own.config()["pretrained_cfg"]


@pytest.mark.parametrize("name", ["model", "data", "class_names", "mean", "image_size"])
def test_a_file_that_does_not_say_enough(name):
    strings = {key: value for key, value in STRINGS.items() if key != name}
    lacking = {"class_names": "class names", "mean": "images", "image_size": "images"}.get(name, name)
    with pytest.raises(CrcdError, match=f"a.onnx: it does not say its {lacking}; give what this version"):
        Description.read(strings, "a.onnx")


@pytest.mark.parametrize("broken", [{"class_names": "[1,"}, {"class_names": "3"}, {"mean": "a b c"}])
def test_a_damaged_file(broken):
    with pytest.raises(CrcdError, match=r"a\.onnx: what it says of its images or classes is damaged"):
        Description.read(STRINGS | broken, "a.onnx")


def test_code_is_not_run_on_a_files_word():
    strings = STRINGS | {"model": "os:getcwd"}
    with pytest.raises(CrcdError, match=r"a\.onnx name os:getcwd, code that is not run on a file's word"):
        Description.read(strings, "a.onnx")
    assert Description.read(strings, "a.onnx", "mine:network").model == "mine:network"
