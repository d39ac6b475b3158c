"""Reading goes on while it gets somewhere, whatever a server answers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client import intents, records, staged, sync
from securechat.client.account_news import AccountNews
from securechat.client.anchor import Anchor
from securechat.client.dates import Dates
from securechat.client.errors import RefusedByServer
from securechat.client.events import Notice, Removed, Standing
from securechat.client.holds import COPIED, start_over
from securechat.client.intents import LONGEST_WAIT, Step, What
from securechat.client.moving import Mover
from securechat.client.outbox import Outbox
from securechat.client.planner import Planner
from securechat.client.reentry import MOST_FOUND, Reentry
from securechat.client.session import Session
from securechat.client.standings import MAX_PAGES
from securechat.client.sync import MAX_BUFFERED, NO_ENTRANCE_WAIT, Syncer
from securechat.client.tasks import Tasks
from securechat.client.work import Work
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import (
    Answer,
    Carried,
    Delivered,
    Entries,
    Fetch,
    GetGroupInfo,
    GroupStatus,
    InboxDelivered,
    RequestBody,
    StoredGroupInfo,
    Sync,
    Synced,
)
from tests.client.members import GROUP, MemberOf, entry, message
from tests.client.parts import NOW, a_moment

REPEATS: dict[type[RequestBody], Callable[[], Answer]] = {
    Fetch: lambda: Entries(GROUP, [message(99, b"of later")], 99),
}


class Repeating:
    """A session whose server says the same whenever it is asked."""

    def __init__(self) -> None:
        self.asked: list[type[RequestBody]] = []

    async def request(self, body: RequestBody) -> Answer:
        self.asked.append(type(body))
        assert len(self.asked) < 50, "it asks for ever"
        return REPEATS[type(body)]()


@pytest.fixture
def bob(tmp_path: Path) -> MemberOf:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    return bob


def syncer(bob: MemberOf, session: Repeating, heads: dict[int, int]) -> Syncer:
    return Syncer(
        bob.changes,
        cast(Session, session),
        cast(Tasks, None),
        cast(Outbox, None),
        bob.groups,
        bob.device,
        bob.reader,
        bob.joiner,
        cast(Planner, None),
        cast(AccountNews, None),
        cast(Work, None),
        Anchor(bob.changes, cast(Session, session), cast(Outbox, None), bob.groups, lambda: NOW),
        Reentry(bob.changes, cast(Session, session), bob.groups, cast(Mover, None)),
        heads,
        lambda: NOW,
        Dates(lambda: NOW),
    )


async def test_a_log_that_does_not_follow_is_asked_for_once(bob: MemberOf) -> None:
    session = Repeating()

    at_head = await syncer(bob, session, {bob.record.id: 99})._read_log(bob.record.id)

    assert not at_head
    assert session.asked == [Fetch]
    assert bob.record.cursor == 1


def test_what_is_pushed_waits_in_bounded_number(bob: MemberOf) -> None:
    """The rest is in the log, and fetched."""
    behind = syncer(bob, Repeating(), {})
    behind.delivered(Delivered(GROUP, [message(place, b"x") for place in range(2, MAX_BUFFERED + 10)]))
    assert [len(waiting) for waiting in behind._pushed.values()] == [MAX_BUFFERED]


def test_q_03_what_the_server_has_not_heard_of_is_acknowledged_again(bob: MemberOf) -> None:
    class Hearing(Repeating):
        def __init__(self) -> None:
            super().__init__()
            self.heard: list[tuple[bytes, int]] = []

        def acknowledge(self, group: bytes, sequence: int) -> None:
            self.heard.append((group, sequence))

    session = Hearing()
    for cursor in (0, 1):
        status = GroupStatus(GROUP, 1, 1, 1, 1, cursor)
        syncer(bob, session, {})._looking._take_status(bob.record, status, bob.record.cursor)
    assert session.heard == [(GROUP, 1)], "once: by then the server knows"


async def test_what_lies_beyond_the_end_of_its_log_is_not_read(bob: MemberOf) -> None:
    class Beyond(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            assert isinstance(body, Fetch)
            return Entries(GROUP, [message(2, b"x")], 1)

    assert await syncer(bob, Beyond(), {bob.record.id: 2})._fetch(bob.record) == []
    assert (bob.record.cursor, bob.record.held_code) == (1, "invalid_entry")


async def test_without_a_connection_no_timer_waits(bob: MemberOf) -> None:
    waiting = syncer(bob, Repeating(), {})
    waiting._wake_later(bob.record.id, 3600)
    (timer,) = waiting._timers.values()
    waiting.offline()
    assert timer.cancelled()
    assert waiting._timers == {}


async def test_n_03_a_group_without_an_entrance_is_waited_for_and_said_once(bob: MemberOf) -> None:
    """A restored log may lack the GroupInfo of its epoch until somebody commits."""

    class Shut(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            assert isinstance(body, GetGroupInfo)
            self.asked.append(GetGroupInfo)
            raise RefusedByServer("gone")

    session = Shut()
    waiting = syncer(bob, session, {})
    with bob.changes.change() as change:
        start_over(change, bob.groups)
    bob.events.clear()

    for _ in range(2):
        (intent,) = intents.of(bob.store.db, bob.record.id)
        await waiting._resync(bob.record.id, intent)

    (intent,) = intents.of(bob.store.db, bob.record.id)
    assert (intent.what, intent.step) == (What.RESYNC, Step.WANTED)
    assert 0 < intent.waits(NOW) <= NO_ENTRANCE_WAIT
    assert list(waiting._timers) == [bob.record.id]
    (told,) = bob.events
    assert isinstance(told, Notice)
    assert "#team can be entered anew only after its next change" in told.text
    waiting.offline()


async def test_m_15_a_description_that_is_not_where_the_log_led_lets_nobody_in(tmp_path: Path) -> None:
    """The server gives the description of an epoch before: what was replayed of the log is believed."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    old = alice.group.group_info()
    with bob.changes.change() as change:
        start_over(change, bob.groups)
    placed = entry(2, "commit", alice.stages(CommitPlan(update=True)).message, epoch=1)
    for member in (alice, bob):
        member.reads(placed)

    class Lying(Repeating):
        async def request(self, _body: RequestBody) -> Answer:
            return StoredGroupInfo(GROUP, 2, 2, 2, Carried(old))

    (intent,) = intents.of(bob.store.db, bob.record.id)
    await syncer(bob, Lying(), {})._resync(bob.record.id, intent)

    assert bob.record.held_code == "invalid_entry"
    assert "is not what the log says" in bob.record.held_text
    assert not staged.exists(bob.store.db, bob.record.id)


