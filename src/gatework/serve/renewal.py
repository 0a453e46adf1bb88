"""New models without a restart: SIGHUP reads the files again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from gatework.serve.served import opened
from gatework.serve.service import Service


class Renewal:
    """Opens files again and hands services what is new in them; `say` is told of each.

        renewal = Renewal(services, paths, print)
        await renewal.run()

    A file that cannot be read, or a model that clients would not take for the same, leaves the old one at work.
    """

    def __init__(self, services: Mapping[str, Service], paths: Mapping[str, Path], say: Callable[[str], None]):
        self.services, self.paths, self.say = services, paths, say
        self.one = asyncio.Lock()
        self.task: asyncio.Task[None] | None = None  # the loop itself holds tasks weakly

    def begin(self) -> None:
        """For a signal: `run`, beside the requests."""
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        async with self.one:
            for name, path in self.paths.items():
                self.say(f"{name}: {await self._renewed(self.services[name], path)}")

    async def _renewed(self, service: Service, path: Path) -> str:
        try:
            served = await asyncio.to_thread(opened, service.served.name, path)
            if served.hash == service.served.hash:
                return f"{path} is as it was"
            await service.take(served)
        except Exception as error:  # whatever a file does, the server lives on
            return f"the old model answers still: {error}"
        return f"answers come from the new {path}"
