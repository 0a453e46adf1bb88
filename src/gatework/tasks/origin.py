"""Which data a run learned from: their checksum, and the files themselves, where they are still there and the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.errors import OptionError
from gatework.training.files import hash_files, sha256

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.training.run import Run

MANY = 1_000  # numbers of an array, of which a checksum stands for them
MEMORY = "memory"  # in place of a file's name: the rows were in memory


def files_of(source: Source) -> tuple[Path, ...]:
    """The files of a source: its path, or those of a tuple, as where each side of pairs has its own; () of rows in
    memory."""
    if isinstance(source, str | Path):
        return (Path(source),)
    parts = source if isinstance(source, tuple) else ()
    there = all(isinstance(part, str | Path) and os.path.exists(part) for part in parts)
    return tuple(map(Path, parts)) if there else ()


def fingerprint(source: Source) -> str:
    """A SHA-256 of the data: of the files' places and bytes, or of the rows in memory."""
    if hasattr(source, "fingerprint"):  # what was read before
        return source.fingerprint()
    if files := files_of(source):
        hashes = [hash_files(file) for file in files]
        return hashes[0] if isinstance(source, str | Path) else sha256(json.dumps(hashes).encode())
    if hasattr(source, "columns"):  # polars and pandas frames
        source = {str(name): list(source[name]) for name in source.columns}
    return sha256(json.dumps(source, default=_plain).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.size > MANY and value.dtype != object:
        return [str(value.dtype), list(value.shape), sha256(np.ascontiguousarray(value).tobytes())]
    return value.tolist() if hasattr(value, "tolist") else str(value)


def origin(source: Source, valid: Source | None = None, test: Source | None = None) -> dict[str, str | list[str]]:
    """Where data are from, as a run keeps it: "source" (a list where it is several files) and "sha256".

    Where validation or test data are apart, "valid_source" and "test_source" name them, "sha256" is of all of them
    together and "train_sha256" of the training data.
    """
    digest = fingerprint(source)
    apart: dict[str, str | list[str]] = {}
    others = {"valid_source": valid, "test_source": test}
    if any(other is not None for other in others.values()):
        apart = {"train_sha256": digest}
        apart |= {key: named(other) for key, other in others.items() if other is not None}
        digest = together(digest, valid, test)
    return {"sha256": digest, "source": named(source), **apart}


def together(digest: str, valid: Source | None, test: Source | None) -> str:
    """The checksum of training data with that digest and of validation and test data, each in its own place."""
    beside = [None if other is None else fingerprint(other) for other in (valid, test)]
    return sha256(json.dumps([digest, *beside]).encode())


def named(source: Source) -> str | list[str]:
    """A source's name in a run folder; names, where it is several files."""
    if isinstance(source, str | Path):
        return str(source)
    return [str(file) for file in files_of(source)] or MEMORY


def shown(name: str | list[str], folders: bool = False) -> str:
    """A source's name for people: "train.de + train.en"."""
    files = [name] if isinstance(name, str) else name
    return " + ".join(files if folders else [Path(file).name for file in files])


def _there(name: str | list[str]) -> Source | None:
    """The file, or the tuple of files, that a run folder names, where they are there."""
    source = Path(name) if isinstance(name, str) else tuple(map(Path, name))
    files = (source,) if isinstance(source, Path) else source
    there = (file.is_file() or file.is_dir() for file in files)  # a pipe or a device would be read for ever
    return source if name != MEMORY and all(there) else None


def title(source: Source) -> str:
    """What a run on a source is called: the name of its (first) file without what follows a dot; "" of other rows."""
    files = files_of(source)
    return files[0].name.partition(".")[0] if files else ""


def learned_from(run: Run, source: Source) -> bool:
    """Whether a source is what the run was trained on, apart from validation and test data of their own."""
    data = run.config["data"]
    return data.get("train_sha256", data["sha256"]) == fingerprint(source)


def training_file(run: Run, source: Source | None = None) -> Source:
    """The file (or the tuple of files) that a run was trained on, by its name or under another one.

    Raises OptionError where it is gone, another by now, or the source is other data.
    """
    name = run.config["data"]["source"] if source is None else named(source)
    found = _there(name)
    if found is None:
        raise OptionError(f"the data of the run ({shown(name, folders=True)}) is not at hand; name a file")
    if not learned_from(run, found):
        raise OptionError(f"{shown(name, folders=True)} changed since the run learned from it; name a file")
    return found


def other_files(
    run: Run, valid: Source | None = None, test: Source | None = None
) -> tuple[Source | None, Source | None]:
    """The files of validation and test data that a run had beside the training data; those given are where they lie by
    now.

    Raises OptionError where one is gone, or changed.
    """
    data = run.config["data"]
    given = {"valid": valid, "test": test}
    names = [name for part in given if (name := data.get(f"{part}_source"))]
    for part, other in given.items():
        if other is None and (name := data.get(f"{part}_source")):
            given[part] = _there(name)
            if given[part] is None:
                raise OptionError(f"the data of the run ({shown(name, folders=True)}) is not at hand; name a file")
    valid, test = given.values()
    if "train_sha256" in data and together(data["train_sha256"], valid, test) != data["sha256"]:
        raise OptionError(f"{' or '.join(shown(name, folders=True) for name in names)} changed since the training")
    return valid, test
