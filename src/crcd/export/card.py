"""The model card: the README.md of an export."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from crcd.export.description import Description
from crcd.export.exported import Exported
from crcd.export.int8 import Int8
from crcd.export.source import TEACHER, Source
from crcd.export.use import examples

CLASSES = 100
"""Names of classes that the card shows; the others stand in config.json."""


def model_card(
    source: Source, files: Sequence[Exported], int8: Int8 | None, license: str | None, repo: str | None
) -> str:
    """Markdown, with the front matter that the Hugging Face hub reads.

    Args:
        source: the network and its run.
        files: of the export.
        int8: what quantisation came to, if it was asked for.
        license: of the weights; None leaves it open.
        repo: where the export goes on the hub; None for nowhere.
    """
    description = source.description
    front = yaml.safe_dump(_front_matter(source, files, license), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{front}---\n\n# {description.model}, {_data(description)}\n\n{_what(source)}",
        f"## Accuracy\n\n{_accuracy(source)}",
        f"## Images\n\n{_images(description)}",
        f"## Classes\n\n{_classes(description)}",
        f"## Files\n\n{_files(files, int8)}",
        f"## Use\n\n{_use(description, files, repo)}",
        f"## How it was made\n\n{_origin(source)}",
        f"## Licence\n\n{license if license is not None else 'Not stated.'}",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(source: Source, files: Sequence[Exported], license: str | None) -> dict[str, Any]:
    description, summary = source.description, source.summary
    weights = any(file.format == "safetensors" for file in files)
    score = {"type": "accuracy", "name": "top-1, percent", "value": round(source.scores["top1"], 2)}
    dataset = {"name": description.data, "type": description.data, "split": summary["scored_on"]}
    return {
        **({"license": license} if license is not None else {}),
        **({"library_name": "timm"} if weights and description.timm_name is not None else {}),
        **({"datasets": [description.data.removeprefix("hf/")]} if description.data.startswith("hf/") else {}),
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "knowledge-distillation", "crcd"],
        "model-index": [
            {
                "name": f"{description.model} {source.learner}",
                "results": [{"task": {"type": "image-classification"}, "dataset": dataset, "metrics": [score]}],
            }
        ],
    }


def _data(description: Description) -> str:
    """The data set, in words where its name tells no more than the kind of it."""
    kinds = {"folder": "a folder of images", "list": "a list of images", "shards": "shards of images"}
    return kinds.get(description.data, description.data)


def _what(source: Source) -> str:
    description, summary = source.description, source.summary
    classes = f"{len(description.class_names)} classes of {_data(description)}"
    sort = f"A {description.model} that sorts images into the {classes}"
    if source.learner == TEACHER:
        return f"{sort}; the teacher of a distillation."
    if TEACHER not in summary:
        return f"{sort}, trained by cross-entropy."
    if source.learner == "ce":
        return f"{sort}, trained by cross-entropy without its teacher, to compare with."
    return f"{sort}, distilled from a {summary[TEACHER]['model']} by `{source.learner}`."


def _accuracy(source: Source) -> str:
    summary, own = source.summary, source.scores
    teacher = summary.get(TEACHER) if source.learner != TEACHER else None
    networks = {"this network": own} | ({TEACHER: teacher} if teacher is not None else {})
    rows = [
        f"| {name} | {of['model']} | {of['parameters']:,} | {of['multiply_adds']:,} | {of['top1']:.2f} |"
        for name, of in networks.items()
    ]
    table = ["| | network | parameters | multiply-adds | top-1 % |", "| --- | --- | ---: | ---: | ---: |", *rows]
    where = (
        f"{summary['scored_images']} {summary['scored_on']} images of {_data(source.description)}, after the last epoch"
    )
    if source.learner == TEACHER and (own["epochs"] is None or source.settings.get("teacher_seed") is not None):
        over = "it is one for all seeds of the students"
    elif source.top1.n > 1:
        seeds = f"{source.top1.n} seeds; these files are of seed {summary['seed']}"
        over = f"top-1 {source.top1} %, mean ± standard deviation over {seeds}"
    else:
        over = "one seed; the spread over seeds is not known"
    return "\n".join([*table, "", f"On {where}. For this network: {over}."])


def _images(description: Description) -> str:
    images = description.images
    kind = "grey" if images.channels == 1 else "RGB"
    return (
        f"Programs and weights take float32 images, [batch, {images.channels}, {images.size}, {images.size}], and give "
        f"logits, [batch, {len(description.class_names)}]. What makes an image of a picture is "
        "not in them (the lines below take pictures of 8 bits a channel): it is made "
        f"{kind}, its shorter side is resized to {images.size} pixels ({images.interpolation}, antialiased), the "
        f"centre is cropped to {images.size}x{images.size}, pixels are scaled to [0, 1], and of each channel the mean "
        f"is subtracted, then it is divided by the deviation: mean {list(images.mean)}, std {list(images.std)}. "
        "`config.json` has the same in timm's form."
    )


def _classes(description: Description) -> str:
    names = description.class_names
    shown = ", ".join(_code(name) for name in names[:CLASSES])
    more = f" and {len(names) - CLASSES} more, all in `config.json`" if names[CLASSES:] else ""
    return f"{len(names)}, in the order of the logits: {shown}{more}."


def _code(text: str) -> str:
    """A name as it stands, whatever is in it."""
    line = " ".join(text.split()) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def _files(files: Sequence[Exported], int8: Int8 | None) -> str:
    rows = [
        f"| `{file.name}` | {file.bytes:,} | {file.check.largest_difference:.1e} | {file.check.top1_agreement:.2f} |"
        for file in files
    ]
    table = ["| file | bytes | largest difference of logits | same class % |", "| --- | ---: | ---: | ---: |", *rows]
    count = files[0].check.images
    text = f"Each was compared with the trained network on {count} of the images that this was scored on."
    if int8 is None:
        return "\n".join([*table, "", text])
    before = f"where the float32 program has {int8.float_top1:.2f} %"
    drop = (
        f"`model.int8.onnx` is quantised after training, its ranges taken of {int8.calibration_images} training "
        f"images. Top-1 on {int8.images} images: {int8.top1:.2f} %, {before}."
    )
    return "\n".join([*table, "", text, "", drop])


def _use(description: Description, files: Sequence[Exported], repo: str | None) -> str:
    formats = [file.format for file in files if file.format is not None]
    fetch = [] if repo is None else [f"`hf download {repo} --local-dir .` fetches the files."]
    code = [f"{title}:\n\n```python\n{lines}\n```" for title, lines in examples(description, formats, repo).items()]
    return "\n\n".join([*fetch, *code])


def _origin(source: Source) -> str:
    summary, settings = source.summary, source.settings
    of_teacher = source.learner == TEACHER
    own_seed = settings.get("teacher_seed") if of_teacher else None
    lines = [
        f"- data: {_data(source.description)}, {summary['train_images']} labelled training images",
        f"- epochs: {source.scores['epochs'] or 'not known, its weights were given'}",
        f"- seed: {summary['seed'] if own_seed is None else own_seed}",
        f"- crcd: {summary['commit']}",
        f"- device: {summary['device']}",
    ]
    if not of_teacher and "student_images" in summary and summary["student_images"] != summary["train_images"]:
        lines.insert(1, f"- the student saw {summary['student_images']} of them")
    return "\n".join(lines)
