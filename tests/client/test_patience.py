"""When long work over a bad line tries again, and when it gives up."""

import pytest

from securechat.client.errors import Disconnected, FileRefused, RefusedByServer, Replaced
from securechat.client.intents import LONGEST_WAIT
from securechat.client.patience import LONGEST_SECONDS, MAX_MISTAKES, Patience


class Clock:
    def __init__(self, over: Exception | None = None) -> None:
        self.paused: list[float] = []
        self.over = over

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    async def connection(self) -> None:
        if self.over is not None:
            raise self.over

    def patience(self) -> Patience:
        return Patience(self.connection, pause=self.pause)


async def test_a_broken_line_is_waited_for_longer_and_longer_for_ever() -> None:
    clock = Clock()
    patience = clock.patience()
    for _ in range(100):
        await patience.after(Disconnected("gone"))
    assert clock.paused[0] < 0.25
    assert LONGEST_SECONDS / 2 <= clock.paused[-1] <= LONGEST_SECONDS


async def test_after_progress_the_waits_are_short_again() -> None:
    clock = Clock()
    patience = clock.patience()
    for _ in range(20):
        await patience.after(Disconnected("gone"))
    patience.progressed()
    await patience.after(Disconnected("gone"))
    assert clock.paused[-1] < 0.25


async def test_a_server_that_says_when_is_not_asked_before() -> None:
    clock = Clock()
    await clock.patience().after(RefusedByServer("limited", retry_after=7))
    await clock.patience().after(RefusedByServer("busy", retry_after=60))
    assert 7 < clock.paused[0] < 8
    assert 60 < clock.paused[1] < 61


@pytest.mark.parametrize("error", [RefusedByServer("quota"), RefusedByServer("no_file"), FileRefused("full")])
async def test_a_definite_no_is_not_tried_again(error: Exception) -> None:
    clock = Clock()
    with pytest.raises(type(error)):
        await clock.patience().after(error)  # type: ignore[arg-type]
    assert clock.paused == []


async def test_a_servers_mistakes_are_forgiven_a_few_times() -> None:
    patience = Clock().patience()
    for _ in range(MAX_MISTAKES - 1):
        await patience.after(RefusedByServer("internal"))
    with pytest.raises(RefusedByServer):
        await patience.after(RefusedByServer("internal"))


async def test_a_session_that_is_over_ends_the_wait() -> None:
    with pytest.raises(Replaced):
        await Clock(Replaced("elsewhere")).patience().after(Disconnected("gone"))


async def test_o_05_a_server_that_asks_for_ever_is_asked_again() -> None:
    clock = Clock()
    await clock.patience().after(RefusedByServer("limited", retry_after=2**62))
    assert LONGEST_WAIT < clock.paused[0] < LONGEST_WAIT + 1
