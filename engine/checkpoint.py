"""Checkpoints: everything a resumed run needs, in one safetensors file. No pickle.

Tensors lie under the path of their place in the state (`model/gru.weight_ih_l0`); everything else is JSON in
the file's metadata, with a mark where each tensor belongs.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lvmtui.errors import CheckpointError

FORMAT = "lvmtui-checkpoint-1"
_TENSOR = "$tensor"
_SUFFIX = ".safetensors"
_TEMPORARY = ".tmp"
_RESTORE = "Restore the file from a copy, or launch the phase again from the start."


@dataclass(frozen=True)
class Written:
    """A checkpoint file that is in place."""

    path: Path
    sha256: str
    size: int
    """Bytes."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of an optimiser step lies."""
    return folder / f"step-{step:08d}{_SUFFIX}"


def save(path: Path, state: Mapping[str, Any]) -> Written:
    """Write a checkpoint so that the file is either whole and in place or not there.

    Args:
        path: the file; its folder is made where needed.
        state: nested mappings and lists of tensors, numbers, texts, booleans and None.

    Raises:
        CheckpointError: it cannot be written (disk full, no permission); nothing is left of it.
    """
    tensors: dict[str, Tensor] = {}
    document = json.dumps(_pack(state, "", tensors))
    temporary = path.with_name(path.name + _TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, temporary, metadata={"format": FORMAT, "state": document})
        # safetensors keeps the file to its owner; it shall be as readable as the folder it lies in.
        temporary.chmod(path.parent.stat().st_mode & 0o666)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot write the checkpoint {path}: {error}",
            "Free some disk space. Training goes on; the last good checkpoint is kept.",
        ) from error
    return Written(path=path, sha256=sha256, size=size)


def load(path: Path, sha256: str | None, *, only: Collection[str] = ()) -> dict[str, Any]:
    """Read a checkpoint back, tensors on the CPU. Nothing in the file is executed.

    Args:
        path: the file.
        sha256: what the store says its hash is; None where nothing is known of it.
        only: parts of the state to read, by path (`learner/model`); empty for all.

    Raises:
        CheckpointError: it is missing, changed, damaged or of another format.
    """
    if sha256 is not None:
        _check_hash(path, sha256)
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path} has the format {metadata.get('format')!r}, and this version reads {FORMAT!r}",
                    "Resume it with the version of lvmtui that wrote it.",
                )
            document = json.loads(metadata["state"])
            if not isinstance(document, dict):
                raise CheckpointError(f"{path} is no whole checkpoint: it holds no state", _RESTORE)
            read = _unpack(_parts(document, only) if only else document, opened.get_tensor)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no whole checkpoint: {error}", _RESTORE) from error
    state: dict[str, Any] = read
    return state


def _check_hash(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    if found != sha256:
        raise CheckpointError(
            f"the checkpoint {path} is damaged: its sha256 is {found[:12]}…, and it should be {sha256[:12]}…",
            _RESTORE,
        )


def _unreadable(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"cannot read the checkpoint {path}: {why}",
        "Put the file back where it was, or launch the phase again from the start.",
    )


def remove_strays(folder: Path, known: set[str]) -> list[str]:
    """Remove what a killed process left behind: half-written files, and files that no row tells of.

    Args:
        folder: the run's checkpoints.
        known: names of the files that the store has rows for.

    Returns:
        The names of the files removed.
    """
    removed: list[str] = []
    for path in sorted(folder.glob("step-*")):
        ours = path.name.endswith((_SUFFIX, _SUFFIX + _TEMPORARY))
        if ours and path.name not in known:
            path.unlink(missing_ok=True)
            removed.append(path.name)
    return removed


def _pack(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """The JSON document for `value`; its tensors go to `tensors`."""
    if isinstance(value, Tensor):
        # Copied, because safetensors refuses tensors that share memory, as tied weights do.
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        return {
            str(key): _pack(item, f"{path}/{key}" if path else str(key), tensors)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_pack(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
    return value


def _unpack(value: Any, tensor: Callable[[str], Tensor]) -> Any:
    """What `_pack` was given, with texts as keys and lists for tuples; `tensor` gives one by its name."""
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return tensor(value[_TENSOR])
        return {key: _unpack(item, tensor) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, tensor) for item in value]
    return value


def _parts(document: Mapping[str, Any], only: Collection[str], prefix: str = "") -> dict[str, Any]:
    """The parts of a document that are at or on the way to the paths of `only`."""
    kept: dict[str, Any] = {}
    for key, value in document.items():
        path = f"{prefix}{key}"
        if path in only:
            kept[key] = value
        elif isinstance(value, dict) and any(wanted.startswith(f"{path}/") for wanted in only):
            kept[key] = _parts(value, only, f"{path}/")
    return kept


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rng_state() -> dict[str, Any]:
    """The states of torch's generators, the only ones that training draws from in sequence."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_rng(state: Mapping[str, Any]) -> None:
    """Go on from an `rng_state`; the states of devices that are not here any more are left out."""
    torch.set_rng_state(state["torch"])
    for index, cuda in enumerate(state["cuda"]):
        if torch.cuda.is_available() and index < torch.cuda.device_count():
            torch.cuda.set_rng_state(cuda, index)
