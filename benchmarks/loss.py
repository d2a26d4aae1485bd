"""Time and memory of the relation contrast: the released form, plain CRD, and ours. See benchmarks/README.md.

    python benchmarks/loss.py --quick --out results/loss-cpu.json

Symbols: B samples, A anchors, K negatives, D embedding width, N rows of the bank. Every form runs forward and backward
on the CPU in float32, with respect to the student's embedded rows [B, D].
"""

import argparse
import json
import math
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crcd.relation import NCE, Difference, InfoNCE, Negatives, relation_contrast

TEMPERATURE, NUM_SAMPLES, NUM_CLASSES = 0.1, 50_000, 100
LOG_Z = math.log(NUM_SAMPLES) + 5.0


@dataclass(frozen=True)
class Form:
    """One way to compute a loss. ``masked``: with the masks that training passes (same class, anchor, self)."""

    name: str
    objective: str = "nce"
    shared: bool = False
    masked: bool = False

    def __str__(self) -> str:
        draw = "shared" if self.shared else "per-sample"
        return f"{self.name}, {self.objective}, {draw}{', masked' if self.masked else ''}"


RELEASED, CRD = Form("released"), Form("CRD")
STREAMING = [
    Form("streaming", objective, shared, masked)
    for objective, masked in (("nce", False), ("nce", True), ("infonce", True))
    for shared in (True, False)
]


@dataclass(frozen=True)
class Inputs:
    """Random unit rows in the shapes of one training step."""

    query_BD: Tensor
    positive_BD: Tensor
    anchor_AD: Tensor
    bank_ND: Tensor
    index_BK: Tensor
    label_N: Tensor

    @classmethod
    def random(cls, batch: int, dim: int, negatives: int) -> "Inputs":
        """B = A = ``batch``; normalised in place, so that making them leaves no peak of memory behind."""
        torch.manual_seed(0)
        query, positive, anchor, bank = (torch.randn(n, dim) for n in (batch, batch, batch, NUM_SAMPLES))
        for rows in (query, positive, anchor, bank):
            rows.div_(torch.linalg.vector_norm(rows, dim=1, keepdim=True))
        index_BK = torch.randint(NUM_SAMPLES, (batch, negatives))
        return cls(query.requires_grad_(), positive, anchor, bank, index_BK, torch.arange(NUM_SAMPLES) % NUM_CLASSES)


def unit(x: Tensor) -> Tensor:
    return x / x.pow(2).sum(dim=-1, keepdim=True).sqrt()


def nce(cosine: Tensor) -> Tensor:
    """NCE over the last dimension, the positive first, as CRD and the released code write it."""
    noise = (cosine.shape[-1] - 1) / NUM_SAMPLES
    p = torch.exp(cosine / TEMPERATURE) / math.exp(LOG_Z)
    positive = torch.log(p[..., 0] / (p[..., 0] + noise))
    return -(positive + torch.log(noise / (p[..., 1:] + noise)).sum(dim=-1)).mean()


def released(x: Inputs) -> Tensor:
    """CRCD as its authors released it: relations are made one by one and kept, [B, A, K + 1, D]."""
    key_BMD = torch.cat([x.positive_BD[:, None], x.bank_ND[x.index_BK]], dim=1)
    key_BAMD = unit(key_BMD[:, None] - x.anchor_AD[:, None] + 1e-6)
    query_BAD = unit(x.query_BD[:, None] - x.anchor_AD + 1e-6)
    return nce((key_BAMD @ query_BAD[..., None]).squeeze(-1))


def crd(x: Inputs) -> Tensor:
    """CRD: the samples themselves are contrasted, [B, K + 1, D]."""
    key_BMD = torch.cat([x.positive_BD[:, None], x.bank_ND[x.index_BK]], dim=1)
    return nce((key_BMD @ x.query_BD[..., None]).squeeze(-1))


def streaming(x: Inputs, form: Form) -> Tensor:
    """``relation_contrast``; sample i of the batch is row i of the bank."""
    batch, row_K = len(x.query_BD), x.index_BK[0]
    sample_B = torch.arange(batch)
    weight_BA = 1 - torch.eye(batch) if form.masked else None
    if form.shared:
        excluded_BK = x.label_N[row_K] == x.label_N[sample_B, None] if form.masked else None
        negatives = Negatives(x.bank_ND[row_K], None, excluded_BK, row_K)
    else:  # the sampler keeps to other classes, so that no mask is needed but for anchors
        negatives = Negatives(x.bank_ND, x.index_BK, None, torch.arange(NUM_SAMPLES))
    objective = (
        InfoNCE(TEMPERATURE) if form.objective == "infonce" else NCE(TEMPERATURE, torch.tensor(LOG_Z), NUM_SAMPLES)
    )
    return relation_contrast(
        Difference(),
        x.query_BD,
        x.positive_BD,
        x.anchor_AD,
        negatives,
        objective,
        weight_BA=weight_BA,
        anchor_sample_A=sample_B if form.masked else None,
        kernel="streaming",
    ).loss


