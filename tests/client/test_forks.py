"""M-10: a room that was parted in two is noticed by those who talk to each other elsewhere."""

from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest

from securechat.client import epoch_codes, forks, holds, records
from securechat.client.compose import Around, queue_text
from securechat.client.epoch_codes import EVERY_SECONDS, MAX_KEPT
from securechat.client.events import Held, Kind, Standing
from securechat.client.records import ConversationRecord
from securechat.client.why import explain
from securechat.content.mimi import MimiContent, NullPart, decode
from securechat.content.mimi import encode as encode_content
from securechat.membership.epoch_codes import CODE_BYTES, MAX_CODES, EpochCode, EpochCodes, read_codes
from securechat.membership.room import room_of
from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Carried, Entry, InboxEntry
from tests.client.members import GROUP, MemberOf, entry
from tests.client.parts import NOW

ROOM = "#team"
OTHER = b"h" * 32


class Talking(MemberOf):
    """A member of the room who also has conversations of two."""

    @property
    def record(self) -> ConversationRecord:
        record = records.by_name(self.store.db, ROOM)
        assert record is not None
        return record

    def knows(self, peer: str) -> ConversationRecord:
        """Have a conversation of two; what is in its log is the test's."""
        with self.changes.change() as change:
            return records.by_name(change.db, f"@{peer}") or records.insert(
                change.db,
                name=f"@{peer}",
                kind=Kind.DIRECT,
                state=Standing.OPENING,
                room=self.device.direct_room(peer),
                peer=peer,
            )

    def types(self, peer: str, text: str = "hello") -> MimiContent:
        return self.types_in(self.knows(peer), text)

    def types_in_the_room(self) -> MimiContent:
        return self.types_in(self.record, "hello")

    def types_in(self, record: ConversationRecord, text: str) -> MimiContent:
        with self.changes.change() as change:
            around = Around(groups=self.groups)
            queued = queue_text(change, self.device, record, text, now=self.now, key=None, around=around)
            row = change.db.execute("SELECT content FROM message WHERE id = ?", (queued.local_id,)).get
        assert isinstance(row, bytes)
        return decode(row)

    def hears(self, peer: str, content: MimiContent) -> None:
        """Read what somebody says in the conversation of two, and act in the room."""
        record = self.knows(peer)
        with self.changes.change() as change:
            forks.take(change, record, peer, content)
        with self.changes.change() as change:
            forks.judge(change, self.groups, self.record)

    def renews(self) -> Entry:
        """Go on with a commit that nobody else is shown yet."""
        commit, record = self.stages(CommitPlan(update=True)), self.record
        placed = entry(record.cursor + 1, "commit", commit.message, epoch=record.epoch)
        self.reads(placed)
        return placed

    def told(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Held)]


Pair = tuple[Talking, Talking]


def codes(content: MimiContent) -> tuple[EpochCode, ...]:
    return tuple(
        code
        for key, value in content.extensions
        if key == forks.KEY
        for code in read_codes(cbor2.loads(value))
    )


def saying(*said: EpochCode) -> MimiContent:
    told = (forks.KEY, cbor2.dumps(encode(EpochCodes(said))))
    return MimiContent(salt=bytes(16), part=NullPart(), extensions=(told,))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    alice, bob, carol = Talking(tmp_path, "alice"), Talking(tmp_path, "bob"), Talking(tmp_path, "carol")
    alice.founds(bob, carol)
    return alice, bob


def parted(pair: Pair) -> Pair:
    """The server shows each of the two a commit of their own, and no other."""
    for member in pair:
        member.renews()
    return pair


def test_m_10_a_room_that_was_parted_is_noticed_with_the_first_word_elsewhere(pair: Pair) -> None:
    alice, bob = parted(pair)

    bob.hears("alice", alice.types("bob"))

    assert (bob.record.held_code, bob.told()) == ("group_forked", ["group_forked"])
    assert "alice" in bob.record.held_text
    assert not bob.record.may_send
    why = explain(bob.store.db, bob.groups, bob.record)
    assert (why.code, why.text) == ("group_forked", bob.record.held_text)


def test_m_10_so_it_is_if_one_half_has_gone_further(pair: Pair) -> None:
    alice, bob = parted(pair)
    bob.renews()

    bob.hears("alice", alice.types("bob"))

    assert bob.record.held_code == "group_forked"


