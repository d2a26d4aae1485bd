"""One process at a time in a folder."""

import os
import signal
import subprocess
import sys

import pytest

from crcd.errors import CrcdError
from crcd.lock import LOCK, alone

fcntl = pytest.importorskip("fcntl")
REFUSED = "another crcd works in .*: wait for its end, or name another folder"
INSIDE = """
import os, sys, time
from pathlib import Path
from crcd.lock import alone
with alone(Path(sys.argv[1])):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
    time.sleep(100)
"""


def test_one_at_a_time_and_nothing_is_left(tmp_path):
    with alone(tmp_path), pytest.raises(CrcdError, match=REFUSED), alone(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
    with alone(tmp_path):
        pass


def test_a_killed_process_leaves_no_lock_even_if_one_that_it_forked_lives_on(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", INSIDE, str(tmp_path)], stdout=subprocess.PIPE)
    child = int(process.stdout.readline())
    with pytest.raises(CrcdError, match=REFUSED), alone(tmp_path):
        pass
    process.kill()
    process.wait()
    try:
        assert (tmp_path / LOCK).exists()
        with alone(tmp_path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_a_file_system_without_locks_has_none(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("Function not implemented")

    monkeypatch.setattr(fcntl, "flock", fail)
    with alone(tmp_path), alone(tmp_path):
        pass
