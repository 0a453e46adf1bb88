"""A served model at work: its predictions, its streams, its texts, and the thread that computes them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gatework.errors import DataError, GateworkError, OptionError
from gatework.serve.batches import Batches
from gatework.serve.journal import Journal
from gatework.serve.limits import Busy, Limits, TooLate
from gatework.serve.live import Live
from gatework.serve.served import Served
from gatework.serve.streams import Streams

T = TypeVar("T")
PIECE_SECONDS = 0.02  # of text that are generated before some is sent


class Service:
    """One model behind its name. Predictions and texts share a thread; steps are short and run in the event loop.

    service = Service(opened("layer", Path("layer.safetensors")), Limits())
    await service.batches.predict(rows)
    await service.close()
    """

    def __init__(self, served: Served, limits: Limits, delay: float = 0.002, state: Path | None = None):
        self.served, self.limits = served, limits
        self.worker = ThreadPoolExecutor(1, f"gatework {served.name}")
        self.batches = Batches(served.predict, self.worker, limits, delay)
        self.batches.together = served.together
        self.live: Live | None = None
        self.writers = 0
        self.sweeper: asyncio.Task[None] | None = None
        if served.stepper is not None:
            journal = None if state is None else Journal(state / served.name, served.hash)
            streams = Streams(served.stepper, limits, notes=journal)
            if journal is not None:
                journal.recover(streams)
            self.live = Live(streams, journal, delay)

    def can(self) -> list[str]:
        """What can be asked of the model."""
        more = {"stream": self.live, "generate": self.served.generate}
        return ["predict", *(what for what, there in more.items() if there is not None)]

    def about(self) -> dict[str, Any]:
        """What a client is told of the model."""
        served = self.served
        can = {what: what in self.can() for what in ("predict", "stream", "generate")}
        return {
            "name": served.name,
            "kind": served.kind,
            "hash": served.hash,
            "can": can,
            "why_not": served.lacks,
            "row": served.row,
            "step": served.step,
        }

    # ---- another model
    async def take(self, served: Served) -> None:
        """Answer from another model from now on; what is begun ends with the old one.

        Raises OptionError where clients would notice more than other answers, or streams go on with the old one.
        """
        ways = [(each.kind, each.row.get("description"), each.step, each.lacks) for each in (self.served, served)]
        if ways[0] != ways[1]:
            raise OptionError("the new one reads other rows or steps, or can do other things; restart the server")
        if self.live is not None:
            assert served.stepper is not None, "models that lack the same have the same"
            await self.live.turn(served.stepper, served.hash)
        self.served, self.batches.model = served, served.predict

    # ---- texts
    def options(self) -> Mapping[str, inspect.Parameter]:
        """What `generate` takes beside the prompt."""
        if self.served.generate is None:
            return {}
        found = inspect.signature(self.served.generate).parameters
        return {n: p for n, p in found.items() if n != "prompt" and p.kind != inspect.Parameter.VAR_KEYWORD}

    async def write(self, prompt: str, how: Mapping[str, Any]) -> AsyncIterator[str]:
        """Text, piece by piece; what is wrong with prompt or options is raised before the first piece."""
        if odd := [name for name in how if name not in self.options()]:
            raise OptionError(
                f"generate takes no {odd[0]!r:.60}; it takes {', '.join(self.options()) or 'a prompt alone'}"
            )
        if self.writers >= self.limits.writers:
            raise Busy(f"{self.writers} texts are being written; come later")
        self.writers, until = self.writers + 1, time.monotonic() + self.limits.text
        try:
            pieces, text = await self._in_thread(self._begun, prompt, how)
            while text:
                yield text
                if time.monotonic() > until:
                    raise TooLate(f"a text may take {self.limits.text:g} s; ask for a shorter one")
                text = await self._in_thread(_some, pieces)
        finally:
            self.writers -= 1

    def _begun(self, prompt: str, how: Mapping[str, Any]) -> tuple[Iterator[str], str]:
        """The pieces to come, and the first ones."""
        assert self.served.generate is not None, "asked of models that write alone"
        try:
            pieces = iter(self.served.generate(prompt, **how))
            return pieces, _some(pieces)
        except GateworkError:
            raise
        except (TypeError, ValueError, OverflowError) as error:  # of numpy and Python, for settings out of bounds
            raise DataError(f"generate cannot use these options: {error}") from error

    async def _in_thread(self, function: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.worker, function, *given)

    # ---- counting and ending
    @property
    def broken(self) -> bool:
        """Whether the state of the streams could not be written of late."""
        return self.live is not None and self.live.renewing

    def start(self) -> None:
        """Begin what runs beside the requests."""
        if self.live is not None:
            self.sweeper = asyncio.get_running_loop().create_task(self.live.keep_swept())

    def counts(self) -> dict[str, float]:
        """What is counted, by the name of its metric."""
        found: dict[str, float] = {"rows_waiting": self.batches.waiting, "rows": self.batches.rows}
        found |= {"batches": self.batches.batches, "writers": self.writers}
        if self.live is not None:
            streams = self.live.streams
            found |= {"streams": len(streams.sessions), "streams_connected": len(self.live.there)}
            found |= {"inputs_waiting": streams.waiting, "steps": self.live.steps, "ticks": self.live.ticks}
            found["state_bytes"] = len(streams.sessions) * streams.places.row_bytes
        return found

    def refused(self) -> Counter[str]:
        found = Counter(self.batches.refused)
        return found + self.live.streams.refused if self.live is not None else found

    async def close(self) -> None:
        if self.sweeper is not None:
            self.sweeper.cancel()
        if self.live is not None:
            await self.live.close()
        self.worker.shutdown()


def _some(pieces: Iterator[str]) -> str:
    """What comes within a short time, at least one piece; "" at the end."""
    found, until = [], time.monotonic() + PIECE_SECONDS
    for piece in pieces:
        found.append(piece)
        if piece and time.monotonic() > until:
            break
    return "".join(found)
