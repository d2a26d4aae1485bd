import sys

import huggingface_hub
import pytest

from crcd.errors import CrcdError
from crcd.export.hub import check_hub, push
from hub_server import serving


@pytest.fixture
def hub(monkeypatch):
    """A hub on this machine, which the client of huggingface_hub talks to."""
    with serving() as served:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.address)
        monkeypatch.setenv("HF_TOKEN", served.token)
        yield served


@pytest.mark.parametrize("private", [True, False])
def test_the_whole_folder_goes_into_a_new_repository(hub, photo_export, private):
    assert push(photo_export, "me/net", private=private) == f"{hub.address}/me/net"
    assert hub.files == {path.name: path.read_bytes() for path in photo_export.iterdir()}
    (asked,) = hub.created
    assert (asked["name"], asked["organization"]) == ("net", "me")
    assert asked["visibility"] == ("private" if private else "public")


def test_a_token_that_the_hub_refuses(hub, photo_export, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(CrcdError, match=r"--push-to-hub me/net failed \(.*401.*\): the export is in ") as error:
        push(photo_export, "me/net", private=True)
    assert "\n" not in str(error.value)
    assert hub.files == {}


def test_a_hub_that_does_not_answer(photo_export, monkeypatch):
    with serving() as hub:
        address = hub.address
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(CrcdError, match="--push-to-hub me/net failed"):
        push(photo_export, "me/net", private=True)


def test_a_token_is_needed(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(CrcdError, match="needs a token of the Hugging Face hub: log in with `hf auth login`"):
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
