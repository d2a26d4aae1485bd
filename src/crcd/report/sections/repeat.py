"""How to do it again."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crcd.errors import CrcdError
from crcd.report.command import distill_command
from crcd.report.figure import Figure
from crcd.report.runs import Run
from crcd.report.source import Source


def repeat_figure(source: Source) -> Figure:
    """Commands, settings and circumstances of all runs of the page."""
    runs = _runs(source)
    summaries = [run.summary for run in runs]
    versions = [", ".join(f"{name} {version}" for name, version in s.get("versions", {}).items()) for s in summaries]
    facts = {
        "data": _each(f"{_data(run)}, {run.summary['train_images']} training images" for run in runs),
        "scored on": _each(f"{s['scored_images']} {s['scored_on']} images" for s in summaries),
        "labelled images the students saw": _each(f"{s['student_images']}" for s in summaries),
        "seeds": _each(str(run.config.seed) for run in runs),
        "epochs": _each(str(s["epochs"]) for s in summaries),
        "commit": _each(s["commit"] for s in summaries),
        "versions": _each(version or "not recorded" for version in versions),
        "device": _each(s["device"] for s in summaries),
        "seconds": [f"{_sum(summaries, 'seconds')} (training steps {_sum(summaries, 'step_seconds')})"],
        "teacher": _each(_teacher(run) for run in runs),
        "folders": _each(str(run.folder.path) for run in runs),
        "left out": _each(
            f"seed {s['seed']}, {name}: {why}" for s in summaries for name, why in s.get("failed", {}).items()
        ),
    }
    settings = [(str(run.folder.path), run.folder.config.read_text(encoding="utf-8")) for run in runs[:1]]
    content = {"commands": _commands(runs), "facts": {k: v for k, v in facts.items() if v}, "settings": settings}
    text = "On CPUs of one kind the same command gives the same numbers to the bit; on a GPU nearly so."
    return Figure(text, template="repeat.html", content=content)


def _runs(source: Source) -> list[Run]:
    found: dict[Path, Run] = {}
    for own in source.subject.runs.values():
        for run in own.values():
            found[run.folder.path] = run
    return list(found.values())


def _commands(runs: Iterable[Run]) -> list[str]:
    try:
        return _each(f"{_remark(run)}{shlex.join(distill_command(run.config))}" for run in runs)
    except CrcdError as error:
        return [f"# the recipe is not there any more ({error}); the settings below have everything"]


def _remark(run: Run) -> str:
    """What the command lacks."""
    if not _from_python(run):
        return ""
    return "# the teacher was given in Python, distill(..., teacher_model=...): the command would not have it\n"


def _from_python(run: Run) -> bool:
    """Whether the teacher came trained, and from nowhere that the settings name."""
    config = run.config
    return run.teacher["epochs"] is None and config.teacher_weights is None and not config.teacher_pretrained


def _teacher(run: Run) -> str:
    entry, config = run.teacher, run.config
    if entry["epochs"] is not None:
        how = f"{entry['epochs']} epoch{'s' if entry['epochs'] > 1 else ''}, {entry['seconds']:,.0f} s"
    elif _from_python(run):
        how = "given in Python"
    else:
        how = "its library's own weights" if config.teacher_pretrained else f"weights of {config.teacher_weights}"
    return f"{entry['model']}, {how}; SHA-256 of its weights begins with {entry['weights'][:16]}"


def _data(run: Run) -> str:
    place = run.config.data_dir
    return run.config.data if place is None else f"{run.config.data} in {place.absolute()}"


def _sum(summaries: Iterable[dict[str, Any]], name: str) -> str:
    return f"{sum(summary[name] for summary in summaries):,.0f}"


def _each(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
