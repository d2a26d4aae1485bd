"""How an export is loaded, in Python, by each library that can."""

from collections.abc import Sequence

from crcd.export.description import Description
from crcd.export.formats import FormatName

PICTURE = "image.jpg"


def examples(description: Description, formats: Sequence[FormatName], repo: str | None) -> dict[str, str]:
    """Code that runs in the folder of the export, by a heading.

    The first makes ``image`` of a picture, which the others classify; those that don't need it stand alone.

    Args:
        description: of the network.
        formats: that are there.
        repo: where it lies on the hub; None for nowhere.
    """
    found = {"A picture as the network takes it": _prepare(description)}
    if "safetensors" in formats:
        found |= _weights(description, repo)
    if "onnx" in formats:
        found["ONNX Runtime"] = (
            "import onnxruntime\n"
            'session = onnxruntime.InferenceSession("model.onnx")\n'
            '(logits,) = session.run(None, {"image": image.numpy()})'
        )
    if "pt2" in formats:
        found["torch.export"] = (
            "import torch\n"
            'program = torch.export.load("model.pt2").module()  # can run code that is in the file\n'
            "logits = program(image)"
        )
    return found


def _prepare(description: Description) -> str:
    images = description.images
    resize = f'v2.Resize({images.size}, v2.InterpolationMode("{images.interpolation}"))'
    scale = "v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)"
    normalise = f"v2.Normalize({list(images.mean)}, {list(images.std)})"
    return (
        "import torch\n"
        "from PIL import Image\n"
        "from torchvision.transforms import v2\n"
        f"prepare = v2.Compose([{resize}, v2.CenterCrop({images.size}), {scale}, {normalise}])\n"
        f'image = prepare(Image.open("{PICTURE}").convert("{_mode(description)}"))[None]'
    )


def _mode(description: Description) -> str:
    """Of Pillow's pictures."""
    return "L" if description.images.channels == 1 else "RGB"


def _weights(description: Description, repo: str | None) -> dict[str, str]:
    if description.timm_name is not None:
        where = f"hf-hub:{repo}" if repo is not None else "local-dir:."
        return {
            "timm": "import timm\n"
            "from PIL import Image\n"
            f'model = timm.create_model("{where}", pretrained=True).eval()\n'
            "prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(model))\n"
            f'logits = model(prepare(Image.open("{PICTURE}").convert("{_mode(description)}"))[None])'
        }
    if description.model.startswith("torchvision/"):
        name, classes = description.model.removeprefix("torchvision/"), len(description.class_names)
        return {
            "torchvision": "from safetensors.torch import load_file\n"
            "from torchvision.models import get_model\n"
            f'model = get_model("{name}", num_classes={classes}).eval()\n'
            'model.load_state_dict(load_file("model.safetensors"))\n'
            "logits = model(image)"
        }
    return {
        "crcd": "from pathlib import Path\n"
        "from crcd.export import load_classifier\n"
        f'classifier = load_classifier(Path("model.safetensors"){_code(description)})\n'
        "logits = classifier.logits(image)\n"
        f'likeliest = classifier.classify(Path("{PICTURE}"))'
    }


def _code(description: Description) -> str:
    return f', model="{description.model}"' if ":" in description.model else ""
