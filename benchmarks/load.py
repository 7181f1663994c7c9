"""Sends prepared messages over many kept connections at once, and times the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

_TOO_LONG = 120.0


@dataclass(frozen=True)
class Load:
    """What a run took.

    Args:
        wall: seconds from the first request to the last answer.
        latencies: seconds of each request, from its first octet to the last one of its answer.
    """

    wall: float
    latencies: list[float]


def send(url: str, messages: list[bytes], *, action: str, connections: int) -> Load:
    """Send each message once, over *connections* connections, the next one as soon as an answer is there.

    Raises:
        RuntimeError: an answer has another status than 200.
    """
    return asyncio.run(_send(url, messages, action, connections))


async def _send(url: str, messages: list[bytes], action: str, connections: int) -> Load:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: text/xml; charset=utf-8\r\n"
        f'SOAPAction: "{action}"\r\nContent-Length: '
    ).encode()
    requests = iter([b"%s%d\r\n\r\n%s" % (head, len(message), message) for message in messages])
    latencies: list[float] = []
    opened = [await asyncio.open_connection(parts.hostname, parts.port) for _ in range(connections)]
    start = time.perf_counter()
    await asyncio.gather(*(_work(reader, writer, requests, latencies) for reader, writer in opened))
    wall = time.perf_counter() - start
    for _, writer in opened:
        writer.close()
        await writer.wait_closed()
    return Load(wall, latencies)


async def _work(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: Iterator[bytes],
    latencies: list[float],
) -> None:
    for request in requests:
        start = time.perf_counter()
        writer.write(request)
        await asyncio.wait_for(_answer(reader), _TOO_LONG)
        latencies.append(time.perf_counter() - start)


async def _answer(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"the service answered with another status than 200: {body[:500]!r}")
