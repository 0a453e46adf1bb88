"""Arrays of many items on disk, decoded once in the background and read back by memory map."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gatework.data import progress
from gatework.data.finding import Finding
from gatework.data.media.decoding import Decode, decoded
from gatework.data.media.faults import Faults
from gatework.data.media.items import distinct
from gatework.data.media.listing import Listing
from gatework.errors import DataError, OptionError

BAD_FILES = ("refuse", "skip")


@dataclass(frozen=True)
class Store:
    """n arrays of one type and any shape, in order: `store[i]` is read from disk (read-only), copied by whoever needs.

    Example: `store = Store.of(listing, lambda item, tell: sounds.load(item, 8000, tell))`; `store[0].shape` is (n,).

    `rows` are the rows of the listing that the arrays belong to (fewer where broken files were left out: then
    `listing.take(store.rows)`); `digests` are equal where arrays are; `findings` say what was mended or left out.
    """

    values: np.ndarray
    starts: np.ndarray
    shapes: list[tuple[int, ...]]
    digests: list[str]
    rows: np.ndarray
    findings: list[Finding] = field(default_factory=list)
    folder: _Folder | None = None

    @classmethod
    def of(
        cls,
        listing: Listing,
        decode: Decode,
        *,
        workers: int = 2,
        bad_files: str = "refuse",
    ) -> Store:
        """Decodes every item of a listing in threads; a file that several rows name is decoded and stored once. How
        many are done is told by `data.progress`.

        Args:
            decode: item and `tell` -> array; what it tells and the DataErrors that it raises are collected by row.
            bad_files: "refuse" raises one DataError that names every broken file; "skip" leaves their rows out, told.

        Raises: DataError for broken files, or where nothing is left.
        """
        if bad_files not in BAD_FILES:
            raise OptionError(f"bad_files cannot be {bad_files!r}; there are: {', '.join(BAD_FILES)}")
        if not len(listing):
            raise DataError(f"{listing.source} lists nothing to read; give at least one {listing.kind}")
        rows, which = distinct(listing.items)
        faults, writer = Faults(listing), _Writer()
        with closing(decoded(listing, rows, decode, faults, workers)) as arrays:
            for done, (row, array) in enumerate(arrays, 1):
                writer.skip() if array is None else writer.add(array, listing.where(row))
                progress.tell(done, len(rows))
        if bad_files == "refuse":
            faults.refuse()
        return _store(writer, which, faults)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> np.ndarray:
        start, shape = self.starts[row], self.shapes[row]
        return self.values[start : start + int(np.prod(shape))].reshape(shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """The first axis of each array."""
        return np.array([shape[0] for shape in self.shapes], np.int64)

    @property
    def copies(self) -> list[int]:
        """Of each row the first one that equals it: groups that are drawn alike at whatever size files are read."""
        first: dict[str, int] = {}
        return [first.setdefault(digest, row) for row, digest in enumerate(self.digests)]

    def take(self, rows: Sequence[int] | np.ndarray) -> Store:
        """Some of the arrays, on the same disk space."""
        rows = np.asarray(rows, np.int64)
        shapes, digests = ([of[row] for row in rows] for of in (self.shapes, self.digests))
        return replace(self, starts=self.starts[rows], shapes=shapes, digests=digests, rows=self.rows[rows])


def _store(writer: _Writer, which: np.ndarray, faults: Faults) -> Store:
    """What was written, by row; without the rows of broken files."""
    starts = np.array(writer.starts, np.int64)[which]
    rows = np.flatnonzero(starts >= 0)
    if not len(rows):
        faults.refuse()
    shapes, digests = ([of[which[row]] for row in rows] for of in (writer.shapes, writer.digests))
    findings = [_left_out(found) if found.level == "error" else found for found in faults.findings()]
    return Store(writer.values(), starts[rows], shapes, digests, rows, findings, writer.folder)


def _left_out(found: Finding) -> Finding:
    return replace(found, level="warning", message=f"left out: {found.message}")


class _Folder:
    """A temporary folder that goes with its last user, in the process that made it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gatework-media-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)


class _Writer:
    """Arrays one after another in one file."""

    def __init__(self) -> None:
        self.folder = _Folder()
        self.path = self.folder.path / "values"
        self.path.touch()
        self.dtype: np.dtype | None = None
        self.size = 0
        self.starts: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.digests: list[str] = []

    def add(self, array: np.ndarray, place: str) -> None:
        """Appends an array; all have one dtype."""
        self.dtype = self.dtype or array.dtype
        if array.dtype != self.dtype:
            raise DataError(f"{place}: gives {array.dtype}, those before it {self.dtype}; give all of one type")
        data = np.ascontiguousarray(array).tobytes()
        try:
            with self.path.open("ab") as file:
                file.write(data)
        except OSError as error:
            needs = f"{self.path.stat().st_size + len(data):,} bytes so far"
            raise DataError(
                f"{self.path.parent} cannot hold the decoded files ({error.strerror}; {needs}); free some space there, "
                "or name another folder in TMPDIR"
            ) from None
        digest = hashlib.blake2b(data, digest_size=16, person=str(array.ndim).encode()).hexdigest()
        self._note(self.size, array.shape, digest)
        self.size += array.size

    def skip(self) -> None:
        """Holds the place of an item that could not be decoded."""
        self._note(-1, (), "")

    def _note(self, start: int, shape: tuple[int, ...], digest: str) -> None:
        self.starts.append(start)
        self.shapes.append(shape)
        self.digests.append(digest)

    def values(self) -> np.ndarray:
        dtype = self.dtype or np.dtype(np.float32)
        return np.memmap(self.path, dtype, "r") if self.size else np.zeros(0, dtype)
