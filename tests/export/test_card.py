import os
import re
import subprocess
import sys
from dataclasses import replace
from statistics import mean, stdev

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from crcd.export import ExportOptions, export, load_classifier
from crcd.export.card import model_card
from crcd.export.check import Check
from crcd.export.exported import Exported
from crcd.export.source import read_source
from crcd.train.config import TrainConfig
from crcd.train.scratch import train


def blocks(folder):
    text = (folder / "README.md").read_text()
    return dict(re.findall(r"^([^\n]+):\n\n```python\n(.*?)\n```", text, flags=re.DOTALL | re.MULTILINE))


def run_blocks(folder, photographs, *titles):
    """Logits that each block gives for a picture beside the export, in the order of the titles."""
    picture = next((photographs / "val").rglob("*.png"))
    Image.open(picture).save(folder / "image.jpg", quality=100)
    code = blocks(folder)
    first = code["A picture as the network takes it"]
    lines = [
        f"{first}\n{code[title]}\nprint('logits', *(torch.as_tensor(logits)[0].detach().tolist()))" for title in titles
    ]
    script = "\n".join(["import warnings", "warnings.simplefilter('error')", *lines])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))}
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert answer.returncode == 0, answer.stderr
    found = [line.split()[1:] for line in answer.stdout.splitlines() if line.startswith("logits ")]
    return torch.tensor([[float(number) for number in numbers] for numbers in found])


def expected(folder):
    answers = load_classifier(folder / "model.safetensors").classify(folder / "image.jpg")
    return torch.tensor([dict(answers)[name] for name in ("cat [red]", "dog | b`ig")])


def test_its_code_loads_every_form_and_gives_the_same(photo_export, photographs, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in photo_export.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    logits = run_blocks(folder, photographs, "crcd", "ONNX Runtime", "torch.export")
    assert logits.shape == (3, 2)
    for own in logits.softmax(dim=1):
        torch.testing.assert_close(own, expected(folder), rtol=0, atol=1e-5)
    assert all(len(code.splitlines()) <= 5 for code in blocks(folder).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "title"), [("timm/mobilenetv3_small_050", "timm"), ("torchvision/resnet18", "torchvision")]
)
def test_its_code_for_the_libraries(small, photographs, tmp_path, model, title):
    settings = {**small, "image_size": 32, "epochs": 1}
    run = train(TrainConfig(model=model, out=tmp_path / "run", **settings)).folder
    folder = export([run], ExportOptions()).folder
    (logits_C,) = run_blocks(folder, photographs, title)
    torch.testing.assert_close(logits_C.softmax(dim=0), expected(folder), rtol=0, atol=1e-5)


def test_the_front_matter_is_the_hubs(digit_runs, tmp_path):
    folder = export(digit_runs[:1], ExportOptions(learner="kd", license="apache-2.0", out=tmp_path / "out")).folder
    card = ModelCard.load(folder / "README.md")
    assert (card.data.license, card.data.pipeline_tag) == ("apache-2.0", "image-classification")
    assert "knowledge-distillation" in card.data.tags
    (result,) = card.data.eval_results
    top1 = read_source(digit_runs[:1], "kd").scores["top1"]
    assert (result.dataset_name, result.metric_value) == ("digits", round(top1, 2))
    assert result.dataset_split == "test"


def test_what_it_says(digit_runs, tmp_path):
    done = export(digit_runs[:1], ExportOptions(learner="kd", out=tmp_path / "out"))
    text = (done.folder / "README.md").read_text()
    scores, teacher = done.source.scores, done.source.summary["teacher"]
    assert "A resnet8 that sorts images into the 10 classes of digits, distilled from a resnet14 by `kd`." in text
    assert (
        f"| this network | resnet8 | {scores['parameters']:,} | {scores['multiply_adds']:,} | {scores['top1']:.2f} |"
        in text
    )
    assert f"| teacher | resnet14 | {teacher['parameters']:,} |" in text
    assert "On 360 test images of digits, after the last epoch. For this network: one seed; the spread" in text
    assert "made grey, its shorter side is resized to 8 pixels (bilinear, antialiased)" in text
    assert "1437 labelled training images\n- the student saw 100 of them\n" in text
    assert text.endswith("## Licence\n\nNot stated.\n")
    assert str(tmp_path) not in text
    assert str(digit_runs[0]) not in text


@pytest.mark.parametrize(
    ("learner", "said"),
    [("teacher", "; the teacher of a distillation."), ("ce", "without its teacher, to compare with.")],
)
def test_networks_that_were_not_distilled(digit_runs, learner, said):
    text = model_card(*parts(digit_runs[:1], learner))
    assert said in text
    assert ("| teacher |" in text) == (learner == "ce")


def test_the_spread_of_a_teacher_is_that_of_its_own_trainings(digit_runs):
    source, *others = parts(digit_runs, "teacher")
    accuracies = [read_source([run], "teacher").scores["top1"] for run in digit_runs]
    spread = f"top-1 {mean(accuracies):.2f} ± {stdev(accuracies):.2f} %, mean ± standard deviation over 2 seeds"
    assert spread in model_card(source, *others)
    one = replace(source, settings={**source.settings, "teacher_seed": 0})
    assert "For this network: it is one for all seeds of the students." in model_card(one, *others)


def test_shards_are_told_as_what_they_are(digit_runs):
    source, *others = parts(digit_runs[:1], "kd")
    sharded = replace(source, description=replace(source.description, data="shards"))
    assert "sorts images into the 10 classes of shards of images, distilled" in model_card(sharded, *others)


def test_a_network_of_crcd_train(photo_export):
    text = (photo_export / "README.md").read_text()
    assert "A resnet8 that sorts images into the 2 classes of a folder of images, trained by cross-entropy." in text
    assert "2, in the order of the logits: `cat [red]`, `` dog | b`ig ``." in text
    assert yaml.safe_load(text.split("---")[1])["tags"]


def test_many_classes_and_a_place_on_the_hub(digit_runs):
    source, files, *_ = parts(digit_runs[:1], "kd")
    names = tuple(f"class\n{number}" for number in range(120))
    source = replace(source, description=replace(source.description, model="timm/resnet10t", class_names=names))
    text = model_card(source, files, None, None, "me/net")
    assert "`class 99` and 20 more, all in `config.json`." in text
    assert "`hf download me/net --local-dir .` fetches the files." in text
    assert 'timm.create_model("hf-hub:me/net", pretrained=True)' in text
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "timm"


def parts(runs, learner):
    files = [Exported("model.safetensors", "safetensors", 123, Check(7, 0.0, 100.0))]
    return read_source(runs, learner), files, None, None, None
