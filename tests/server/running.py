"""A server on a free loopback port, for tests of any floor above it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from securechat.server.app import App, running
from securechat.server.config import Rate, ServerConfig
from securechat.server.rate_limit import NAMES

UNLIMITED = dict.fromkeys(NAMES, Rate(1e12, 1e12))
"""For ``rates``: tests of something else that goes faster than anybody may."""


def config_in(folder: Path, **options: object) -> ServerConfig:
    """A configuration whose files all lie in ``folder``."""
    return ServerConfig(
        **{
            "data": folder / "data",
            "certificate": folder / "server.pem",
            "host": "127.0.0.1",
            "port": 0,
            **options,
        }  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running_server(folder: Path, **options: object) -> AsyncIterator[App]:
    async with running(config_in(folder, **options)) as app:
        yield app


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what nobody tells: sockets of the kernel, a server's counters."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)
