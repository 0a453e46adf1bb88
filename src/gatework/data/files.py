"""Bytes and characters of a file, with errors that name the line."""

from __future__ import annotations

import gzip
import mmap
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatework.data.suggest import did_you_mean, setting
from gatework.errors import DataError

COLUMNS = 20_000  # of a table, and channels of a sequence
UNPACKED, RATIO = 100 << 20, 100  # what a compressed file may become: so many bytes, or so many times its own size
CUT = ("unexpected end of data", "truncated data")  # why bytes are no text where they end within a character
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_bytes(path: str | Path) -> bytes:
    """The content of a file, unzipped if its name ends in .gz.

    Raises: DataError if the file is missing (with the nearest name beside it), a folder, a pipe, unreadable, damaged or
    empty, if it does not fit in memory, or if a small file unpacks to a huge one.
    """
    path = Path(path)
    must_exist(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file")
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device, and data are read more than once; write them to a file first")
    try:
        with in_memory(str(path)):
            must_fit(path.stat().st_size)
            data = path.read_bytes()
            if data and path.suffix == ".gz":
                data = _unpacked(path, len(data))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the compressed file is damaged or cut short ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if not data.strip():
        raise DataError(f"{path} is empty ({len(data)} bytes); give a file with at least one row")
    return data


def _unpacked(path: Path, size: int) -> bytes:
    """The content of a .gz file of so many bytes, read no further than is believable: text packs 3 to 30 times."""
    with gzip.open(path) as file:
        data = file.read(max(UNPACKED, RATIO * size) + 1)
    believable(len(data), size, str(path))
    return data


def believable(unpacked: int, packed: int, source: str) -> None:
    """A DataError for packed bytes that become so many that they are hardly data."""
    most = max(UNPACKED, RATIO * packed)
    if unpacked > most:
        raise DataError(f"{source}: {packed:,} bytes unpack to more than {most:,}, hardly data: look into it first")


@contextmanager
def in_memory(source: str) -> Iterator[None]:
    """Around the reading of a source: a DataError where memory ends."""
    try:
        yield
    except MemoryError:
        raise DataError(
            f"{source} needs more memory than this process may have; give fewer rows, or more memory"
        ) from None


def must_fit(size: int) -> None:
    """A MemoryError unless so many bytes can be had now. Libraries in Rust end the process where they get none."""
    try:
        mmap.mmap(-1, max(size, 1)).close()  # reserved and given back, never written
    except (OSError, OverflowError) as error:
        raise MemoryError from error


def must_exist(path: Path) -> None:
    """Raises a DataError where there is neither file nor folder, also for a text that is no path at all."""
    try:
        missing = "" if path.exists() else f"{path}: no such file{_neighbour(path)}"
    except OSError as error:
        missing = f"{_start(path)}: not the name of a file ({error.strerror})"
    if missing:
        raise DataError(missing + _meant_as_text(path))


def read_text(path: str | Path, encoding: str | None = None) -> str:
    """The text of a file: UTF-8 (or what a byte-order mark says) unless `encoding` names another."""
    return decode(read_bytes(path), str(path), encoding)


def plain(text: str) -> str:
    """A text without a byte-order mark; where there is no other end of a line, that of an old Macintosh is one."""
    text = text.removeprefix("\ufeff")
    return text if "\n" in text else text.replace("\r", "\n")


def decode(data: bytes, source: str, encoding: str | None = None) -> str:
    """Bytes to characters; the error for a wrong encoding names line, character and byte and what to try."""
    try:
        text = data.decode(encoding or _marked(data))
    except LookupError:
        hint = "try utf-8, latin-1, cp1252 or utf-16"
        raise DataError(f"{source}: Python knows no encoding called {encoding!r}; {hint}") from None
    except UnicodeDecodeError as error:
        raise DataError(_wrong_encoding(data, source, error)) from None
    except ValueError as error:  # of codecs that are not for files, such as idna
        raise DataError(f"{source}: cannot be read as {encoding!r} ({error}); try utf-8, latin-1, cp1252") from None
    if encoding and _is_utf8(data, text):
        raise DataError(f"{source} is UTF-8, and would be read as {encoding}; pass {setting('encoding', 'utf-8')}")
    return text


def _is_utf8(data: bytes, text: str) -> bool:
    """Whether bytes that were read otherwise are UTF-8: letters of one byte hardly ever come together so by chance."""
    if len(text) < len(data) or data.isascii():
        return False
    return _reads(data, "utf-8")


def _marked(data: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return encoding
    return "utf-8"


def _wrong_encoding(data: bytes, source: str, error: UnicodeDecodeError) -> str:
    cut = error.reason in CUT and error.end == len(data)
    if data.count(b"\0") > len(data) // 10 and not cut:
        return f"{source}: holds zero bytes: UTF-16, or no text at all; try {setting('encoding', 'utf-16')}"
    start = data.rfind(b"\n", 0, error.start) + 1
    end = data.find(b"\n", error.start)
    line = data[start : len(data) if end < 0 else end]
    guess = "cp1252" if _reads(line, "cp1252") else "latin-1"
    near = line[max(error.start - start - 20, 0) : error.start - start + 20].decode(guess, "replace").strip()
    number = data.count(b"\n", 0, error.start) + 1
    what = f"byte 0x{data[error.start]:02x} is not {error.encoding}"
    what = f"the file ends within a character of {error.encoding} (was it cut short?)" if cut else what
    what = f"{source}, line {number}, character {error.start - start + 1}: {what}"
    if cut and not data[: error.start].isascii():  # of which the other letters show that the encoding is right
        return f"{what}; fetch it again, or delete the character"
    return f"{what}; read as {guess} it says {near!r}: save the file as UTF-8, or pass {setting('encoding', guess)}"


def _reads(line: bytes, encoding: str) -> bool:
    try:
        return bool(line.decode(encoding)) or True
    except UnicodeDecodeError:
        return False


def _meant_as_text(path: Path) -> str:
    """What to do where the name reads like a sentence: it has blanks, and does not end as names of files do."""
    if " " not in str(path).strip() or re.fullmatch(r"\.\w+", path.suffix):
        return ""
    return f"; for one text pass a list: [{_start(path)!r}]"


def _start(path: Path) -> str:
    return str(path) if len(str(path)) <= 60 else f"{str(path)[:59]}…"


def _neighbour(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor a folder {path.parent})"
    return did_you_mean(path.name, (other.name for other in path.parent.iterdir()))
