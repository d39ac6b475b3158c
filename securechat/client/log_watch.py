"""Watching the server's key log: at each login, and whenever somebody's keys are to be believed.

One task asks, one question after the other, so that each head is asked for as an extension of the last. What
an answer must be is judged by ``log_answers``; here is what is asked and when:

- at each login a newer head, which must extend ours, and our own label, whose every entry we must have made;
- whoever is wanted: people met, or to be sent to (``key_log.wanted``);
- at distinguished sizes that what was shown has stayed;
- how heads that others were shown fit to ours.
"""

import asyncio
import contextlib
import functools
import itertools
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from securechat.client import key_log, statements
from securechat.client.change import Change, Changes
from securechat.client.dates import Dates
from securechat.client.device import Clock, Device
from securechat.client.errors import RefusedByServer
from securechat.client.log_answers import Answered, Caught, Judge, Parts
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.mls.codec import decode
from securechat.mls.errors import DecodeError
from securechat.protocol.messages import (
    UNDECIDED,
    Answer,
    ExtendLog,
    GetTreeHead,
    LogExtension,
    LogSearched,
    LogStanding,
    MonitorLog,
    RequestBody,
    SearchLog,
    TreeHeadOffered,
)
from securechat.transparency.distinguished import distinguished_sizes
from securechat.transparency.heads import Extension, TreeHead
from securechat.transparency.search import Found

A = TypeVar("A", bound=Answer)

FEATURE: Final = "key_log"
"""What the Hello of a server says that keeps one."""

LOOK_SECONDS: Final = 20.0
"""How long what was not told of at once may go unnoticed: a lie is named within a minute."""

WITHHELD_SECONDS: Final = 30
"""For which a server may have no time for what concerns us, or no answer to a question: with the pause
between two questions it is told within a minute."""

AGAIN_SECONDS: Final = 24 * 3600
"""After which somebody who is known is looked up once more."""

MOST_STANDINGS: Final = 32
"""Distinguished sizes at which our own label is checked at one login; the rest at the next."""

MOST_PARTS: Final = 64
"""Answers that a long history of one label may take: 16,384 changes."""

BETWEEN_SECONDS: Final = 0.02
"""Between two people who are looked up: each takes this machine some milliseconds."""


