"""The two pages of the HTTP port. Metrics bring a library with them, which is imported here and only then."""

import asyncio
from typing import Final

from securechat.server.counters import Counters
from securechat.server.health import Health
from securechat.server.http import Page, Pages
from securechat.server.metrics import CONTENT_TYPE, render
from securechat.server.overview import Overview

METRICS: Final = "/metrics"
HEALTH: Final = "/healthz"


def make_pages(overview: Overview, counters: Counters, health: Health) -> Pages:
    """The pages by their path."""

    async def metrics() -> Page:
        status = await overview.status()
        return Page("200 OK", await asyncio.to_thread(render, status, counters), CONTENT_TYPE)

    async def healthz() -> Page:
        complaints = await health.complaints()
        if complaints:
            return Page("503 Service Unavailable", f"{' '.join(complaints)}\n".encode())
        return Page("200 OK", b"ok\n")

    return {METRICS: metrics, HEALTH: healthz}
