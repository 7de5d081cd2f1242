"""From a request to its records: read, prepared in threads, answered in batches with those of other requests."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.requests import Request

from ftlab.errors import UserError, shorten
from ftlab.predictor import batches
from ftlab.serving.batching import Batcher
from ftlab.serving.counters import Counters
from ftlab.serving.engine import Engine, check_finite, records
from ftlab.serving.limits import Limits, RefusedError
from ftlab.serving.reading import Sent, sent, settings_of

Settings = tuple[tuple[str, Any], ...]


class Service:
    def __init__(
        self, engine: Engine, limits: Limits, counters: Counters, max_batch: int, max_wait: float, threads: int
    ) -> None:
        """max_wait: seconds; threads: that decode and prepare inputs while the network runs."""
        self.engine, self.limits, self.counters = engine, limits, counters
        self.max_batch, self.max_wait, self.threads = max_batch, max_wait, threads
        self.ready = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While requests may come."""
        self.batcher = Batcher(
            partial(records, self.engine), self.max_batch, self.max_wait, self.counters.batches.observe
        )
        self.readers = ThreadPoolExecutor(self.threads, "reader")
        worker = asyncio.create_task(self.batcher.work())
        self.ready = True
        try:
            yield
        finally:
            self.ready = False
            worker.cancel()
            self.readers.shutdown(cancel_futures=True)
            self.batcher.thread.shutdown()

    async def predict(self, request: Request) -> list[dict[str, Any]]:
        """One record an input, in order. Raises: RefusedError."""
        settings = settings_of(request.query_params.multi_items(), self.engine.task)
        inputs = await sent(request, self.engine.preprocessing, self.limits)
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                several = [await self._answers(chunk, settings) for chunk in batches(inputs, self.max_batch)]
        except TimeoutError:
            said = f"no answer within {self.limits.answer_seconds:g} seconds; come again, with fewer inputs at once"
            raise RefusedError(503, said, {"retry-after": "5"}) from None
        self.counters.inputs.inc(len(inputs))
        return [record for chunk in several for record in chunk]

    async def _answers(self, inputs: list[Sent], settings: Settings) -> list[dict[str, Any]]:
        """Those of a chunk, so that no more of a large request is decoded than goes through the network at once."""
        answers = await asyncio.gather(*(self._answer(one, settings) for one in inputs), return_exceptions=True)
        for one in answers:
            if isinstance(one, BaseException):
                raise one
        return answers  # type: ignore[return-value]  # the rest are records

    async def _answer(self, one: Sent, settings: Settings) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.batcher.coming += 1
        try:
            ready = await loop.run_in_executor(self.readers, lambda: self.engine.prepared(one.read()))
        except UserError as error:
            raise RefusedError(422, f"{one.called}: {shorten(str(error))}") from None
        finally:
            self.batcher.coming -= 1
        try:
            return check_finite(await self.batcher.answer(ready, settings))
        except UserError as error:
            raise RefusedError(422, f"{one.called}: {shorten(str(error))}") from None
