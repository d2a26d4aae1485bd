"""The command ``crcd``."""

import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from types import FrameType

from crcd import __version__, launch
from crcd.errors import CrcdError, unknown
from crcd.train.stop import SIGNALLED, RunStopped

COMMANDS = {
    "distill": ("distill", "train small classifiers under a large one, side by side"),
    "compare": ("compare", "methods over seeds and pairs of networks, in tables with their spreads"),
    "train": ("train", "train one classifier from scratch"),
    "report": ("report", "one HTML page about a run or a comparison"),
    "evaluate": ("evaluate", "score weights on a data set"),
    "probe": ("probe", "classify other images by the features of trained networks"),
    "export": ("export", "hand on a trained network: safetensors, ONNX or torch.export"),
    "predict": ("predict", "classify pictures with an export or a run"),
    "data": ("data", "fetch and check data sets"),
    "list": ("names", "names of models, methods, data sets and recipes"),
}
"""Each command's module in this package, imported when it is called for, and its meaning."""

TOGETHER = ("distill", "compare", "train")
"""Commands that several processes, started by torchrun, carry out as one."""

REMEDIES = {
    **dict.fromkeys(TOGETHER, "lower --batch-size or --image-size, or give --batch-parts 4 or --precision bf16"),
    "evaluate": "lower --batch-size",
}
"""What helps where memory runs out, by the commands that have flags for it."""

USAGE = "\n".join(
    [
        "usage: crcd COMMAND [options]",
        "",
        *(f"  crcd {name:<10} {meaning}" for name, (_, meaning) in COMMANDS.items()),
        "",
        "crcd COMMAND --help shows the options of a command; crcd distill alone is a complete example.",
    ]
)


class _Ended(KeyboardInterrupt):
    """The process was asked to end, by SIGTERM."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: words after ``crcd``; None takes those of the process.

    Returns:
        Exit status: 0 done or time budget used up, 1 a checked data set or a picture is broken, 2 a mistake of the user
        (one line on standard error), 130 interrupted, 143 asked to end.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # a process of its own: asked to end, it clears away what it has begun, as on an interrupt
        signal.signal(signal.SIGTERM, _end)
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file need not be text
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else waiting threads keep a core from whatever else there is
    try:
        try:
            return _run_together(words) if launch.processes() > 1 else _dispatch(words)
        finally:
            sys.stdout.flush()
    except CrcdError as error:
        return _complain(str(error))
    except RunStopped as stopped:
        _tell(f"crcd: {stopped}")
        return stopped.status
    except KeyboardInterrupt as interrupt:
        _tell("crcd: interrupted")
        return SIGNALLED + (signal.SIGTERM if isinstance(interrupt, _Ended) else signal.SIGINT)
    except BrokenPipeError:  # whoever read the output, such as head, has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        asked = re.search(r"to allocate ([\d.]+ \w+)", str(error))
        remedy = REMEDIES.get("".join(words[:1]), "free some, or take a machine that has more")
        return _complain(f"memory ran out{f' ({asked[1]} were asked for)' if asked else ''}; what helps: {remedy}")


def _out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether memory was lacking: Python's, or PyTorch's on a GPU or on the CPU, where its error has no class."""
    torch = sys.modules.get("torch")  # not imported for this: it is slow
    lacking = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, lacking) or "DefaultCPUAllocator: " in str(error)


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended


def _run_together(words: list[str]) -> int:
    """The command, as one of several processes."""
    from crcd import distributed  # slow to import

    if not words or words[0] not in TOGETHER:
        raise CrcdError(f"several processes were started, and crcd {words[0] if words else ''} uses one: start one")
    with distributed.together():
        return _dispatch(words)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] == "--version":
        print(f"crcd {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise unknown("command", words[0], COMMANDS)
    module, _ = COMMANDS[words[0]]
    import_module(f"crcd.cli.{module}").run(words[1:])
    return 0


def _complain(message: str) -> int:
    _tell(f"crcd: error: {' '.join(message.split())}")
    return 2


def _tell(line: str) -> None:
    """To the user, by one process where there are several."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        from crcd import distributed

        if not distributed.speaks():
            return
    print(line, file=sys.stderr)