def test_m_10_and_if_the_other_half_has_it_is_noticed_when_that_epoch_is_reached(pair: Pair) -> None:
    alice, bob = parted(pair)
    alice.renews()
    told = alice.types("bob")
    bob.hears("alice", told)
    assert not bob.record.held

    bob.renews()
    bob.hears("alice", saying())

    assert bob.record.held_code == "group_forked"


def test_those_who_are_in_one_epoch_are_not_held(pair: Pair) -> None:
    alice, bob = pair

    for by, to in ((alice, bob), (bob, alice)):
        to.hears(by.device.user, by.types(to.device.user))

    assert not alice.record.held
    assert not bob.record.held


def test_who_is_behind_or_ahead_is_not_held(pair: Pair) -> None:
    alice, bob = pair
    commit = alice.renews()

    bob.hears("alice", alice.types("bob"))
    alice.hears("bob", bob.types("alice"))
    bob.reads(commit)
    bob.hears("alice", saying())

    assert bob.record.epoch == alice.record.epoch
    assert not alice.record.held
    assert not bob.record.held


def test_an_epoch_is_told_once_and_the_next_not_within_the_hour(pair: Pair) -> None:
    alice, _ = pair
    assert [(each.group, each.epoch) for each in codes(alice.types("bob"))] == [(GROUP, 1)]
    assert codes(alice.types("bob")) == ()

    alice.renews()
    assert codes(alice.types("bob")) == ()
    assert [each.epoch for each in codes(alice.types("carol"))] == [2], "each conversation has its own hour"
    alice.now = NOW + EVERY_SECONDS
    assert [each.epoch for each in codes(alice.types("bob"))] == [2]


def test_nobody_is_told_of_a_group_that_they_are_not_in(pair: Pair) -> None:
    alice, _ = pair

    assert codes(alice.types("dave")) == ()
    assert codes(alice.types("bob")) != ()


def test_who_is_in_a_group_by_other_keys_than_those_we_know_is_not_told_of_it(pair: Pair) -> None:
    alice, _ = pair
    with alice.changes.change() as change:
        change.db.execute("UPDATE contact SET account_key = ? WHERE user = 'bob'", (bytes(32),))

    assert codes(alice.types("bob")) == ()
    assert codes(alice.types("carol")) != ()


def test_what_waits_in_a_room_tells_nothing_as_others_may_come_in_before_it_goes_out(pair: Pair) -> None:
    alice, _ = pair
    knows_of_another(alice)
    assert codes(alice.types_in_the_room()) != ()

    with alice.changes.change() as change:
        change.db.execute("DELETE FROM epoch_code_told")
    assert codes(alice.types_in_the_room()) == (), "what was written before it waits too"
    with alice.changes.change() as change:
        change.db.execute("DELETE FROM message")
        holds.hold(change, alice.record, "log_altered")
    assert codes(alice.types_in_the_room()) == ()


def knows_of_another(alice: Talking) -> None:
    """Have alice in a second group of the same people."""
    with alice.changes.change() as change:
        policy = room_of(alice.group.public.context)
        record = records.insert(
            change.db,
            name="#other",
            kind=Kind.ROOM,
            state=Standing.JOINED,
            room=str(policy.uri),
            group_id=OTHER,
        )
        alice.groups.keep(change, record.id, alice.group)
        records.update(change.db, record.id, epoch=1)
        change.db.execute("UPDATE epoch_code SET group_id = ? WHERE conversation = ?", (OTHER, record.id))


def test_n_03_of_a_group_that_looks_for_its_place_nothing_is_told(pair: Pair) -> None:
    alice, _ = pair
    for code in ("server_older", "restored_fork"):
        with alice.changes.change() as change:
            holds.hold(change, alice.record, code)
        assert codes(alice.types("bob")) == ()
        with alice.changes.change() as change:
            holds.settle(change, alice.groups, alice.record, {code})

    assert codes(alice.types("bob")) != ()


def test_n_03_what_was_told_before_a_restore_holds_nobody_after_it(pair: Pair) -> None:
    """The log may have gone another way since, and who was on the lost one knows."""
    alice, bob = parted(pair)
    told = alice.types("bob")
    with bob.changes.change() as change:
        records.update(change.db, bob.record.id, incarnation=7)

    bob.hears("alice", told)

    assert not bob.record.held


def a_lie(bob: MemberOf, *, epoch: int = 1) -> MimiContent:
    return saying(EpochCode(GROUP, bob.record.incarnation, epoch, b"x" * CODE_BYTES))


def test_who_is_not_in_the_group_accuses_nobody(pair: Pair) -> None:
    _, bob = pair

    bob.hears("mallory", a_lie(bob))

    assert not bob.record.held


