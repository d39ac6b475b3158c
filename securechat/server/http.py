"""Metrics and health over HTTP/1.1 on 127.0.0.1: two paths, GET, one request per connection.

Small enough to be read in one go, so it is ours. A page in a browser on this machine can't get at
it: a request has to name this machine as its host, which a page of another name can't (DNS
rebinding), and what is answered is for no script's eyes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from securechat.server.errors import ConfigError
from securechat.server.faults import internal

ADDRESS: Final = "127.0.0.1"
HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What a request may call this machine, with any port."""

MAX_REQUEST: Final = 1024
"""Bytes up to the empty line: what a scraper sends is a third of it."""

REQUEST_SECONDS: Final = 5
ANSWER_SECONDS: Final = 10
MAX_CONNECTIONS: Final = 8
"""More, and the oldest that has not asked yet goes: nobody else of this machine keeps an asker out."""

log = logging.getLogger("securechat.server.http")


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: str
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Pages = Mapping[str, Callable[[], Awaitable[Page]]]


class HttpPort:
    """Serves pages by their path until it is closed."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: dict[asyncio.Task[None], None] = {}
        """Those that have not asked yet, oldest first."""
        self.port = 0

    async def open(self, port: int) -> None:
        """Listen; 0 takes a free port.

        :raises ConfigError: it can't be used
        """
        try:
            self._server = await asyncio.start_server(self._serve, ADDRESS, port, limit=MAX_REQUEST)
        except OSError as error:
            raise ConfigError(f"http_port {port}: {error.strerror}") from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        self._tasks.add(task)
        try:
            if self._has_room():
                self._silent[task] = None
                async with asyncio.timeout(REQUEST_SECONDS + ANSWER_SECONDS):
                    page, with_body = await self._answer(reader, task)
                    writer.write(_encoded(page, with_body=with_body))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # it went, or said nothing, or we are going: either way this is its end
        finally:
            self._tasks.discard(task)
            self._silent.pop(task, None)
            writer.close()

    def _has_room(self) -> bool:
        """For one that is counted already; somebody who only holds on makes room."""
        if len(self._tasks) <= MAX_CONNECTIONS:
            return True
        if not self._silent:
            return False
        oldest = next(iter(self._silent))
        del self._silent[oldest]
        oldest.cancel()
        return True

    async def _answer(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> tuple[Page, bool]:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Page("431 Request Header Fields Too Large", b""), True
        finally:
            self._silent.pop(task, None)
        asked = judge(head, frozenset(self._pages))
        if isinstance(asked, Page):
            return asked, True
        method, path = asked
        try:
            return await self._pages[path](), method == "GET"
        except Exception as error:  # noqa: BLE001 - a request's root: a mistake of ours ends it, not the server
            text = internal(log, f"the page {path}", error).refused.text
            return Page("500 Internal Server Error", f"{text}\n".encode()), True


def judge(head: bytes, paths: frozenset[str]) -> tuple[str, str] | Page:
    """Read a request up to its empty line; return method and path, or the answer that says no."""
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    first = lines[0].split(" ")
    headers = [line.partition(":") for line in lines[1:]]
    names = [name.lower() for name, colon, _ in headers if colon]
    if len(first) != 3 or first[2] not in {"HTTP/1.0", "HTTP/1.1"} or len(names) != len(headers):
        return Page("400 Bad Request", b"")
    hosts = [value.strip() for name, _, value in headers if name.lower() == "host"]
    if len(hosts) != 1 or not _is_here(hosts[0]):
        return Page("421 Misdirected Request", b"")
    method, path = first[0], first[1]
    if path not in paths:
        return Page("404 Not Found", b"")
    if method not in {"GET", "HEAD"}:
        return Page("405 Method Not Allowed", b"")
    return method, path


def _is_here(host: str) -> bool:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "0"
    return name.lower() in HOSTS and port.isascii() and port.isdigit()


def _encoded(page: Page, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status}\r\n"
        f"Content-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\n"
        "Connection: close\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Cross-Origin-Resource-Policy: same-origin\r\n"
        "\r\n"
    )
    return head.encode("ascii") + (page.body if with_body else b"")
