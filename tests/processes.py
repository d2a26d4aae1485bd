"""Waiting for what another process does."""

import subprocess
import time
from collections.abc import Callable


def until(condition: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until the condition holds while the process runs; the process is killed if it never does."""
    end = time.monotonic() + 200
    try:
        while not condition():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
    except BaseException:
        process.kill()
        process.communicate()
        raise
