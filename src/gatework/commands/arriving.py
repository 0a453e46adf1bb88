"""Lines of standard input as they arrive, so that answers do not wait for the last one."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Queue
from threading import Thread
from typing import TextIO

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
        for line in stream:
            queue.put(line.rstrip("\r\n"))
        queue.put(None)
    except Exception as error:
        queue.put(error)
