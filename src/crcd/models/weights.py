"""Weights in files: safetensors written, safetensors or plain PyTorch state dicts read."""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from crcd.errors import CrcdError
from crcd.files import write_atomically

NAMED_IN_ERRORS = 3


def save_weights(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a state dict as safetensors; a reader finds the old file or the whole new one, never a part.

    Of several processes the first one alone writes.

    Args:
        state: weights by name, on any device.
        path: file to write, in a folder that exists.
        metadata: strings that travel in the file's header, see ``read_metadata``.

    Raises:
        CrcdError: it could not be written; the old file is as it was.
    """

    def content() -> bytes:
        return save(
            {
                name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, tensor in state.items()
            },
            dict(metadata),
        )

    write_atomically(path, lambda file: file.write(content()))  # safetensors' own writer bars other users from it


def read_metadata(path: str | Path) -> dict[str, str]:
    """The strings that ``save_weights`` stored.

    Raises:
        CrcdError: the file is missing or is not safetensors.
    """
    path = _existing(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise _unreadable(path, error) from error


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Fill a network with the weights of a file; it keeps its device and precision.

    Raises:
        CrcdError: the file is missing, broken, holds more than plain weights, or does not fit the network.
    """
    fill_weights(model, read_weights(path), f"weights {path}")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file.

    Args:
        path: ``.safetensors``; or ``.pt`` or ``.pth`` with a state dict, alone or under ``state_dict`` or ``model``.
            A ``module.`` before every name, left by a wrapper for several devices, is dropped.

    Raises:
        CrcdError: the file is missing, broken, or holds more than plain weights.
    """
    path = _existing(path)
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except SafetensorError as error:
            raise _unreadable(path, error) from error
    elif path.suffix in (".pt", ".pth"):
        state = _load_pickled(path)
    else:
        raise CrcdError(f"weights {path}: unknown file type '{path.suffix}'; give a .safetensors, .pt or .pth file")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def fill_weights(model: nn.Module, state: Mapping[str, Tensor], source: str, *, any_classes: bool = False) -> None:
    """Fill a network with a state dict.

    Args:
        model: the network.
        state: weights by name.
        source: what errors call them.
        any_classes: leave the head as it is where the weights are for another number of classes.

    Raises:
        CrcdError: the weights do not fit the network.
    """
    own = model.state_dict()
    if any_classes and (heads := _class_tensors(own, state)):
        state = {name: own[name] if name in heads else tensor for name, tensor in state.items()}
    _check_fit(model, state, source)
    model.load_state_dict(state)


def classes_of_weights(model: nn.Module, state: Mapping[str, Tensor], num_classes: int) -> int:
    """Number of classes of weights that fit a network of ``num_classes``, but for that number."""
    own = model.state_dict()
    heads = _class_tensors(own, state)
    return len(state[next(iter(heads))]) if heads else num_classes


def _class_tensors(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> set[str]:
    """Names of the tensors that differ from a network's own in the number of classes, if they differ in nothing else.

    These are all that differ: in their first side alone, each by the same two numbers.
    """
    if own.keys() != state.keys():
        return set()
    reshaped = {name for name in own if own[name].shape != state[name].shape}
    shapes = {(state[name].shape[:1], own[name].shape[:1]) for name in reshaped}
    first_only = all(state[name].shape[1:] == own[name].shape[1:] for name in reshaped)
    return reshaped if first_only and len(shapes) == 1 else set()


def _existing(path: str | Path) -> Path:
    if not Path(path).is_file():
        raise CrcdError(f"weights {path}: no such file; check the path")
    return Path(path)


def _unreadable(path: Path, error: Exception) -> CrcdError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return CrcdError(f"weights {path}: the file cannot be read ({reason}); is the copy complete?")


def _load_pickled(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of old formats; what matters is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CrcdError(
            f"weights {path}: refused, because the file is not plain weights and opening it could run code; "
            "save model.state_dict() alone and give that file"
        ) from error
    except Exception as error:  # a torn pickle can fail in any way
        raise _unreadable(path, error) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    plain = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )
    if not plain or not content:
        raise CrcdError(f"weights {path}: no state dict in it, nor under 'state_dict' or 'model'; save one of these")
    state: dict[str, Tensor] = content
    return state


def _check_fit(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    own = model.state_dict()
    missing = [f"{name} {list(own[name].shape)}" for name in own if name not in state]
    unexpected = [f"{name} {list(state[name].shape)}" for name in sorted(state) if name not in own]
    reshaped = [name for name in own if name in state and state[name].shape != own[name].shape]
    if heads := _class_tensors(own, state):
        head = next(iter(heads))
        raise CrcdError(
            f"{source}: they are for {len(state[head])} classes, the {type(model).__name__} has {len(own[head])}; "
            "give weights trained on the same classes"
        )
    misfits = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": [f"{name} {list(state[name].shape)} for {list(own[name].shape)}" for name in reshaped],
    }
    problems = [
        f"{len(keys)} {kind} ({', '.join(keys[:NAMED_IN_ERRORS])}{', ...' if len(keys) > NAMED_IN_ERRORS else ''})"
        for kind, keys in misfits.items()
        if keys
    ]
    if problems:
        raise CrcdError(
            f"{source}: they do not fit this {type(model).__name__} of {len(own)} keys: {'; '.join(problems)}; "
            "are they of the same architecture?"
        )


def weights_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash of the names, types, shapes and bits of a network's ``state_dict()``."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()