@pytest.mark.parametrize("groups", [[], [GroupStatus(GROUP, 1, 1, 1, 1, 1, 1)]])
async def test_m_10_a_group_that_we_are_not_in_as_the_server_says_is_held(
    bob: MemberOf, groups: list[GroupStatus]
) -> None:
    """An orphan Welcome, or a log of before a rollback: asked for the group, it would only say no."""

    class Forgetful(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            if isinstance(body, Fetch):
                raise RefusedByServer("not_member")
            assert isinstance(body, Sync)
            return Synced(groups)

        def acknowledge(self, group: bytes, sequence: int) -> None:
            pass

    await syncer(bob, Forgetful(), {}).look()

    assert bob.record.held_code == "server_older"
    assert bob.record.gone_back == 0


async def test_o_05_a_list_of_groups_without_an_end_has_one(bob: MemberOf) -> None:
    """What it has not named by then is not named; of what is unknown no more is kept than is looked at."""
    kept: list[int] = []

    class Endless(Repeating):
        pages = 0

        async def request(self, body: RequestBody) -> Answer:
            if isinstance(body, Fetch):
                raise RefusedByServer("not_member")
            if isinstance(body, GetGroupInfo):
                kept.append(1)
                raise RefusedByServer("no_group")
            assert isinstance(body, Sync)
            self.pages += 1
            assert self.pages <= MAX_PAGES, "it asks for ever"
            names = [(self.pages << 64 | place).to_bytes(32, "big") for place in range(3)]
            return Synced([GroupStatus(name, 1, 1, 1, 1, 1) for name in names], more=True)

    session = Endless()
    looking = syncer(bob, session, {})
    looking.reentry.mover = Mover(bob.device, bob.groups, lambda: NOW)
    with bob.changes.change() as change:
        records.set_counter(change.db, COPIED, 1)

    await looking.look()

    assert session.pages == MAX_PAGES
    assert len(kept) == MOST_FOUND
    assert bob.record.held_code == "server_older"


async def test_o_05_what_is_pushed_into_the_inbox_without_end_is_read_by_one_task(
    bob: MemberOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[Exception] = []
    reading = syncer(bob, Repeating(), {})
    reading.tasks = Tasks(failed.append)
    turns: list[asyncio.Event] = []

    async def read(_self: Syncer) -> None:
        turns.append(asyncio.Event())
        await turns[-1].wait()

    monkeypatch.setattr(Syncer, "_read_inbox", read)
    reading._inbox.is_open = True
    for _ in range(1000):
        reading.inbox_delivered(InboxDelivered([]))
        await asyncio.sleep(0)
    assert len(turns) == 1
    turns[0].set()
    await a_moment()
    reading.inbox_delivered(InboxDelivered([]))
    await a_moment()
    assert len(turns) == 2, "what comes after the last was read is read"

    reading.offline()
    reading._inbox.is_open = True
    reading.inbox_delivered(InboxDelivered([]))
    await a_moment()
    assert len(turns) == 3, "a wait of the last connection keeps nothing back on the next"
    reading.offline()
    await reading.tasks.close()
    assert failed == []


async def test_d_06_who_was_let_go_after_a_copy_was_made_reads_so_and_accuses_nobody(tmp_path: Path) -> None:
    """A server names no stay that a later state of the profile has read to its end; its log still has it."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    commit = alice.stages(CommitPlan(remove=(bob.group.own_leaf,)))

    class Honest(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            if isinstance(body, Fetch):
                return Entries(GROUP, [entry(2, "commit", commit.message, epoch=1)], 2)
            assert isinstance(body, Sync)
            return Synced([])

    await syncer(bob, Honest(), {}).look()

    assert (bob.record.state, bob.record.held_code) == (Standing.REMOVED, "")
    assert isinstance(bob.events[-1], Removed)


async def test_a_conversation_that_moves_while_we_ask_is_not_one_whose_log_went_back(bob: MemberOf) -> None:
    """N-03: the two logs have nothing to do with each other."""
    following = b"n" * 32

    class Moving(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            assert isinstance(body, Sync)
            with bob.changes.change() as change:
                records.update(change.db, bob.record.id, group_id=following, cursor=1)
            return Synced([GroupStatus(following, 1, 1, 1, 1, 1)])

        def acknowledge(self, group: bytes, sequence: int) -> None:
            pass

    with bob.changes.change() as change:
        records.update(change.db, bob.record.id, cursor=9)

    await syncer(bob, Moving(), {}).look()

    assert not bob.record.held


async def test_o_05_no_server_is_waited_for_as_long_as_it_likes(
    bob: MemberOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it asks for: reading, and what a conversation does."""
    waits: list[float] = []
    answers = ["busy", ""]

    async def busy(*_: object) -> bool:
        if answers.pop(0):
            raise RefusedByServer("busy", retry_after=2**62)
        return True

    async def reads() -> None:
        await busy()

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    reading = syncer(bob, Repeating(), {})
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", pause)
        await reading._patiently(reads)
    monkeypatch.setattr(Syncer, "_read_log", busy)
    monkeypatch.setattr(Syncer, "_wake_later", lambda _self, _conversation, seconds: waits.append(seconds))
    answers.append("busy")
    reading._online = True
    reading._woken.add(bob.record.id)
    await reading._drive(bob.record.id)

    assert len(waits) == 2
    assert all(LONGEST_WAIT <= wait <= LONGEST_WAIT + sync.RETRY_WITHIN for wait in waits)
