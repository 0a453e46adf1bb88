"""Files that are either wholly written or not at all, and that notice when they were changed afterwards.

They may come from a stranger, so none is read through a link, or from a pipe or a device, or without a bound.

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

from gatework.data.stored import stored
from gatework.errors import FileFormatError, TrainingError

JSON_BYTES = 1 << 28
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
    path.unlink(missing_ok=True)  # what is there may be a link to elsewhere
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _explained(error: OSError, path: Path, size: int) -> TrainingError:
    kept = "the earlier file is intact" if path.exists() else "nothing was written"
    if error.errno in _FULL:
        return TrainingError(
            f"the disk is full: {path} needs {size:,} bytes; {kept}. Free some space and run the command again; a "
            "training goes on with: gatework resume RUN"
        )
    return TrainingError(f"{path} cannot be written ({error.strerror}); {kept}")


def write_json(path: Path, value: object) -> None:
    """Writes JSON that people read too."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=True) + "\n").encode())


def read_json(path: Path, what: str) -> Any:
    """Reads JSON; a file that is missing or cut short is a FileFormatError that says what it was."""
    try:
        return json.loads(read_plain(path, JSON_BYTES))
    except FileFormatError:
        raise
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} is missing: {what}") from error
    except (ValueError, RecursionError, OSError) as error:
        raise FileFormatError(f"{path} is damaged ({error}): {what}. Restore it from a copy, or train again") from error


def plainly(path: str, flags: int) -> int:
    """An opener for `open` that follows no link, and waits for no pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)


def must_be_plain(path: Path, most: int | None = None) -> None:
    """A FileFormatError for a link, for what is neither file nor folder, and for a file of more than `most` bytes."""
    if path.is_symlink():
        raise FileFormatError(f"{path} is a link, which a run folder must not have; copy the run with cp -rL")
    if not path.is_file() and not path.is_dir() and path.exists():
        raise FileFormatError(f"{path} is a pipe or a device, and no file of a run")
    if most is not None and path.exists() and path.stat().st_size > most:
        raise FileFormatError(f"{path} has {path.stat().st_size:,} bytes; at most {most:,} can be right")


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a file of at most `most`; see `must_be_plain`."""
    must_be_plain(path, most)
    with open(path, "rb", opener=plainly) as file:
        return file.read(most)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: object) -> None:
    """Writes tensors and `about` as one self-checking safetensors file."""
    owned = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(about, ensure_ascii=False)
    header = {"about": text, "sha256": _digest(owned, text)}
    write_bytes(path, safetensors.torch.save(_unshared(owned), metadata=header))


Shapes = Mapping[str, tuple[int, ...]]


def read_tensors(path: Path, shapes: Shapes | None = None) -> tuple[dict[str, Tensor], Any]:
    """Reads what `write_tensors` wrote; anything else is a FileFormatError with the reason.

    With `shapes`, tensors of other names or shapes are refused before any of them is read.
    """
    must_be_plain(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if shapes is not None:
                _must_fit(path, found, shapes)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise FileFormatError(f"{path} is missing") from error
    except FileFormatError:
        raise
    except (safetensors.SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"{path} ({_size(path)}) is cut short or no tensor file: {error}") from error
    if "about" not in header or _digest(tensors, header["about"]) != header.get("sha256"):
        raise FileFormatError(f"{path} ({_size(path)}) was changed after it was written: its checksum does not fit")
    return tensors, stored(header["about"], dict[str, Any], f"{path}: what it says of itself")


def _must_fit(path: Path, found: Shapes, shapes: Shapes) -> None:
    """Each tensor has its shape; of an empty one of the model's the file says the size."""
    for name in sorted({*found, *shapes}):
        grows = name in found and 0 in shapes.get(name, ())
        if found.get(name) != shapes.get(name) and not grows:
            has, needs = found.get(name, "nothing"), shapes.get(name, "nothing")
            raise FileFormatError(f"{path} does not fit the model of its config: {name!r:.60} is {has}, not {needs}")


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
