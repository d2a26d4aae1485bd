"""Compiles the Triton kernels for a GPU (python compile_triton.py 90 for Hopper), each as a call of the contrast would
launch it; no GPU is needed.

Run as a script, because kernels must be imported without Triton's interpreter. Prints a line for each kernel: kind of
negatives or relation, width, number of samples, kernel, bytes of shared memory, bytes of stack.
"""

import subprocess
import sys
import tempfile
from inspect import signature

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

from crcd.relation import NCE, InfoNCE, Negatives
from crcd.relation.kernels.problem import Problem
from crcd.relation.kernels.triton import contrast, difference_own, difference_shared, mlp_sweeps
from crcd.relation.relations import Difference, MLPNetwork

ARCHITECTURE = int(sys.argv[1])
"""Compute capability, 90 for 9.0."""
POINTERS = {torch.float32: "*fp32", torch.int64: "*i64", torch.int8: "*i8"}


class Compiler:
    """Stands for a kernel: compiles what is launched, specialised as Triton's launcher does, instead of running it."""

    label = ""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return self.compile

    def compile(self, *args, num_warps=4, num_stages=3, **kwargs):
        given = signature(self.kernel.fn).bind(*args, **kwargs).arguments
        types, constants, attributes = {}, {}, {}
        for place, (parameter, x) in enumerate(zip(self.kernel.params, given.values(), strict=True)):
            if parameter.is_constexpr or x is None or (isinstance(x, int) and x == 1):
                types[parameter.name], constants[parameter.name] = "constexpr", x
                continue
            is_pointer = isinstance(x, torch.Tensor)
            types[parameter.name] = POINTERS[x.dtype] if is_pointer else "i32"
            if (x.data_ptr() if is_pointer else x) % 16 == 0:
                attributes[place,] = [["tt.divisibility", 16]]
        source = ASTSource(self.kernel, types, constexprs=constants, attrs=attributes)
        options = {"num_warps": num_warps, "num_stages": num_stages}
        compiled = compile(source, target=GPUTarget("cuda", ARCHITECTURE, 32), options=options)
        print(self.label, self.kernel.__name__, compiled.metadata.shared, stack(compiled.asm["cubin"]))


def stack(binary: bytes) -> int:
    """Bytes of stack of a kernel: what does not fit its registers."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(usage.split("STACK:")[1].split()[0])


def launch(kind: str, objective: InfoNCE | NCE, masks: bool, b: int, a: int, k: int, d: int) -> None:
    index = torch.zeros(b, k, dtype=torch.int64) if kind == "own" else None
    excluded = torch.zeros(b, k, dtype=torch.bool) if masks else None
    negatives = Negatives(torch.randn(k, d), index, excluded, torch.arange(k) if masks else None)
    relation = MLPNetwork(d, d)() if kind == "mlp" else Difference()
    s, t, anchor, pairs = torch.randn(b, d), torch.randn(b, d), torch.randn(a, d), torch.ones(b, a)
    Compiler.label = f"{kind} {d} {b}"
    anchor_sample = torch.arange(a) if masks else None
    contrast(Problem(relation, s, t, anchor, negatives, pairs, pairs, anchor_sample, objective))


if __name__ == "__main__":
    for module in (difference_own, difference_shared, mlp_sweeps):
        for name in [name for name in vars(module) if name.endswith("_kernel")]:
            setattr(module, name, Compiler(getattr(module, name)))
    triton.knobs.runtime.interpret = True  # the contrast then takes tensors that lie on no GPU
    infonce, nce = InfoNCE(0.1), NCE(0.1, torch.tensor(4.0), 50)
    for kind in ("shared", "own", "mlp"):
        launch(kind, infonce, True, 64, 64, 256, 128)
        launch(kind, nce, False, 64, 64, 256, 128)
        launch(kind, nce, True, 64, 64, 256, 256)
        launch(kind, infonce, True, 1, 1, 1, 1)
