"""Inputs of different requests go through the network together: one pass of 32 costs far less than 32 passes."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Job:
    """An input that is prepared, what is asked of its answer, and where that goes."""

    ready: Any
    settings: tuple[tuple[str, Any], ...]  # of Task.describe
    answer: asyncio.Future[dict[str, Any]] = field(compare=False)


Run = Callable[[Sequence[Job]], Sequence[dict[str, Any]]]


class Batcher:
    """One thread runs the network; what comes meanwhile is its next batch.

    An idle network waits for a batch to fill up, `max_wait` seconds at most, and only while other inputs are `coming`.
    """

    def __init__(self, run: Run, max_batch: int, max_wait: float, seen: Callable[[int], None]) -> None:
        """run: records of several jobs, in another thread; seen: is told the size of each batch."""
        self.run, self.max_batch, self.max_wait, self.seen = run, max_batch, max_wait, seen
        self.coming = 0  # inputs that are being read and prepared
        self.queue: asyncio.Queue[Job] = asyncio.Queue()
        self.thread = ThreadPoolExecutor(1, "network")

    async def answer(self, ready: Any, settings: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
        """The record of one input. Raises: what `run` raises."""
        job = Job(ready, settings, asyncio.get_running_loop().create_future())
        self.queue.put_nowait(job)
        return await job.answer

    async def work(self) -> None:
        """Answer jobs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            jobs = [one for one in await self._batch() if not one.answer.done()]  # some gave up waiting
            if not jobs:
                continue
            self.seen(len(jobs))
            try:
                records = await loop.run_in_executor(self.thread, self.run, jobs)
            except Exception as error:
                for one in jobs:
                    if not one.answer.done():
                        one.answer.set_exception(error)
                continue
            for one, record in zip(jobs, records, strict=True):
                if not one.answer.done():
                    one.answer.set_result(record)

    async def _batch(self) -> list[Job]:
        jobs = [await self.queue.get()]
        until = asyncio.get_running_loop().time() + self.max_wait
        while len(jobs) < self.max_batch:
            if not self.queue.empty():
                jobs.append(self.queue.get_nowait())
                continue
            left = until - asyncio.get_running_loop().time()
            if not self.coming or left <= 0:
                break
            try:
                jobs.append(await asyncio.wait_for(self.queue.get(), left))
            except TimeoutError:
                break
        return jobs
