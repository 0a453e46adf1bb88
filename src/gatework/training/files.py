"""Files that are either wholly written or not at all, and that notice when they were changed afterwards.

A tensor file is a safetensors file whose header also holds `about` (JSON) and a SHA-256 over all of it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gatework.errors import FileFormatError, TrainingError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces `path` in one step: after a crash or a full disk the old content is still there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        _write_through(beside, data)
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise _explained(error, path, len(data)) from error


def _write_through(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _explained(error: OSError, path: Path, size: int) -> TrainingError:
    kept = "the earlier file is intact" if path.exists() else "nothing was written"
    if error.errno in _FULL:
        return TrainingError(
            f"the disk is full: {path} needs {size:,} bytes; {kept}. Free some space and continue with --resume"
        )
    return TrainingError(f"{path} cannot be written ({error.strerror}); {kept}")


def write_json(path: Path, value: object) -> None:
    """Writes JSON that people read too."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=True) + "\n").encode())


def read_json(path: Path, what: str) -> Any:
    """Reads JSON; a file that is missing or cut short is a FileFormatError that says what it was."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} is missing: {what}") from error
    except (ValueError, OSError) as error:
        raise FileFormatError(f"{path} is damaged ({error}): {what}. Restore it from a copy, or train again") from error


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: object) -> None:
    """Writes tensors and `about` as one self-checking safetensors file."""
    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(about, ensure_ascii=False)
    header = {"about": text, "sha256": _digest(owned, text)}
    write_bytes(path, safetensors.torch.save(_unshared(owned), metadata=header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Reads what `write_tensors` wrote; anything else is a FileFormatError with the reason."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} is missing") from error
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise FileFormatError(f"{path} ({_size(path)}) is cut short or no tensor file: {error}") from error
    if "about" not in header or _digest(tensors, header["about"]) != header.get("sha256"):
        raise FileFormatError(f"{path} ({_size(path)}) was changed after it was written: its checksum does not fit")
    return tensors, json.loads(header["about"])


def _digest(tensors: Mapping[str, Tensor], about: str) -> str:
    digest = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _unshared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors that share memory (tied weights), which the format refuses."""
    seen: set[int] = set()
    unshared = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        unshared[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return unshared


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes"


def hash_files(path: Path) -> str:
    """One SHA-256 over the name and content of a file, or of each file in a folder with its place there."""
    files = {path.name: path}
    if path.is_dir():
        files = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    digest = hashlib.sha256()
    for name, each in sorted(files.items()):
        digest.update(name.encode())
        with open(each, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