def test_who_is_made_up_by_the_name_of_a_member_accuses_nobody_in_it(pair: Pair, tmp_path: Path) -> None:
    """A server can have an account by any name say anything, in a room that bob is just invited to."""
    _, bob = pair
    made_up = MemberOf(tmp_path, "carol", folder_name="made-up")
    made_up.founds(group_id=OTHER)
    commit = made_up.stages(CommitPlan(add=(bob.key_package(),)))
    made_up.reads(entry(1, "commit", commit.message, epoch=0))
    assert commit.welcome is not None
    told = InboxEntry(2, OTHER, 1, 2, made_up.device.client, Carried(), NOW)
    with bob.changes.change() as change:
        bob.joiner.take(change, told, commit.welcome, commit.state.public.tree.to_bytes())
    elsewhere = records.by_group(bob.store.db, OTHER)
    assert elsewhere is not None

    lie = made_up.seals_content(encode_content(a_lie(bob)))
    with bob.changes.change() as change:
        after = bob.reader.read(change, elsewhere, (entry(2, "message", lie, epoch=1),))
        forks.judge(change, bob.groups, bob.record)

    assert after.cursor == 2
    assert not bob.record.held
    assert bob.store.rows("SELECT * FROM epoch_code_heard") == []


def test_whom_the_user_has_let_pass_holds_no_more_before_the_next_epoch(pair: Pair) -> None:
    _, bob = pair
    bob.hears("carol", a_lie(bob))
    assert bob.record.held_code == "group_forked"
    with bob.changes.change() as change:
        holds.settle_on_purpose(change, bob.groups, bob.record)

    for _ in range(3):
        bob.hears("carol", a_lie(bob))
    assert not bob.record.held

    bob.renews()
    bob.hears("carol", a_lie(bob, epoch=2))
    assert bob.record.held_code == "group_forked"


def test_who_lies_first_hides_nobody_who_tells_the_truth(pair: Pair) -> None:
    alice, bob = parted(pair)
    bob.hears("carol", a_lie(bob, epoch=2))
    bob.hears("alice", alice.types("bob"))

    assert "alice, carol" in bob.record.held_text
    assert bob.told() == ["group_forked", "group_forked"]


def test_nobody_tells_of_a_conversation_in_itself(pair: Pair) -> None:
    _, bob = pair
    with bob.changes.change() as change:
        forks.take(change, bob.record, "carol", a_lie(bob))
        assert not forks.judge(change, bob.groups, bob.record).held


LIES: dict[str, Callable[[MemberOf], MimiContent]] = {
    "too many": lambda bob: saying(
        *[EpochCode(GROUP, bob.record.incarnation, 1, bytes(16))] * (MAX_CODES + 1)
    ),
    "of an epoch beyond all numbers": lambda bob: a_lie(bob, epoch=(1 << 64) - 1),
    "of a group that is not here": lambda _: saying(EpochCode(b"g", 0, 1, bytes(16))),
    "no bytes": lambda _: MimiContent(
        salt=bytes(16), part=NullPart(), extensions=((forks.KEY, cbor2.dumps(7)),)
    ),
    "bytes of nothing": lambda _: MimiContent(
        salt=bytes(16), part=NullPart(), extensions=((forks.KEY, cbor2.dumps(b"nonsense")),)
    ),
}


def test_what_makes_no_sense_is_not_kept(pair: Pair) -> None:
    _, bob = pair

    for lie in LIES.values():
        bob.hears("carol", lie(bob))

    assert not bob.record.held
    assert bob.store.rows("SELECT * FROM epoch_code_heard") == []


def test_only_so_many_epochs_are_kept_and_those_of_a_stay_go_with_it(pair: Pair) -> None:
    _, bob = pair
    with bob.changes.change() as change:
        for epoch in range(2, MAX_KEPT + 9):
            change.db.execute(
                "INSERT INTO epoch_code (conversation, group_id, epoch, code) VALUES (1, ?, ?, x'00')",
                (GROUP, 1_000 + epoch),
            )
    bob.renews()
    assert len(bob.store.rows("SELECT * FROM epoch_code")) == MAX_KEPT
    bob.hears("carol", a_lie(bob, epoch=9_999))

    with bob.changes.change() as change:
        epoch_codes.forget(change.db, bob.record.id)

    assert bob.store.rows("SELECT * FROM epoch_code") == []
    assert bob.store.rows("SELECT * FROM epoch_code_heard") == []
