"""Background tasks end, and their failure is told once."""

import asyncio

import pytest

from securechat.client.errors import Disconnected, Unreachable
from securechat.client.tasks import Tasks


async def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "told"), [(Disconnected("gone"), 0), (Unreachable("no"), 1), (ZeroDivisionError(), 1)]
)
async def test_a_lost_connection_is_quiet_and_everything_else_is_told(error: Exception, told: int) -> None:
    failures: list[Exception] = []
    tasks = Tasks(failures.append)
    await tasks.spawn(failing(error), "test")
    await asyncio.sleep(0)

    assert failures == [error][:told]
    assert tasks._running == set(), "one that has ended is not kept"


async def test_closing_ends_what_runs_and_what_has_not_begun() -> None:
    failures: list[Exception] = []
    tasks = Tasks(failures.append)
    begun = tasks.spawn(asyncio.sleep(3600), "begun")
    await asyncio.sleep(0)
    fresh = tasks.spawn(asyncio.sleep(3600), "fresh")

    await tasks.close()

    assert begun.done()
    assert fresh.done()
    assert failures == []