def step(form: Form, x: Inputs) -> tuple[float, Tensor]:
    """Forward and backward; the loss and its gradient."""
    losses: dict[str, Callable[[], Tensor]] = {
        "released": lambda: released(x),
        "CRD": lambda: crd(x),
        "streaming": lambda: streaming(x, form),
    }
    loss = losses[form.name]()
    (gradient,) = torch.autograd.grad(loss, x.query_BD)
    return loss.item(), gradient


def check_same_answer(x: Inputs) -> None:
    """Refuse to time forms that do not compute the same thing."""
    loss, gradient = step(RELEASED, x)
    our_loss, our_gradient = step(Form("streaming"), x)
    error = float((our_gradient - gradient).norm() / gradient.norm())
    if abs(our_loss / loss - 1) > 1e-4 or error > 1e-3:
        raise SystemExit(f"the forms disagree: loss {our_loss} against {loss}, relative gradient error {error:.1e}")


def time_forms(forms: list[Form], x: Inputs, repeats: int) -> dict[Form, list[dict[str, float]]]:
    """Wall and processor time in ms of each repeat; the forms take turns, so that drift meets all of them alike."""
    times: dict[Form, list[dict[str, float]]] = {form: [] for form in forms}
    for repeat in range(-1, repeats):
        for form in forms:
            wall, cpu = time.perf_counter(), time.process_time()
            step(form, x)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if repeat >= 0:
                times[form].append({"wall_ms": wall * 1e3, "cpu_ms": cpu * 1e3})
    return times


def peak_memory(task: tuple[Form, int, int, int, int]) -> float:
    """MiB by which one step raises the resident size over its inputs; run it in a process of its own."""
    form, batch, dim, negatives, threads = task
    torch.set_num_threads(threads)
    step(form, Inputs.random(4, 8, 4))  # loads the libraries
    x = Inputs.random(batch, dim, negatives)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(form, x)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def machine(threads: int) -> dict[str, Any]:
    def git(*arguments: str) -> str:
        folder = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True).stdout.strip()

    cpuinfo = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD"),
        "source_changed": bool(git("status", "--porcelain", "--", "../src/crcd/relation", "loss.py")),
    }


def ratio(reference: list[dict[str, float]], ours: list[dict[str, float]], clock: str) -> float:
    """Median over repeats of reference / ours, each pair measured side by side."""
    return statistics.median(r[clock] / o[clock] for r, o in zip(reference, ours, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats, under a minute")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write every repeat here")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    batch, dim = 64, 128
    all_forms, streaming_only = ((64, 256), (4096,)) if args.quick else ((64, 128, 256, 512), (4096, 16384))
    repeats = 3 if args.quick else 15
    cases = [(k, [RELEASED, CRD, *STREAMING]) for k in all_forms] + [(k, STREAMING) for k in streaming_only]
    result: dict[str, Any] = {
        "machine": machine(args.threads),
        "sizes": {"B": batch, "A": batch, "D": dim, "N": NUM_SAMPLES},
        "quick": args.quick,
        "load_average_before": os.getloadavg(),
        "memory": "ru_maxrss of a fresh process, after the step minus before it with the inputs made",
        "cases": [],
    }
    context = multiprocessing.get_context("forkserver")  # a process started by exec would inherit this one's peak
    context.set_forkserver_preload(["torch", "crcd.relation"])

    check_same_answer(Inputs.random(batch, dim, 16))
    print(f"{'K':>6}  {'form':36} {'ms':>9} {'min':>9} {'max':>9} {'released/this':>14} {'peak MiB':>9}")
    for k, forms in cases:
        x = Inputs.random(batch, dim, k)
        with context.Pool(1, maxtasksperchild=1) as pool:
            memory = pool.map(peak_memory, [(form, batch, dim, k, args.threads) for form in forms], chunksize=1)
        times = time_forms(forms, x, repeats)
        for form, mib in zip(forms, memory, strict=True):
            wall = [t["wall_ms"] for t in times[form]]
            ratios = {}
            if RELEASED in forms:
                ratios = {clock: ratio(times[RELEASED], times[form], clock) for clock in ("wall_ms", "cpu_ms")}
            shown = f"{ratios['wall_ms']:.1f}" if ratios else "-"
            print(
                f"{k:6}  {form!s:36} {statistics.median(wall):9.2f} {min(wall):9.2f} {max(wall):9.2f} "
                f"{shown:>14} {mib:9.1f}",
                flush=True,
            )
            case = {"K": k, **asdict(form), "peak_mib": mib, "released_over_this": ratios, "repeats": times[form]}
            result["cases"].append(case)
    result["load_average_after"] = os.getloadavg()
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
