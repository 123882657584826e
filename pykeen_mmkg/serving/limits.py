"""Bounds on what a client may ask of the application: bytes, seconds and requests; what is beyond is refused early."""

import asyncio
import dataclasses
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["Limits", "LimitsMiddleware", "RateLimit", "error_body"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: clients whose rate is remembered
MAX_CLIENTS = 10_000

#: what each answer tells a browser
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
#: for whatever is no page: nothing may be loaded or run
NO_CONTENT = b"default-src 'none'; frame-ancestors 'none'"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a client may ask."""

    #: bytes of a request's body
    max_size: int = 8 << 20
    #: pixels of a picture that is brought along
    max_pixels: int = 1 << 24
    #: requests a second for each client, and twice as many at once; zero for any number
    rate: float = 50.0
    #: answers to a query
    max_answers: int = 100
    #: characters of a name, and of a text
    max_name: int = 500
    max_text: int = 10_000
    #: seconds in which the body of a request has to arrive
    patience: float = 20.0
    #: different questions that may wait for the model
    max_waiting: int = 64
    #: bytes of answers that are kept
    cache_size: int = 64 << 20


class RateLimit:
    """Requests by client: so many a second, and twice as many at once."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Initialize the limit.

        :param rate: requests a second; zero for any number
        :param clock: tells the seconds
        """
        self.rate, self.burst, self.clock = rate, max(1.0, 2 * rate), clock
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Count a request.

        :param client: who asks
        :returns: zero, or the seconds after which the client may ask again
        """
        if self.rate <= 0:
            return 0.0
        now = self.clock()
        left, since = self._clients.pop(client, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.rate)
        allowed = left >= 1
        self._clients[client] = (left - 1 if allowed else left, now)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.rate


def error_body(message: str) -> bytes:
    """Return the body of a refusal."""
    return json.dumps({"error": message}).encode()


class LimitsMiddleware:
    """Counts requests, reads their bodies whole up to a size, and adds headers for browsers to the answers."""

    def __init__(self, app: Callable[..., Awaitable[None]], limits: Limits) -> None:
        """Initialize the middleware.

        :param app: the application
        :param limits: the limits
        """
        self.app, self.limits, self.rates = app, limits, RateLimit(limits.rate)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wait = self.rates.take((scope.get("client") or ("unknown",))[0])
        if wait > 0:
            retry = (b"retry-after", str(int(wait) + 1).encode())
            await _refuse(send, 429, f"More than {self.limits.rate:g} requests a second: wait, and ask again.", retry)
            return
        try:
            body = await asyncio.wait_for(self._body(scope, receive), self.limits.patience)
        except ValueError as error:
            await _refuse(send, 413, str(error))
            return
        except (TimeoutError, asyncio.TimeoutError):
            await _refuse(send, 408, f"The body of the request did not arrive in {self.limits.patience:g} seconds.")
            return
        if body is None:  # the client is gone
            return
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_security(message.get("headers") or [])
            await send(message)

        await self.app(scope, replay, guarded)

    async def _body(self, scope: MutableMapping[str, Any], receive: Receive) -> bytes | None:
        """Read a body; without a message of the server where it is larger than is said to be."""
        too_large = f"The request has more than {self.limits.max_size} bytes: send less."
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self.limits.max_size:
                raise ValueError(too_large)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.limits.max_size:
                raise ValueError(too_large)
            if not message.get("more_body"):
                return b"".join(parts)


def _with_security(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    own = {name for name, _ in headers}
    policy = [] if b"content-security-policy" in own else [(b"content-security-policy", NO_CONTENT)]
    return [*headers, *SECURITY, *policy]


async def _refuse(send: Send, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
    own = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": _with_security(own)})
    await send({"type": "http.response.body", "body": error_body(message)})
