"""Works through messages: those of a device one after another, devices beside each other.

A message whose work raises is handed to ``on_error`` and the device goes on with its next one: what
a stranger may cause must not end more than his own message. Refuses to know what the work is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ingest.gate import Gate
from ingest.raw_progress import Item


@dataclass(slots=True)
class Chain:
    """Messages of one device, the first of them in work; ``gate`` is that of its codec."""

    items: deque[Item] = field(default_factory=deque)
    gate: Gate | None = None

    def stand_before(self, gate: Gate) -> None:
        """All of it is for this codec."""
        if gate is not self.gate:
            self.leave()
            self.gate = gate
            gate.held += len(self.items)

    def leave(self) -> None:
        """None of it is for a codec."""
        if self.gate is not None:
            self.gate.held -= len(self.items)
        self.gate = None

    def add(self, item: Item) -> None:
        """One more."""
        self.items.append(item)
        if self.gate is not None:
            self.gate.held += 1

    def drop_first(self) -> None:
        """The first one is done."""
        self.items.popleft()
        if self.gate is not None:
            self.gate.held -= 1


class DeviceChains:
    """``work`` on a message ends when its device may go on; close when nothing comes any more."""

    def __init__(
        self,
        work: Callable[[Item, Chain], Awaitable[None]],
        on_error: Callable[[Item, BaseException], None],
    ) -> None:
        self._work, self._on_error = work, on_error
        self._chains: dict[str, Chain] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, item: Item) -> Chain | None:
        """The chain of the message's device, if it is at work."""
        return self._chains.get(item.device)

    def add(self, item: Item) -> None:
        """Work on this message when those of its device before it are done."""
        chain = self._chains.get(item.device)
        if chain is not None:
            chain.add(item)
            return
        chain = self._chains[item.device] = Chain(deque([item]))
        self._begin(item.device, chain)

    async def close(self) -> None:
        """Give up all work that is not done."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, device: str, chain: Chain) -> None:
        task = asyncio.create_task(self._work_through(device, chain), name=f"translate-{device}")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, device, chain))

    async def _work_through(self, device: str, chain: Chain) -> None:
        while chain.items:
            await self._work(chain.items[0], chain)
            chain.drop_first()
            await asyncio.sleep(0)
        chain.leave()
        del self._chains[device]

    def _ended(self, task: asyncio.Task[None], device: str, chain: Chain) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        failed = chain.items[0]
        chain.drop_first()
        self._on_error(failed, error)
        if chain.items:
            self._begin(device, chain)
        else:
            chain.leave()
            del self._chains[device]
