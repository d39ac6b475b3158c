"""D-06: a conversation of two that a copy of this profile has opened is entered, if it is the one."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client import intents, records
from securechat.client.change import Change
from securechat.client.compose import queue_text
from securechat.client.errors import RefusedByServer, refusal
from securechat.client.events import Kind, Notice, Standing
from securechat.client.holds import start_over
from securechat.client.intents import WELCOME_WAIT, Intent, Step, What
from securechat.client.moving import Mover
from securechat.client.opened_elsewhere import LOOK_LONGEST, MOST_LOOKS, OpenedElsewhere
from securechat.client.records import ConversationRecord
from securechat.client.reentry import Reentry
from securechat.client.session import Session
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Answer, RequestBody
from tests.client.members import GROUP, MemberOf
from tests.client.parts import NOW
from tests.client.test_reentry import Serving


class Copied:
    """Alice with a profile of before: a copy of it has opened the conversation with bob."""

    def __init__(self, folder: Path, *, kind: Kind = Kind.DIRECT, others: tuple[str, ...] = ()) -> None:
        self.alice = MemberOf(folder, "alice")
        people = [MemberOf(folder, name) for name in ("bob", *others)]
        self.alice.founds(*people, kind=kind, uri=self.alice.device.direct_room("bob"))
        self.group = self.alice.group
        with self.alice.changes.change() as change:
            change.db.execute("DELETE FROM conversation")
            self.alice.groups.forget(1)
            self._awaits_welcome(change)

    def _awaits_welcome(self, change: Change) -> None:
        record = records.insert(
            change.db,
            name="@bob",
            kind=Kind.DIRECT,
            state=Standing.OPENING,
            room=self.alice.device.direct_room("bob"),
            peer="bob",
        )
        intents.add(change.db, record.id, What.OPEN, subject="bob")
        intents.await_welcome(change.db, self.read_intent(change), GROUP, now=NOW)

    def read_intent(self, change: Change) -> Intent:
        ((number,),) = change.db.execute("SELECT id FROM intent").fetchall()
        intent = intents.get(change.db, int(str(number)))
        assert intent is not None
        return intent

    @property
    def record(self) -> ConversationRecord:
        return self.alice.record

    @property
    def intent(self) -> Intent:
        (intent,) = intents.of(self.alice.store.db, self.record.id)
        return intent

    async def finds(self, session: object) -> None:
        alice, now = self.alice, lambda: float(NOW)
        mover = Mover(alice.device, alice.groups, now)
        reentry = Reentry(alice.changes, cast(Session, session), alice.groups, mover)
        await reentry.find(reentry.unknown([GROUP]))

    async def looks(self, session: object) -> None:
        elsewhere = OpenedElsewhere(
            self.alice.changes,
            cast(Session, session),
            self.alice.groups,
            self.alice.device,
            lambda: float(NOW),
        )
        await elsewhere.enter(self.record.id, self.intent)


async def test_a_group_of_the_two_with_this_device_in_it_is_followed_and_entered(tmp_path: Path) -> None:
    copied = Copied(tmp_path)

    await copied.looks(Serving(copied.group, handshake_head=1))

    record = copied.record
    assert (record.state, record.group_id, record.epoch, record.cursor) == (Standing.JOINED, GROUP, 1, 1)
    assert copied.alice.groups.follows(copied.alice.store.db, record.id)
    assert copied.alice.wants == [What.RESYNC]
    assert not record.held


async def test_it_is_entered_in_any_epoch(tmp_path: Path) -> None:
    copied = Copied(tmp_path)
    copied.group.merge(copied.group.stage_commit(CommitPlan(update=True)))

    await copied.looks(Serving(copied.group, handshake_head=4))

    assert (copied.record.epoch, copied.record.cursor) == (2, 4)


def broken(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


Lie = Callable[[Path], tuple[Copied, Callable[[bytes], bytes]]]

LIES: dict[str, Lie] = {
    "a description that nobody signed": lambda folder: (Copied(folder), broken),
    "a room": lambda folder: (Copied(folder, kind=Kind.ROOM, others=("carol",)), bytes),
}


@pytest.mark.parametrize("lie", LIES)
async def test_what_is_not_the_conversation_of_the_two_is_not_entered_and_said(
    tmp_path: Path, lie: str
) -> None:
    copied, twist = LIES[lie](tmp_path)
    session = Serving(copied.group, handshake_head=1)
    session.twist = twist

    await copied.looks(session)

    assert (copied.record.state, copied.record.held_code) == (Standing.OPENING, "untrusted_keys")
    assert copied.record.group_id is None


async def test_a_group_that_another_device_of_ours_made_is_waited_for_ever_longer(tmp_path: Path) -> None:
    copied = Copied(tmp_path)
    bob = MemberOf(tmp_path, "bob", folder_name="of-another")
    other = MemberOf(tmp_path, "alice", folder_name="another")
    other.founds(bob, kind=Kind.DIRECT, uri=other.device.direct_room("bob"))
    waits = []

    for _ in range(8):
        await copied.looks(Serving(other.group, handshake_head=1))
        waits.append(copied.intent.waits(NOW))

    assert (copied.record.state, copied.intent.step) == (Standing.OPENING, Step.EXISTS)
    assert waits[:2] == [2 * WELCOME_WAIT, 4 * WELCOME_WAIT]
    assert waits[-1] == LOOK_LONGEST


class Refusing:
    def __init__(self, code: str) -> None:
        self.code = code

    async def request(self, _body: RequestBody) -> Answer:
        raise refusal(self.code)


async def test_one_that_nobody_of_us_is_in_is_gone_on_from(tmp_path: Path) -> None:
    """Both have left it: it is opened anew in its place, as the server asks for."""
    copied = Copied(tmp_path)
    with copied.alice.changes.change() as change:
        queue_text(change, copied.alice.device, copied.record, "hello", now=NOW, key=None)

    await copied.looks(Refusing("no_group"))

    assert (copied.intent.step, copied.record.predecessor) == (Step.WANTED, GROUP)


async def test_one_that_nobody_has_anything_to_say_in_is_let_be(tmp_path: Path) -> None:
    copied = Copied(tmp_path)

    await copied.looks(Refusing("no_group"))

    assert copied.alice.wants == []


async def test_d_06_a_conversation_that_only_the_copy_knows_of_is_found(tmp_path: Path) -> None:
    """The other one may speak first; a Welcome that is on its way has its time."""
    copied = Copied(tmp_path)
    with copied.alice.changes.change() as change:
        change.db.execute("DELETE FROM conversation")

    await copied.finds(Serving(copied.group, handshake_head=1))
    assert copied.alice.store.rows("SELECT * FROM conversation") == [], "it knows of no copy"
    with copied.alice.changes.change() as change:
        start_over(change, copied.alice.groups)
    await copied.finds(Serving(copied.group, handshake_head=1))
    await copied.finds(Serving(copied.group, handshake_head=1))

    assert (copied.record.name, copied.record.state) == ("@bob", Standing.OPENING)
    assert (copied.intent.step, copied.intent.packages) == (Step.EXISTS, GROUP)
    assert copied.intent.waits(NOW) == WELCOME_WAIT
    await copied.looks(Serving(copied.group, handshake_head=1))
    assert copied.alice.wants == [What.RESYNC]


async def test_a_room_is_not_taken_for_one(tmp_path: Path) -> None:
    copied = Copied(tmp_path, kind=Kind.ROOM)
    with copied.alice.changes.change() as change:
        change.db.execute("DELETE FROM conversation")
        start_over(change, copied.alice.groups)

    await copied.finds(Serving(copied.group, handshake_head=1))

    assert copied.alice.store.rows("SELECT * FROM conversation") == []


async def test_a_server_without_time_is_asked_again(tmp_path: Path) -> None:
    copied = Copied(tmp_path)

    with pytest.raises(RefusedByServer):
        await copied.looks(Refusing("busy"))

    assert copied.intent.step is Step.EXISTS


async def test_one_that_came_back_without_a_description_is_waited_for(tmp_path: Path) -> None:
    copied = Copied(tmp_path)

    await copied.looks(Refusing("gone"))

    assert copied.intent.step is Step.EXISTS
    assert copied.intent.waits(NOW) > WELCOME_WAIT


async def test_m_10_one_that_is_not_shown_is_said_and_in_the_end_gone_on_from(tmp_path: Path) -> None:
    """Where the other one wants to leave, only the device that is lost could have committed it."""
    copied = Copied(tmp_path)
    with copied.alice.changes.change() as change:
        queue_text(change, copied.alice.device, copied.record, "hello", now=NOW, key=None)

    for _ in range(MOST_LOOKS):
        await copied.looks(Serving(copied.group, handshake_head=2, last="proposal"))
        assert copied.intent.step is Step.EXISTS
    told = [each.code for each in copied.alice.events if isinstance(each, Notice)]
    await copied.looks(Serving(copied.group, handshake_head=2, last="proposal"))

    assert told == ["log_withheld"]
    assert (copied.intent.step, copied.record.predecessor) == (Step.WANTED, GROUP)
