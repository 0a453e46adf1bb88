"""Lines of standard input as they arrive, so that answers do not wait for the last one."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from queue import Queue
from threading import Thread
from typing import TextIO

from gatework.errors import DataError

TOGETHER = 1_000  # most lines of a group
Arrived = str | Exception | None  # a line; what went wrong; the end


def arriving(stream: TextIO) -> Iterator[list[str]]:
    """The lines of a stream, without their ends, in groups: those that are there by the time they are asked for.

    A person who types gets an answer to each line; of a long file, lines of like length can be worked on together.
    """
    queue: Queue[Arrived] = Queue(TOGETHER)
    Thread(target=_listen, args=(stream, queue), daemon=True).start()
    while isinstance(line := queue.get(), str):
        group = [line]
        while len(group) < TOGETHER and not queue.empty() and isinstance(line := queue.get(), str):
            group.append(line)
        yield group
        if not isinstance(line, str):
            break
    if isinstance(line, Exception):
        raise line


def _listen(stream: TextIO, queue: Queue[Arrived]) -> None:
    """Puts the lines into the queue, then the end; a thread's own exceptions would be lost."""
    try:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # so that lines before one that cannot be read come through
        for number, line in enumerate(stream, 1):
            queue.put(_readable(line.removeprefix("\ufeff") if number == 1 else line, number))
        queue.put(None)
    except Exception as error:
        queue.put(error)


def _readable(line: str, number: int) -> str:
    """A line without its end. Bytes that are no text were read as halves of characters."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        where = f"standard input, line {number}, character {error.start + 1}"
        raise DataError(
            f"{where}: byte 0x{ord(line[error.start]) & 0xFF:02x} is not UTF-8; write the input in UTF-8, or give a "
            "file with its encoding"
        ) from None
    return line.rstrip("\r\n")
