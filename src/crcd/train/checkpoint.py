"""The state of a run on the disk."""

import pickle
from pathlib import Path
from typing import Any

import torch

from crcd.errors import CrcdError
from crcd.files import write_atomically


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values; the old checkpoint stays until the new one is whole.

    Raises:
        CrcdError: the disk is full or may not be written.
    """
    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path, fingerprint: str, settings: Path) -> dict[str, Any]:
    """A stored state, on the CPU.

    Args:
        path: the file.
        fingerprint: of the settings under which the run goes on; the state must come from the same.
        settings: the file that they stand in, for the error.

    Raises:
        CrcdError: the file is broken or holds more than plain values, or the settings are others.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CrcdError(f"{path} cannot be read as a checkpoint: begin the run anew in another --out") from error
    if not isinstance(state, dict) or state.get("fingerprint") != fingerprint:
        raise CrcdError(f"{path} comes from other settings than {settings}: undo the change of that file")
    return state
