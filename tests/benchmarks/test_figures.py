import json

import pytest

from benchmarks.running import run

pytest.importorskip("matplotlib")

MACHINE = {"device": "cpu", "cpu": "A processor", "threads": 2}
MS = {"median": 2.0, "min": 1.0, "max": 3.0}


def loss_case(name, shared, k):
    size = {"B": 64, "A": 64, "K": k, "D": 128}
    form = {"name": name, "objective": "nce", "shared": shared, "masked": False, "label": f"{name} form"}
    return {"part": "negatives", "size": size, "ms": MS, "peak_mib": 5.0, **form}


def scale_case(series, value):
    parts = {f"{part}_ms": MS for part in ("whole", "contrast", "draw", "update")}
    return {"series": series, "size": {series: value}, **parts}


RESULTS = {
    "loss": {"cases": [loss_case(name, name != "released", k) for name in ("released", "native") for k in (64, 256)]},
    "scale": {
        "cases": [scale_case(series, value) for series in ("negatives", "batch") for value in (8, 16)],
        "slopes": {"negatives": {"whole": 0.75}, "batch": {"whole": 1.5}},
    },
    "step": {"repeats": [{"teacher": 10.0, "loss": 5.0}, {"teacher": 12.0, "loss": 5.0}], "sizes": {"B": 64}},
    "peers": {
        "cases": [{"name": "ours, K=8", "owner": "ours", "what": "step", "ms": MS}],
        "size": {"teacher": "resnet56", "student": "resnet20", "batch": 64},
    },
}
LABELS = {
    "loss-cpu-time.svg": ["released form", "native form", "negatives K", "256", "A processor, 2 threads"],
    "loss-cpu-memory.svg": ["released form", "native form", "MiB"],
    "scale-cpu.svg": ["exponent 0.75", "exponent 1.50", "draw", "update"],
    "step-cpu.svg": ["teacher 11 ms", "loss 5 ms", "B = 64"],
    "peers-cpu.svg": ["ours, K=8", "resnet56 to resnet20, batch 64"],
}


def test_figures_show_what_the_files_hold(tmp_path):
    files = []
    for name, body in RESULTS.items():
        files.append(tmp_path / f"{name}-cpu.json")
        files[-1].write_text(json.dumps({"benchmark": name, "machine": MACHINE, **body}))
    done = run("figures.py", tmp_path / "figures", *files)
    assert done.returncode == 0, done.stderr
    drawn = {path.name: path.read_text() for path in (tmp_path / "figures").iterdir()}
    assert drawn.keys() == LABELS.keys()
    for name, labels in LABELS.items():
        assert all(label in drawn[name] for label in labels), name


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "old.json").write_text("{}")
    done = run("figures.py", tmp_path, tmp_path / "old.json")
    assert done.returncode == 1
    assert "old.json" in done.stderr
    assert done.stderr.count("\n") == 1
