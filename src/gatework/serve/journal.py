"""Streams on disk: a snapshot, and after it a log of what happened since. What was flushed survives kill -9.

A folder holds `snapshot-K.safetensors`, `log-K` and a lock. A record of the log is its kind, the length of its payload,
their checksum, the payload. Steps are noted as inputs: doing them again gives the same bits. The order of things makes
it safe: a snapshot is complete before it has its name, the log of its number is begun after that, and only then do the
older two go. So the highest snapshot and its log hold everything, and a log's torn end was never acknowledged.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from gatework.errors import FileFormatError, GateworkError, OptionError
from gatework.serve.snapshot import restore, snapshot
from gatework.serve.streams import Streams

HEAD = struct.Struct("<BII")  # of a record
STEPS = struct.Struct("<8sI")  # of its payload, where it is steps: numpy's type of the inputs, and how many
OPENED, STEPPED, ENDED = 1, 2, 3
LARGE = 64 << 20  # bytes of a log after which a new snapshot is due
sync = getattr(os, "fdatasync", os.fsync)


class Journal:
    """What keeps the streams of one model in a folder.

        journal = Journal(folder, model_hash)
        streams = Streams(stepper, notes=journal)
        journal.recover(streams)                  # as they were
        ...                                       # steps
        journal.flush(journal.taken())            # on disk: now they may be acknowledged

    Notes and `taken` belong to the owner's thread; one `flush` at a time may run in another.
    """

    def __init__(self, folder: Path, model: str):
        self.folder, self.model = folder, model
        self.notes: list[bytes] = []
        self.number, self.size = 0, 0
        self.log: IO[bytes] | None = None
        self.quiet = False  # while old notes are done again
        self.lock = _locked(folder)

    # ---- noting
    def opened(self, key: str, place: int) -> None:
        self._note(OPENED, place.to_bytes(4, "little") + key.encode())

    def stepped(self, places: np.ndarray, inputs: np.ndarray) -> None:
        if len(places):
            head = STEPS.pack(inputs.dtype.str.encode(), len(places))
            self._note(STEPPED, head + places.astype("<u4").tobytes() + inputs.tobytes())

    def ended(self, key: str) -> None:
        self._note(ENDED, key.encode())

    def _note(self, kind: int, payload: bytes) -> None:
        if not self.quiet:
            body = bytes([kind]) + payload
            self.notes.append(HEAD.pack(kind, len(payload), zlib.crc32(body)) + payload)

    # ---- writing
    def taken(self) -> bytes:
        """The notes that no flush has had yet."""
        notes, self.notes = self.notes, []
        return b"".join(notes)

    def due(self, failed: bool) -> bool:
        """Whether the next flush shall be a snapshot: the log is long, or could not be written."""
        return failed or self.size > LARGE

    def flush(self, notes: bytes, data: bytes | None = None) -> None:
        """Put notes on disk, or a snapshot that holds them. Where that fails, all is as before: OSError is raised."""
        if data is not None:
            self.renew(data)
        else:
            self._append(notes)

    def _append(self, notes: bytes) -> None:
        assert self.log is not None, "a journal is recovered before it is written"
        try:
            rest = memoryview(notes)
            while rest:
                rest = rest[os.write(self.log.fileno(), rest) :]
            sync(self.log.fileno())
        except OSError:
            self.log.truncate(self.size)
            self.log.seek(self.size)
            raise
        self.size += len(notes)

    def renew(self, data: bytes) -> None:
        """Begin anew with this snapshot, which holds all that was flushed."""
        number = self.number + 1
        path = self._snapshot(number)
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        before, self.log = self.log, open(self._log(number), "wb", buffering=0)  # noqa: SIM115 (open until the next)
        self.number, self.size = number, 0
        if before is not None:
            before.close()
        _sync_folder(self.folder)
        self._tidy()

    def _tidy(self) -> None:
        for path in self.folder.iterdir():
            if path.name.startswith(("log-", "snapshot-")) and path not in (
                self._log(self.number),
                self._snapshot(self.number),
            ):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
            self.log = None
        self.lock.close()

    # ---- reading
    def recover(self, streams: Streams) -> None:
        """Make new streams what the folder holds, and begin a snapshot. Raises OptionError for another model's."""
        numbers = [int(p.stem.partition("-")[2]) for p in self.folder.glob("snapshot-*.safetensors")]
        self.number = max(numbers, default=0)
        self.quiet = True
        if numbers:
            self._recover(streams)
        self.quiet = False
        self.renew(snapshot(streams, self.model))

    def _recover(self, streams: Streams) -> None:
        path = self._snapshot(self.number)
        try:
            restore(streams, path.read_bytes(), self.model)
            for kind, payload in records(self._log(self.number)):
                redo(streams, kind, payload)
        except (GateworkError, ValueError, KeyError, IndexError, struct.error) as error:
            advice = "name another folder (--state), or the model that it belongs to"
            kind = OptionError if isinstance(error, OptionError) else FileFormatError
            raise kind(f"the streams in {path} cannot be taken up: {error}; {advice}") from error

    def _snapshot(self, number: int) -> Path:
        return self.folder / f"snapshot-{number}.safetensors"

    def _log(self, number: int) -> Path:
        return self.folder / f"log-{number}"


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Kind and payload of each whole record; a torn one ends the log."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        while len(head := file.read(HEAD.size)) == HEAD.size:
            kind, length, checksum = HEAD.unpack(head)
            payload = file.read(length)
            if len(payload) < length or zlib.crc32(bytes([kind]) + payload) != checksum:
                return
            yield kind, payload


def redo(streams: Streams, kind: int, payload: bytes) -> None:
    """Do again what was noted."""
    if kind == OPENED:
        streams.begin(payload[4:].decode(), streams.places.take(int.from_bytes(payload[:4], "little")))
    elif kind == ENDED:
        streams.drop(payload.decode())
    else:
        streams.redo(*_steps(payload))


def _steps(payload: bytes) -> tuple[np.ndarray, np.ndarray]:
    name, count = STEPS.unpack_from(payload)
    places = np.frombuffer(payload, "<u4", count, STEPS.size).astype(np.int64)
    inputs = np.frombuffer(payload, name.rstrip(b"\0").decode(), offset=STEPS.size + 4 * count)
    return places, inputs.reshape(count, -1)


def _locked(folder: Path) -> IO[bytes]:
    """The folder's lock, which the system lets go when this process dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "lock", "ab")  # noqa: SIM115 (open as long as we hold the lock)
    except OSError as error:
        raise OptionError(f"the folder of states {folder} cannot be written: {error.strerror}") from error
    try:
        _lock(file)
    except OSError as error:
        file.close()
        raise OptionError(f"another server keeps its streams in {folder}; name another folder (--state)") from error
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _sync_folder(folder: Path) -> None:
        """Names are on disk with the files."""
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync_folder(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
