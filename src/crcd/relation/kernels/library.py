"""C files of this package as libraries, compiled for this machine when first needed and kept in the user's cache."""

import contextlib
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from crcd.errors import CrcdError

NATIVE = (
    ["-march=native", "-mprefer-vector-width=512"] if platform.machine() in ("x86_64", "AMD64") else ["-mcpu=native"]
)
# What lets loops with sums become vector instructions; NaN stays NaN, and the process's rounding mode is left alone.
FLAGS = [
    "-O3",
    *NATIVE,
    "-ffp-contract=fast",
    "-fassociative-math",
    "-fno-signed-zeros",
    "-fno-trapping-math",
    "-fno-math-errno",
]


def load(source: Path) -> ctypes.CDLL:
    """The library of a C file, compiled by $CC, cc, gcc or clang unless the cache has it.

    A file of the cache is named by its source, the compiler and the instructions of the processor, and appears whole,
    so that processes and machines can share the folder. Where it cannot be used, each process compiles for itself.

    Raises:
        CrcdError: no compiler, or what it was given or made does not work.
    """
    command = [*_compiler(), *FLAGS]
    instructions = _run([*command, "-dM", "-E", "-x", "c", os.devnull])  # every predefined macro, the version's too
    digest = hashlib.sha256("\0".join([source.read_text(), *command, instructions]).encode()).hexdigest()
    name = f"{source.stem}-{digest[:16]}.so"
    with contextlib.suppress(OSError, RuntimeError):  # nowhere to write, or libraries there may not run
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crcd"
        if (cache / name).exists():
            with contextlib.suppress(OSError):  # a broken file is made anew
                return ctypes.CDLL(str(cache / name))
        cache.mkdir(parents=True, exist_ok=True)
        return _build(command, source, cache / name)
    with tempfile.TemporaryDirectory(prefix="crcd-", ignore_cleanup_errors=True) as folder:
        try:
            return _build(command, source, Path(folder) / name)
        except OSError as error:
            raise CrcdError(f"{source.name} was compiled but cannot be loaded: {error}") from error


def _compiler() -> list[str]:
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        words = shlex.split(name or "")
        if words and shutil.which(words[0]):
            return words
    raise CrcdError("there is no C compiler: install one, or name it in the environment variable CC")


def _build(command: list[str], source: Path, path: Path) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix=path.stem, dir=path.parent) as folder:
        compiled, made = Path(folder) / "compiled.o", Path(folder) / path.name
        _run([*command, "-fopenmp", "-fPIC", "-c", str(source), "-o", str(compiled)])
        _run([*command, "-shared", str(compiled), "-o", str(made), "-lm"])  # OpenMP's library is the one PyTorch loaded
        made.replace(path)
    return ctypes.CDLL(str(path))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise CrcdError(f"the C compiler {command[0]} does not start: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise CrcdError(f"the C compiler {command[0]} failed: {said[0]}; name another in the environment variable CC")
    return done.stdout
