"""The peers are played by stand-ins with their module names, one of which is this package's."""

import pytest

from benchmark_runs import ROOT, measured, run

MODELS = """
from torch import nn
from torch.nn import functional as F

class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x, is_feat=False, preact=False):
        feature = x.mean(dim=(2, 3))
        return [feature], self.fc(feature)

model_dict = {"resnet8": Network}
"""
LOOPS = """
def train_distill(epoch, loader, modules, criteria, optimizer, opt):
    for image, target, index, contrast in loader:
        assert contrast.shape == (len(index), opt.nce_k + 1) and (contrast[:, 0] == index).all()
        print("one batch")
        (f_s,), z_s = modules[0](image, is_feat=True)
        (f_t,), z_t = modules[-1](image, is_feat=True)
        loss = criteria[0](z_s, target) + criteria[1](z_s, z_t) + criteria[2](f_s, f_t, index, contrast)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
CRITERION = """
import torch
from torch import nn

class Loss(nn.Module):
    def __init__(self, opt):
        super().__init__()
        self.embed_s, self.embed_t = nn.Linear(opt.s_dim, opt.feat_dim), nn.Linear(opt.t_dim, opt.feat_dim)
        self.register_buffer("memory", torch.zeros(opt.n_data, opt.feat_dim).cuda())

    def forward(self, f_s, f_t, index, contrast):
        return (self.embed_s(f_s) - self.embed_t(f_t) + self.memory[contrast].mean(dim=1)).square().mean()

CRDLoss = CRCDLoss = Loss
"""


@pytest.fixture
def checkouts(tmp_path):
    files = {"models/__init__.py": MODELS, "helper/__init__.py": "", "helper/loops.py": LOOPS}
    zoo = {"distiller_zoo/__init__.py": "DistillKL = lambda T: lambda z_s, z_t: (z_s - z_t).square().mean()"}
    owned = {
        "repdistiller": files | zoo | {"crd/__init__.py": "", "crd/criterion.py": CRITERION},
        "crcd": files | {"crcd/__init__.py": "", "crcd/criterion.py": CRITERION},
    }
    for name, contents in owned.items():
        for path, text in contents.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
    return {name: tmp_path / name for name in owned}


@pytest.mark.slow
def test_steps_are_compared_in_one_run(checkouts, tmp_path):
    folders = [word for name, folder in checkouts.items() for word in (f"--{name}", folder)]
    result, shown = measured("peers.py", tmp_path / "peers.json", "--sizes", "tiny", "--device", "cpu", *folders)
    cases = {case["name"]: case for case in result["cases"]}
    assert {"bare", "ours, K=8", "RepDistiller, CRD, K=16", "released CRCD, both elements, K=8"} <= cases.keys()
    for name, case in cases.items():
        assert case["ms"]["median"] > 0
        assert case["peak_mib"] >= 0
        assert name in shown
    ratios = {(ratio["peer"], ratio["ours"]): ratio for ratio in result["ratios"]}
    assert ratios["RepDistiller, CRD, K=16", "ours, K=16"]["median"] > 0
    assert ("released CRCD, loss alone, K=8", "ours, loss alone, K=8") in ratios
    assert ("released CRCD, loss alone, K=8", "ours, K=8") not in ratios
    assert all(peer["repaired"] for peer in result["peers"].values())
    assert "one batch" not in shown


def test_without_a_checkout_one_line_says_what_to_give():
    done = run("peers.py")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "--repdistiller DIR" in done.stderr
    assert "--crcd DIR" in done.stderr


def test_a_folder_of_something_else_is_refused(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from checkouts import check_checkout

    with pytest.raises(SystemExit, match=r"--crcd .*: there is no crcd/criterion\.py"):
        check_checkout("crcd", tmp_path)
