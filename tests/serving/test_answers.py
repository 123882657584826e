"""The cache of answers: kept, shared, bounded."""

import asyncio
import threading

import pytest

from pykeen_mmkg.serving.answers import OVERHEAD, AnswerCache, BusyError


def test_kept_and_forgotten() -> None:
    """What was asked for last stays, within the bytes; what failed or is too large is not kept."""

    async def run() -> None:
        computed: list[str] = []
        cache = AnswerCache(2 * (OVERHEAD + 10))

        async def ask(key: str, size: int = 10) -> bytes:
            def compute() -> bytes:
                computed.append(key)
                return key.encode() * size

            return await cache.get(key, compute)

        for key in "ababacaa":
            assert await ask(key) == key.encode() * 10
        assert computed == ["a", "b", "c"] and len(cache) == 2
        await ask("b")
        assert computed.pop() == "b"
        await ask("d", 10_000)
        await ask("d", 10_000)
        assert computed[-2:] == ["d", "d"]
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await cache.get("e", lambda: int("no"))  # type: ignore[arg-type,return-value]

    asyncio.run(run())


def test_together() -> None:
    """The same question at the same time is answered once, also if one asker goes away; others wait in line."""

    async def run() -> None:
        cache, go, computed = AnswerCache(10_000, max_waiting=2), threading.Event(), []

        def compute() -> bytes:
            computed.append(1)
            assert go.wait(10)
            return b"x"

        first = [asyncio.ensure_future(cache.get("a", compute)) for _ in range(4)]
        await asyncio.sleep(0)
        other = asyncio.ensure_future(cache.get("b", compute))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 other questions"):
            await cache.get("c", compute)
        first.pop(0).cancel()
        go.set()
        assert await asyncio.gather(*first, other) == [b"x"] * 4
        assert len(computed) == 2
        assert await cache.get("c", compute) == b"x"

    asyncio.run(run())
