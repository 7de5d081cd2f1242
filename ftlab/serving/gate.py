"""What stands before the application: who may ask, how much may come in how long, and what each answer bears."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from ftlab.files.paths import short
from ftlab.serving.counters import Counters
from ftlab.serving.limits import Limits, RefusedError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

PREDICT = "/predict"
PAGE = ("/", "/page.js", "/page.css")
OPEN = (*PAGE, "/health", "/ready")  # without the token: a page has to be there before one can be typed into it
KNOWN = (*OPEN, PREDICT, "/info", "/metrics", "/openapi.json")
LINGER = 2.0  # seconds in which what is refused is still read, so that whoever sends it comes to read the answer
LINGERED = 2**27  # bytes, likewise
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """hosts: names under which the server may be called, () for any; origins: of other pages that may ask."""

    token: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def refuses(self, path: str, method: str, headers: dict[str, str]) -> RefusedError | None:
        host = headers.get("host", "")
        if self.hosts and name_of(host) not in self.hosts:
            return RefusedError(421, f"this server is not called '{short(name_of(host))}'; see allowed_hosts=")
        origin = headers.get("origin")
        if origin and origin not in self.origins and origin.partition("://")[2] != host:
            return RefusedError(403, f"pages of '{short(origin)}' may not ask this server; see allowed_origins=")
        asks_first = method == "OPTIONS" and origin in self.origins
        if self.token is None or path in OPEN or asks_first or is_token(headers.get("authorization", ""), self.token):
            return None
        said = "the header 'Authorization: Bearer TOKEN' is missing, or its token is another"
        return RefusedError(401, said, {"www-authenticate": "Bearer"})


def name_of(host: str) -> str:
    """Without the port: [::1]:8000 is ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def is_token(header: str, token: str) -> bool:
    scheme, _, given = header.partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: Application, access: Access, limits: Limits, counters: Counters) -> None:
        self.app, self.access, self.limits, self.counters = app, access, limits, counters
        self.running = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, headers = scope["path"], {name.decode("latin1"): v.decode("latin1") for name, v in scope["headers"]}
        answer = Answer(send)
        began = perf_counter()
        try:
            if refusal := self.refuses(scope, headers):
                await linger(receive, headers)
                await refuse(answer.send, refusal)
            elif path == PREDICT:
                await self._counted(scope, Incoming(receive, self.limits, headers).receive, answer.send)
                self.counters.seconds.observe(perf_counter() - began)
            else:
                await self.app(scope, Incoming(receive, self.limits, headers).receive, answer.send)
        finally:
            shown = path if path in KNOWN else "other"
            self.counters.requests.labels(shown, str(answer.status)).inc()

    def refuses(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> RefusedError | None:
        """Why a request is not let in, by its head alone."""
        if refusal := self.access.refuses(scope["path"], scope["method"], headers):
            return refusal
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.bytes:
            return too_large(self.limits)
        if scope["path"] == PREDICT and self.running >= self.limits.requests:
            return RefusedError(429, "too many requests at once; come again in a second", {"retry-after": "1"})
        return None

    async def _counted(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.running += 1
        try:
            with self.counters.running.track_inprogress():
                await self.app(scope, receive, send)
        finally:
            self.running -= 1


class Incoming:
    """The body of a request, no more than `limits` allow, and no later."""

    def __init__(self, receive: Receive, limits: Limits, headers: dict[str, str]) -> None:
        self.source, self.limits, self.headers = receive, limits, headers
        self.bytes, self.whole = 0, False
        self.until = asyncio.get_running_loop().time() + limits.receive_seconds

    async def receive(self) -> Message:
        """Raises: RefusedError."""
        if self.whole:  # all that may come is the news that nobody waits any more
            return await self.source()
        try:
            async with asyncio.timeout_at(self.until):
                message = await self.source()
        except TimeoutError:
            said = f"the request took longer than {self.limits.receive_seconds:g} seconds to arrive"
            raise RefusedError(408, said, {"connection": "close"}) from None
        self.bytes += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.bytes > self.limits.bytes:
            if not self.whole:
                await linger(self.source, self.headers)
            raise too_large(self.limits)
        return message


class Answer:
    """Whatever is answered, with the headers of all answers."""

    def __init__(self, send: Send) -> None:
        self.to, self.status = send, 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message["headers"]}
            own = ((name.encode(), value.encode()) for name, value in HEADERS.items())
            message = {**message, "headers": [*message["headers"], *(one for one in own if one[0] not in given)]}
        await self.to(message)


def too_large(limits: Limits) -> RefusedError:
    return RefusedError(413, f"the request is too large; at most {limits.megabytes:g} MB are accepted")


async def linger(receive: Receive, headers: dict[str, str]) -> None:
    """Read what is not wanted, for a while: a connection that is closed before takes the answer with it."""
    if headers.get("expect", "").lower() == "100-continue":
        return  # it is not sent unless it is asked for
    read = 0
    try:
        async with asyncio.timeout(LINGER):
            while read < LINGERED:
                message = await receive()
                read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


async def refuse(send: Send, refusal: RefusedError) -> None:
    body = json.dumps({"error": refusal.said}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
