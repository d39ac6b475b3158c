"""Looking after what the server hints at: that a device waits to be linked, that somebody's devices changed.

A hint costs the server nothing and us a question, so however many come there is one look at a time, and
another one after it for all that came meanwhile. Accounts are remembered by name, each once, and those alone
that mean anything here: a server can make up as many names as it likes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from securechat.client.account_news import AccountNews
from securechat.client.carriage import NOT_NOW
from securechat.client.contacts import concerns
from securechat.client.errors import RefusedByServer
from securechat.client.patience import seconds_until_again
from securechat.client.tasks import Tasks
from securechat.protocol.messages import AccountChanged, LinksChanged

BEGUN_ANEW: Final = 1
"""The serial that is told of an account that was begun anew: no later one says that it was."""


class OneAtATime:
    """Work that is done again for whoever asked while it was done, once for all of them."""

    def __init__(
        self,
        tasks: Tasks,
        work: Callable[[], Awaitable[None]],
        name: str,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tasks = tasks
        self._work = work
        self._name = name
        self._pause = pause
        self._wanted = False
        self._running: asyncio.Task[None] | None = None

    def kick(self) -> None:
        """Have it done from the beginning, now or after what is under way."""
        self._wanted = True
        if self._running is None:
            self._running = self._tasks.spawn(self._run(), self._name)
            self._running.add_done_callback(self._ended)

    def offline(self) -> None:
        """There is no connection: what waits for the server's time waits for the next one."""
        if self._running is not None:
            self._running.cancel()
        self._wanted, self._running = False, None

    async def _run(self) -> None:
        failures = 0
        while self._wanted:
            self._wanted = False
            try:
                await self._work()
                failures = 0
            except RefusedByServer as no:
                if no.code not in NOT_NOW:
                    raise
                failures += 1
                self._wanted = True
                await self._pause(seconds_until_again(failures, asked=no.retry_after))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self._running is task:
            self._running = None
            if self._wanted:  # asked for while it failed, or between its last look and its end
                self.kick()


class Hints:
    """For the engine, which hears them."""

    def __init__(
        self, tasks: Tasks, news: AccountNews, look_for_links: Callable[[], Awaitable[None]]
    ) -> None:
        self._news = news
        self._changed: dict[str, int] = {}
        self._accounts = OneAtATime(tasks, self._look_at_accounts, "account")
        self._links = OneAtATime(tasks, look_for_links, "linking")

    def take(self, hint: AccountChanged | LinksChanged) -> None:
        if isinstance(hint, LinksChanged):
            self.links()
        elif concerns(self._news.changes.db, hint.user, own=self._news.device.user):
            before = self._changed.get(hint.user, hint.serial)
            anew = BEGUN_ANEW in (before, hint.serial)
            self._changed[hint.user] = BEGUN_ANEW if anew else max(before, hint.serial)
            self._accounts.kick()

    def links(self) -> None:
        """See what devices wait to be linked."""
        self._links.kick()

    def offline(self) -> None:
        """What changed meanwhile is asked for when we are back."""
        self._changed.clear()
        self._accounts.offline()
        self._links.offline()

    async def _look_at_accounts(self) -> None:
        while self._changed:
            user = next(iter(self._changed))
            await self._news.changed(user, self._changed.pop(user))
