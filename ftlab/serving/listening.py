"""The process of a server: its socket, connections that say nothing, and its end."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ftlab.errors import UserError
from ftlab.serving.gate import Application

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECONDS = 5  # that an open connection may be idle between two requests


def bound(host: str, port: int) -> socket.socket:
    """Before the network is loaded, which takes long. Raises: UserError for an address that is not free."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"host={host}: no address of this machine ({error.strerror})") from None
    found = socket.socket(family, kind)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        way = "name another; port=0 takes one that is free"
        raise UserError(f"port={port}: cannot listen there on {host} ({error.strerror}); {way}") from None
    return found


def address_of(host: str, listening: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """HTTP, with connections closed whose request does not begin within `seconds`, which uvicorn leaves open."""

    class Impatient(H11Protocol):
        timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.watch()

        def connection_lost(self, exc: Exception | None) -> None:
            self.stop()
            super().connection_lost(exc)

        def watch(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:
                self.stop()
            elif self.timer is None:
                self.timer = self.loop.call_later(seconds, self.give_up)

        def stop(self) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

        def give_up(self) -> None:
            self.timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return Impatient


class Server(uvicorn.Server):
    """One that ends without raising its signal again: whoever asked for an end got one."""

    interrupted = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # no other one may be told of signals
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.interrupted = self.interrupted or sig == signal.SIGINT
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)  # a second Ctrl-C
        self.should_exit = True

    async def answer(self, listening: socket.socket, began: Callable[[], None]) -> None:
        """Until SIGTERM or Ctrl-C, or `should_exit`. began: is called once requests are answered."""
        serving = asyncio.create_task(self.serve(sockets=[listening]))
        while not (self.started or serving.done()):
            await asyncio.sleep(0.01)
        if self.started:
            began()
        await serving


def server(app: Application, receive_seconds: float, end_seconds: float) -> Server:
    """receive_seconds: until a connection says something; end_seconds: that running requests have in the end."""
    config = uvicorn.Config(
        app,
        http=impatient(receive_seconds),
        ws="none",
        lifespan="on",
        log_level="error",  # of a request that is not HTTP at all uvicorn would warn each time
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=SECONDS,
        timeout_graceful_shutdown=max(1, round(end_seconds)),
    )
    return Server(config)
