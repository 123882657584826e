"""Limits: how many requests, how many bytes, how long."""

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from pykeen_mmkg.serving import limits as module
from pykeen_mmkg.serving.limits import Limits, LimitsMiddleware, RateLimit


@given(st.lists(st.floats(0, 2), min_size=1, max_size=40), st.sampled_from([1.0, 3.0, 0.5]))
def test_rate(steps: list[float], rate: float) -> None:
    """Never more than the burst and what the time allows; who is told to wait may ask after that time."""
    now, allowed = 0.0, 0
    limit = RateLimit(rate, clock=lambda: now)
    for step in steps:
        now += step
        wait = limit.take("x")
        allowed += wait == 0
        assert allowed <= max(1.0, 2 * rate) + rate * (now - steps[0]) + 1e-6
        if wait:
            now += wait + 1e-6
            assert limit.take("x") == 0
            allowed += 1


def test_clients(monkeypatch) -> None:
    """One client's requests are not another's; those that asked longest ago are forgotten; zero is no limit."""
    limit = RateLimit(1, clock=lambda: 0.0)
    assert [limit.take("a") > 0 for _ in range(3)] == [False, False, True]
    assert limit.take("b") == 0
    monkeypatch.setattr(module, "MAX_CLIENTS", 2)
    limit.take("c")
    assert len(limit._clients) == 2 and limit.take("a") == 0
    free = RateLimit(0)
    assert not any(free.take("a") for _ in range(1000))


async def _call(parts: list[bytes], headers=(), stalled=False, **limits) -> tuple[int, dict, list[bytes]]:
    """Send a request in parts; return the status, the answer's headers, and the body that the application has seen."""
    seen: list[bytes] = []
    sent: list[dict] = []
    rest = list(parts)

    async def app(scope, receive, send):
        message = await receive()
        seen.append(message["body"])
        assert not message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b""})

    async def receive():
        if not rest:
            assert stalled
            await asyncio.sleep(60)
        return {"type": "http.request", "body": rest.pop(0), "more_body": bool(rest) or stalled}

    async def send(message):
        sent.append(message)

    middleware = LimitsMiddleware(app, Limits(**limits))
    await middleware({"type": "http", "headers": list(headers), "client": ("1.2.3.4", 5)}, receive, send)
    if sent[0]["status"] >= 400:
        assert set(json.loads(sent[1]["body"])) == {"error"}
    return sent[0]["status"], dict(sent[0]["headers"]), seen


def test_body() -> None:
    """A body is passed on whole, or not at all: by what it says, by what it is, and by how long it takes."""
    status, headers, seen = asyncio.run(_call([b"ab", b"cd"], max_size=4))
    assert (status, seen) == (200, [b"abcd"])
    assert headers[b"x"] == b"y" and headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert asyncio.run(_call([b"ab", b"cde"], max_size=4))[::2] == (413, [])
    assert asyncio.run(_call([], [(b"content-length", b"5")], max_size=4))[::2] == (413, [])
    assert asyncio.run(_call([b"a"], stalled=True, patience=0.05))[::2] == (408, [])