class LogWatch:
    """For the loop's thread. ``looked`` is told of whom there is news, inside the change that keeps it."""

    def __init__(
        self,
        changes: Changes,
        session: Session,
        tasks: Tasks,
        *,
        device: Device,
        clock: Clock,
        dates: Dates,
        looked: Callable[[Change, str], None],
    ) -> None:
        self._changes = changes
        self._session = session
        self._tasks = tasks
        self._device = device
        self._clock = clock
        self._dates = dates
        self._looked = looked
        self._pause: Callable[[float], Awaitable[None]] = asyncio.sleep
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._about = ""
        """What is asked about now, as ``key_log.Lie`` says it."""

    def online(self, server_key: bytes, features: list[str]) -> None:
        """A login: look whether all is as it was."""
        self.offline()
        with self._changes.change() as change:
            if FEATURE not in features:
                self._withheld(change)
                return
            key_log.set_mode(change.db, key_log.KEPT)
            key_log.want_all_again(change.db, before=int(self._clock()) - AGAIN_SECONDS)
        self._task = self._tasks.spawn(self._run(Judge(server_key, self._now)), "key log")

    def offline(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def kick(self) -> None:
        """There is somebody to look up, or something to compare."""
        self._news.set()

    def _now(self) -> int:
        """The server's time, as it was told at the login: who lies about it by a day is told of."""
        return int(self._clock() - self._dates.apart)

    def _withheld(self, change: Change) -> None:
        """No log: of a server that never had one nothing is asked, of one that had nothing is believed."""
        if key_log.known(change.db) is None and not key_log.was_kept(change.db):
            key_log.set_mode(change.db, key_log.NONE)
            for user in key_log.wanted(change.db):
                self._looked(change, user)
            return
        text = "it has kept a log before, and says now that it keeps none"
        key_log.accuse(change, key_log.REFUSED, "log-withheld", text)

    async def _run(self, judge: Judge) -> None:
        while not await self._held_to(lambda: self._own(judge)):
            pass  # or a server without time for it would keep us from our own label until the next login
        while True:
            self._news.clear()
            for user in key_log.wanted(self._changes.db):
                await self._held_to(functools.partial(self._look_up, judge, user), about=user)
                await asyncio.sleep(BETWEEN_SECONDS)
            for user in self._due():
                await self._held_to(functools.partial(self._stands, judge, user), about=user)
            for user, theirs, _, _ in key_log.heard(self._changes.db, compared=False):
                about = key_log.HEAD_OF.format(user=user)
                await self._held_to(functools.partial(self._compare, judge, user, theirs), about=about)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()

    async def _held_to(self, work: Callable[[], Awaitable[None]], *, about: str = "") -> bool:
        """Ask something; keep what the server is caught at, and wait where it has no time: False then."""
        self._about, began = about, int(self._clock())
        try:
            await work()
        except Caught as caught:
            self._accuse(caught, about)
        except RefusedByServer as refused:
            if refused.code in UNDECIDED:
                self._note_wait(about, began, refused.code)
                await self._pause(max(1, min(refused.retry_after, LOOK_SECONDS)))
                return False
            with self._changes.change() as change:
                text = f"it gives no proof: {refused}"
                key_log.accuse(change, key_log.REFUSED, "no-proof", text, about)
        if key_log.waits(self._changes.db, about):
            with self._changes.change() as change:
                key_log.waits_no_more(change.db, about)
        return True

    def _note_wait(self, about: str, began: int, code: str) -> None:
        """Tell of a server that has no time for ever: so it would hide from us what it shows to others.

        :param began: when it was asked, in seconds since 1970
        """
        is_ours = about in ("", self._device.user) or about[0] == "@"
        if code == "limited" and not is_ours:
            return  # who knows many people asks for more than a server takes in an hour
        longest = WITHHELD_SECONDS if is_ours else AGAIN_SECONDS
        with self._changes.change() as change:
            # Two refusals accuse nobody, however far apart: an honest server may have no time now and then.
            waited = key_log.waited(change.db, about, began=began, now=change.now, most=longest // 2)
        if waited >= longest:
            self._tell_withheld()

    def _tell_withheld(self) -> None:
        text = "again and again it has no time to prove what it says, or does not answer"
        self._accuse(Caught(key_log.REFUSED, "withheld", text), self._about)

    def _accuse(self, caught: Caught, about: str) -> None:
        """Keep what the server is caught at; who waits to be looked up need not wait any more."""
        with self._changes.change() as change:
            key_log.accuse(change, caught.code, caught.rule, caught.text, about, caught.evidence)
            for user in key_log.wanted(change.db):
                self._looked(change, user)

    async def _own(self, judge: Judge) -> None:
        """Take a newer head, and check our own label: now, and at the distinguished sizes since."""
        user = self._device.user
        parts = Parts(statements.newest_bytes(self._changes.db, user))
        answered, chain = await self._search(judge, user, parts)
        with self._changes.change() as change:
            db = change.db
            before = key_log.seen(db, user)
            judge.own(change, answered, user, chain, parts)
            key_log.keep(db, user, answered.found, answered.statement.account_key, now=change.now, own=True)
            if before is None or (key_log.own_at(db) == 0 and before.reached):
                # The latter: a release of before took it that all of ours had stood from the log's beginning.
                key_log.own_stood(db, user, _first_own_size(answered.found), 0)
        await self._own_stands(judge, user)
        with self._changes.change() as change:
            key_log.acquit(change.db, "")
            key_log.acquit(change.db, user)

    async def _own_stands(self, judge: Judge, user: str) -> None:
        known, seen = key_log.known(self._changes.db), key_log.seen(self._changes.db, user)
        if known is None or seen is None:
            return
        head, reached = known.trusted.head, seen.reached
        for size in itertools.islice(distinguished_sizes(known.own_at, head.size), MOST_STANDINGS):
            told = await self._ask(MonitorLog(user, head.log, head.size, size), LogStanding)
            with self._changes.change() as change:
                reached = judge.stands(change, user, size, told.standing, head=head, reached=reached)
                key_log.own_stood(change.db, user, size, reached)

    async def _look_up(self, judge: Judge, user: str) -> None:
        """Look somebody up; who is not there is left to whoever asks for their keys."""
        if user == self._device.user:
            await self._own(judge)
            return
        try:
            parts = Parts(statements.newest_bytes(self._changes.db, user))
            answered, _ = await self._search(judge, user, parts)
        except RefusedByServer as refused:
            if refused.code != "unknown_user":
                raise
            with self._changes.change() as change:
                if key_log.seen(change.db, user) is not None:
                    raise Caught(key_log.REFUSED, "history-withdrawn", f"it has no {user} any more") from None
                key_log.note_absent(change.db, user, now=change.now)
                self._looked(change, user)
            return
        with self._changes.change() as change:
            key_log.keep(change.db, user, answered.found, answered.statement.account_key, now=change.now)
            if user not in self._due():  # or what does not stand would be told with each look
                key_log.acquit(change.db, user)
            self._looked(change, user)

    async def _search(self, judge: Judge, user: str, parts: Parts) -> tuple[Answered, list[bytes]]:
        """Look a user up in the log, in as many parts as it takes; of ourselves with all our statements."""
        is_own = user == self._device.user
        for _ in range(MOST_PARTS):
            seen = key_log.seen(self._changes.db, user)
            after = None if seen is None else seen.found.state.revision
            if is_own and after is None:
                after = 0
            if parts.reached is not None:
                after = parts.reached.state.revision
            told = await self._ask(SearchLog(user, *self._place(), after=after), LogSearched)
            with self._changes.change() as change:
                answered = judge.search(change, user, self._device.uri_of(user), told, parts)
            if answered is None:
                continue
            if is_own and answered.found.since:
                return answered, await statements.fetch(self._session.request, user, after=0)
            return answered, []
        raise Caught(key_log.REFUSED, "history-gap", f"its history of {user} has no end")

    def _due(self) -> list[str]:
        known = key_log.known(self._changes.db)
        if known is None:
            return []
        return key_log.due(self._changes.db, known.trusted.head.size, but=self._device.user)

    async def _stands(self, judge: Judge, user: str) -> None:
        """Check at a distinguished size that what we were shown of somebody has stayed."""
        await self._look_up(judge, user)  # all changes up to the newest are known then
        known, seen = key_log.known(self._changes.db), key_log.seen(self._changes.db, user)
        if known is None or seen is None or not seen.due_at:
            return
        head = known.trusted.head
        told = await self._ask(MonitorLog(user, head.log, head.size, seen.due_at), LogStanding)
        with self._changes.change() as change:
            stood = judge.stands(change, user, seen.due_at, told.standing, head=head, reached=seen.reached)
            key_log.stood(change.db, user, stood)
            key_log.acquit(change.db, user)

    async def _compare(self, judge: Judge, user: str, theirs: TreeHead) -> None:
        """Hold a head that somebody else was shown against ours."""
        mine = await self._newer(judge, theirs)
        extension = None
        if mine.log == theirs.log and mine.size > theirs.size:
            told = await self._ask(ExtendLog(mine.log, theirs.size, mine.size), LogExtension)
            with contextlib.suppress(DecodeError):
                extension = decode(Extension, told.extension)
        agrees = judge.compare(mine, theirs, extension, who=user)
        if not agrees and theirs.log >= mine.log:
            text = f"it does not prove that {user} was shown the same log"
            raise Caught(key_log.REFUSED, "gossip-unproven", text)
        with self._changes.change() as change:
            key_log.judge_heard(change.db, user, "agree" if agrees else "past")
            key_log.acquit(change.db, key_log.HEAD_OF.format(user=user))

    async def _newer(self, judge: Judge, theirs: TreeHead) -> TreeHead:
        """Our head; asked for anew if somebody was shown a later one."""
        known = key_log.known(self._changes.db)
        if known is not None:
            mine = known.trusted.head
            if (mine.log, mine.size) >= (theirs.log, theirs.size):
                return mine
        told = await self._ask(GetTreeHead(*self._place()), TreeHeadOffered)
        with self._changes.change() as change:
            return judge.head(change, told.offer, told.begun).head

    def _place(self) -> tuple[int, int]:
        known = key_log.known(self._changes.db)
        return (0, 0) if known is None else (known.trusted.head.log, known.trusted.head.size)

    async def _ask(self, body: RequestBody, kind: type[A]) -> A:
        silent = asyncio.get_running_loop().call_later(WITHHELD_SECONDS, self._tell_withheld)
        try:
            answer = await self._session.request(body)
        finally:
            silent.cancel()
        if not isinstance(answer, kind):
            raise TypeError("the connection holds answers to their kinds")
        return answer


def _first_own_size(found: Found) -> int:
    """Return the size from which on a device checks its account's label.

    Of an account that was there before it the last sizes that one login has time for: who could have looked
    at them may be gone.
    """
    if found.state.revision == 1:
        return found.state.position
    last = list(distinguished_sizes(0, found.head.size))[-MOST_STANDINGS:]
    return last[0] - 1 if last else 0
