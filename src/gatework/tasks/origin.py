"""Which data a run learned from: their checksum, and the files themselves, where they are still there and the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.errors import OptionError
from gatework.training.files import hash_files, sha256

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.training.run import Run

MEMORY = "memory"  # in place of a file's name: the rows were in memory


def fingerprint(source: Source) -> str:
    """A SHA-256 of the data: of the files' places and bytes, or of the rows in memory."""
    if hasattr(source, "fingerprint"):  # series that were read before
        return source.fingerprint()
    if isinstance(source, str | Path):
        return hash_files(Path(source))
    if hasattr(source, "columns"):  # polars and pandas frames
        source = {str(name): list(source[name]) for name in source.columns}
    return sha256(json.dumps(source, default=_plain).encode())


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def origin(source: Source, valid: Source | None = None, test: Source | None = None) -> dict[str, str]:
    """Where data are from, as a run keeps it: "source" and "sha256".

    Where validation or test data are apart, "valid_source" and "test_source" name them, "sha256" is of all of them
    together and "train_sha256" of the training data.
    """
    digest, apart = fingerprint(source), {}
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


def named(source: Source) -> str:
    """A source's name in a run folder."""
    return str(source) if isinstance(source, str | Path) else MEMORY


def learned_from(run: Run, source: Source) -> bool:
    """Whether a source is what the run was trained on, apart from validation and test data of their own."""
    data = run.config["data"]
    return data.get("train_sha256", data["sha256"]) == fingerprint(source)


def training_file(run: Run, source: Source | None = None) -> Path:
    """The file that a run was trained on, by its name or under another one.

    Raises OptionError where it is gone, another by now, or the source is other data.
    """
    name = run.config["data"]["source"] if source is None else named(source)
    path = Path(name)
    if name == MEMORY or not path.exists():
        raise OptionError(f"the data of the run ({name}) is not at hand; name a file")
    if not learned_from(run, path):
        raise OptionError(f"{path} changed since the run learned from it; name a file")
    return path


def other_files(run: Run) -> tuple[Path | None, Path | None]:
    """The files of validation and test data that a run had beside the training data.

    Raises OptionError where one is gone, or changed.
    """
    data = run.config["data"]
    valid, test = (Path(name) if (name := data.get(f"{part}_source")) else None for part in ("valid", "test"))
    for path in (valid, test):
        if path is not None and not path.exists():
            raise OptionError(f"the data of the run ({path}) is not at hand; name a file")
    if "train_sha256" in data and together(data["train_sha256"], valid, test) != data["sha256"]:
        raise OptionError(f"{' or '.join(str(path) for path in (valid, test) if path)} changed since the training")
    return valid, test
