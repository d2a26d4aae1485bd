import os
import subprocess
import sys

import huggingface_hub
import pytest

from crcd.errors import CrcdError
from crcd.export.hub import check_hub, push
from hub_server import serving

PUSH = """
import sys
from pathlib import Path
from crcd.export.hub import check_hub, push

check_hub("me/net")
print(push(Path(sys.argv[1]), "me/net", private=sys.argv[2] == "private"))
"""


def pushed(hub, folder, visibility, token):
    """The hub's own client in a process of its own, as it reads its address when it is imported."""
    paths = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    settings = {"HF_ENDPOINT": hub.address, "HF_TOKEN": token, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-W", "error", "-c", PUSH, str(folder), visibility]
    return subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("visibility", ["private", "public"])
def test_the_whole_folder_goes_into_a_new_repository(photo_export, visibility):
    with serving() as hub:
        answer = pushed(hub, photo_export, visibility, hub.token)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == f"{hub.address}/me/net"
    assert hub.files == {path.name: path.read_bytes() for path in photo_export.iterdir()}
    assert [(asked["name"], asked["organization"], asked["visibility"]) for asked in hub.created] == [
        ("net", "me", visibility)
    ]


def test_a_token_that_the_hub_refuses(photo_export):
    with serving() as hub:
        answer = pushed(hub, photo_export, "private", "hf_wrong")
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]
    assert "CrcdError: --push-to-hub me/net failed (" in last
    assert last.endswith(f"the export is in {photo_export}")
    assert hub.files == {}


def test_a_token_is_needed(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(
        CrcdError, match="needs a token of the Hugging Face hub: log in with `hf auth login`, or set HF_TOKEN"
    ):
        check_hub("me/net")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    check_hub("me/net")


@pytest.mark.parametrize("name", ["a b", "me/net/more", "-", ""])
def test_a_name_that_can_be_none(name):
    with pytest.raises(CrcdError, match=f"--push-to-hub is {name}: give USER/NAME"):
        check_hub(name)


def test_the_package_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for ask in (lambda: check_hub("me/net"), lambda: push(tmp_path, "me/net", private=True)):
        with pytest.raises(CrcdError, match=r'needs the package huggingface_hub: pip install "crcd\[hub\]"'):
            ask()
