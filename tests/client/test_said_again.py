"""What a restored server lost is said again, but to nobody who was not there then (N-03, D-03)."""

import asyncio
import hashlib
from pathlib import Path
from typing import cast

import msgspec
import pytest

from securechat.client import history, incarnations, log_chain
from securechat.client.anchor import Anchor
from securechat.client.compose import queue_text
from securechat.client.events import Notice
from securechat.client.outbox import Outbox
from securechat.client.restored import meet
from securechat.client.session import Session
from securechat.client.work import PADDING
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import (
    Answer,
    Entries,
    Entry,
    Fetch,
    Gap,
    GroupStatus,
    LoggedIn,
    RequestBody,
    Sync,
    Synced,
)
from tests.client.members import GROUP, MemberOf, entry, message
from tests.client.parts import NOW


class Restored:
    """A session of a server that says it lost all of a log, and shows the same one."""

    def __init__(self, log: list[Entry]) -> None:
        self.log: list[Entry | Gap] = [*log]

    async def request(self, body: RequestBody) -> Answer:
        head, epoch = (
            len(self.log),
            sum(isinstance(each, Entry) and each.kind == "commit" for each in self.log),
        )
        match body:
            case Sync():
                return Synced([GroupStatus(GROUP, epoch, head, head, 0, head, 0, restored=0)])
            case Fetch(group, start):
                return Entries(group, self.log[start - 1 :], head)
            case _:
                raise AssertionError(body)


def says(by: MemberOf, text: str, place: int) -> Entry:
    """Say something that the server takes at a place of the log."""
    with by.changes.change() as change:
        queued = queue_text(change, by.device, by.record, text, now=NOW, key=None)
        ((content,),) = change.db.execute(
            "SELECT content FROM message WHERE id = ?", (queued.local_id,)
        ).fetchall()
        assert isinstance(content, bytes)
        claim = log_chain.claim(change.db, by.record.id, ())
        sealed = by.group.encrypt(content, authenticated_data=claim, padding=PADDING)
        by.groups.keep_secrets(change, by.record.id, by.group)
        history.mark_sealed(
            change.db, queued.local_id, sealed=hashlib.sha256(sealed).digest(), epoch=by.group.epoch
        )
    said = message(place, sealed, epoch=by.group.epoch)
    by.reads(said)
    return said


def queued(by: MemberOf) -> list[str]:
    return [each.text for each in history.to_seal(by.store.db, by.record.id, limit=9)]


def marked(by: MemberOf) -> list[tuple[str, str]]:
    rows = by.store.db.execute("SELECT text, code FROM message WHERE own = 1 AND code <> '' ORDER BY id")
    return [(str(text), str(code)) for text, code in rows]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[MemberOf, MemberOf]:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    return alice, bob


def comes_back(to: MemberOf, log: list[Entry]) -> None:
    """The server says at the login that it was restored, and in the sync that all is lost."""
    with to.changes.change() as change:
        meet(change, LoggedIn("alice", "a" * 26, 0, 1, 0, 0, NOW), to.groups, lambda: float(NOW))
    with to.changes.change() as change:
        meet(change, LoggedIn("alice", "a" * 26, 0, 2, 0, 0, NOW), to.groups, lambda: float(NOW))
    session = cast(Session, Restored(log))
    anchor = Anchor(to.changes, session, cast(Outbox, None), to.groups, lambda: float(NOW))
    to.events.clear()
    assert asyncio.run(anchor.place(to.record.id)) is None


def test_what_was_said_before_somebody_came_is_not_sealed_for_them(
    pair: tuple[MemberOf, MemberOf], tmp_path: Path
) -> None:
    alice, _ = pair
    mallory = MemberOf(tmp_path, "mallory")
    first = entry(1, "commit", b"what founded it", epoch=0)
    said = says(alice, "mallory must never read this", 2)
    add = alice.stages(CommitPlan(add=(mallory.key_package(),)))
    added = entry(3, "commit", add.message, epoch=1)
    alice.reads(added)

    comes_back(alice, [first, said, added])

    assert queued(alice) == []
    assert marked(alice) == [("mallory must never read this", "not_said_again")]
    told = [event for event in alice.events if isinstance(event, Notice)]
    assert [event.code for event in told] == ["not_said_again"]
    assert "1 message of yours" in told[0].text


def test_what_only_those_may_read_who_were_there_is_said_again(pair: tuple[MemberOf, MemberOf]) -> None:
    """A new epoch alone brings nobody in."""
    alice, _ = pair
    first = entry(1, "commit", b"what founded it", epoch=0)
    said = says(alice, "lost", 2)
    renewed = entry(3, "commit", alice.stages(CommitPlan(update=True)).message, epoch=1)
    alice.reads(renewed)

    comes_back(alice, [first, said, renewed])

    assert queued(alice) == ["lost"]
    assert marked(alice) == []


def test_who_comes_again_under_the_name_with_other_keys_is_somebody_new(
    pair: tuple[MemberOf, MemberOf], tmp_path: Path
) -> None:
    alice, bob = pair
    said = says(alice, "for the true bob", 2)
    (tmp_path / "elsewhere").mkdir()
    other = MemberOf(tmp_path / "elsewhere", "bob")
    key = bob.device.identity.signature_key.public
    (leaf,) = [index for index, each in alice.group.public.tree.leaves() if each.signature_key == key]
    change = alice.stages(CommitPlan(add=(other.key_package(),), remove=(leaf,)))
    changed = entry(3, "commit", change.message, epoch=1)
    alice.reads(changed)

    comes_back(alice, [entry(1, "commit", b"what founded it", epoch=0), said, changed])

    assert queued(alice) == []


def test_nor_is_it_where_the_commit_that_brings_them_in_is_offered(
    pair: tuple[MemberOf, MemberOf], tmp_path: Path
) -> None:
    alice, _ = pair
    mallory = MemberOf(tmp_path, "mallory")
    says(alice, "said in the epoch that the copy had", 2)
    with alice.changes.change() as change:
        incarnations.leave(change.db, alice.record, 1)
    add = alice.stages(CommitPlan(add=(mallory.key_package(),)))

    alice.reads(msgspec.structs.replace(entry(3, "commit", add.message, epoch=1), offered=True))

    assert queued(alice) == []
    assert marked(alice) == [("said in the epoch that the copy had", "not_said_again")]


def test_who_comes_back_counts_everybody_as_new(pair: tuple[MemberOf, MemberOf]) -> None:
    """Who came between two stays of ours we have not seen."""
    _, bob = pair

    assert bob.record.newcomers == bob.record.epoch == 1
