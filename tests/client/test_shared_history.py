"""A room's history for who comes in: within its policy, of this room, from who lets them in (M-13)."""

import tracemalloc
from pathlib import Path

import msgspec
import pytest

from securechat.client import records, shared_history
from securechat.client.doubt import doubt
from securechat.client.exported import NotImported
from securechat.client.marks import marks
from securechat.client.newcomers import ALL
from securechat.client.records import ConversationRecord
from securechat.client.shared_history import NotShared, pack, problem, take, unpack
from securechat.content.errors import ContentError
from securechat.content.own_types import MAX_SHARED, SharedHistory, decode_shared, encode_shared
from securechat.membership.room import Join, Kind, Role, Room, make_room, with_roles
from tests.client.archived import ROOM, Kept, Sibling
from tests.client.parts import DOMAIN, NOW

ALICE, BOB, CAROL = (f"mimi://{DOMAIN}/u/{name}" for name in ("alice", "bob", "carol"))
DIRECT = make_room(ROOM, kind=Kind.DIRECT, owner=ALICE, history=ALL)
PRESENT = {ALICE, BOB, CAROL}


def a_room(history: int, *, join: Join = Join.BY_ADMIN, **roles: Role) -> Room:
    made = make_room(ROOM, kind=Kind.ROOM, owner=ALICE, join=join, history=history)
    named = {f"mimi://{DOMAIN}/u/{name}": role for name, role in roles.items()}
    return with_roles(made, {ALICE: Role.OWNER} | named)


def handed(count: int, user: str = CAROL, size: int = 100) -> SharedHistory:
    return SharedHistory(
        user=user, count=count, id=bytes(32), key=bytes(32), prefix=bytes(7), size=size, digest=bytes(32)
    )


@pytest.mark.parametrize(
    ("room", "shared", "sender", "wrong"),
    [
        (a_room(50), handed(50), ALICE, ""),
        (a_room(ALL), handed(MAX_SHARED), ALICE, ""),
        (a_room(50, join=Join.BY_MEMBER), handed(3), BOB, ""),
        (a_room(50, bob=Role.ADMIN), handed(3), BOB, ""),
        (a_room(0), handed(1), ALICE, "the room hands over no history"),
        (a_room(50), handed(51), ALICE, "it is more than the room hands over"),
        (a_room(50), handed(3), BOB, "its sender may let nobody in"),
        (a_room(50, join=Join.BY_MEMBER, bob=Role.READER), handed(3), BOB, "its sender may let nobody in"),
        (DIRECT, handed(3), ALICE, "the room hands over no history"),
    ],
)
def test_everybody_judges_a_pack_by_the_rooms_policy(
    room: Room, shared: SharedHistory, sender: str, wrong: str
) -> None:
    assert problem(shared, room, sender, PRESENT, me=BOB, invited_by=ALICE) == wrong


def test_who_gets_it_takes_it_only_from_who_let_them_in() -> None:
    room = a_room(50, bob=Role.ADMIN)
    wrong = problem(handed(3), room, BOB, PRESENT, me=CAROL, invited_by=ALICE)
    assert wrong == "its sender is not who let us in"
    assert problem(handed(3), room, ALICE, PRESENT, me=CAROL, invited_by=ALICE) == ""


@pytest.mark.parametrize(
    "shared",
    [handed(0), handed(MAX_SHARED + 1), handed(1, size=0), handed(1, size=1 << 31), handed(1, user="carol")],
)
def test_what_is_larger_than_anybody_may_hand_over_is_no_pack(shared: SharedHistory) -> None:
    with pytest.raises(ContentError):
        encode_shared(shared)


def test_a_pack_is_written_and_read_again() -> None:
    assert decode_shared(encode_shared(handed(7))) == handed(7)


@pytest.fixture
def old(tmp_path_factory: pytest.TempPathFactory) -> Sibling:
    return Sibling(tmp_path_factory.mktemp("alice") / "old", Kept())


@pytest.fixture
def new(tmp_path_factory: pytest.TempPathFactory) -> Sibling:
    return Sibling(tmp_path_factory.mktemp("alice") / "new", Kept())


def record_of(sibling: Sibling) -> ConversationRecord:
    sibling.room()
    found = records.by_name(sibling.store.db, "#team")
    assert found is not None
    return found


def packed(old: Sibling, limit: int = 50) -> tuple[SharedHistory, bytes]:
    count, content = pack(old.store.db, record_of(old), by="alice", user="carol", limit=limit)
    return handed(count, size=len(content)), content


def test_it_has_the_last_messages_and_nothing_that_is_to_go(old: Sibling, new: Sibling) -> None:
    for number in range(1, 7):
        old.hears(number)
    old.hears(7, lifetime=60)
    old.withdraws(5)
    shared, content = packed(old, limit=3)

    batch = unpack(content, record_of(new), shared, by="alice", user="carol")

    assert [said.text for said in batch] == ["message 3", "message 4", "message 6"]


def test_what_was_imported_is_not_handed_on_as_if_it_had_been_said(old: Sibling) -> None:
    old.hears(1)
    with old.changes.change() as change:
        change.db.execute("UPDATE message SET imported = mimi_id, mimi_id = NULL, content = x''")
    assert packed(old)[0].count == 0


def test_it_stands_under_its_names_with_the_word_of_who_shared_it(old: Sibling, new: Sibling) -> None:
    """Also what is said to be ours: we have said nothing there."""
    old.hears(1)
    old.hears(2, sender="alice")
    shared, content = packed(old)
    batch = unpack(content, record_of(new), shared, by="alice", user="carol")

    with new.changes.change() as change:
        take(change, record_of(new), batch, by="bob", at=NOW)

    assert [(each.sender, each.own, each.verified) for each in new.timeline()] == [
        ("bob", False, "shared:bob"),
        ("alice", False, "shared:bob"),
    ]
    assert doubt("shared:bob") == "from history, shared by @bob"
    assert marks(new.store.db, record_of(new).id).last.startswith("(from history, shared by @bob) ")
    assert new.store.rows("SELECT DISTINCT shown, printed, reported FROM message") == [(1, 1, 2)]


def test_a_true_message_of_the_same_id_is_still_shown(old: Sibling, new: Sibling) -> None:
    old.hears(1)
    shared, content = packed(old)
    batch = unpack(content, record_of(new), shared, by="alice", user="carol")
    with new.changes.change() as change:
        take(change, record_of(new), batch, by="alice", at=NOW)

    new.hears(1, "the true one")

    assert new.message(1).text == "the true one"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"room": f"mimi://{DOMAIN}/r/another0another0"}, "another room"),
        ({"by": "mallory"}, "somebody else"),
        ({"user": "bob"}, "somebody else"),
        ({"count": 2}, "not as long"),
        ({"format": "securechat-shared/2"}, "damaged"),
    ],
)
def test_a_pack_that_is_not_what_was_announced_is_refused(
    old: Sibling, change: dict[str, object], wrong: str
) -> None:
    old.hears(1)
    shared, content = packed(old)
    header, _, rest = content.partition(b"\n")
    forged = msgspec.json.encode(msgspec.json.decode(header) | change) + b"\n" + rest

    with pytest.raises(NotShared, match=wrong):
        unpack(forged, record_of(old), shared, by="alice", user="carol")


def test_what_was_said_before_was_not_said_later_than_it_was_handed_over(old: Sibling, new: Sibling) -> None:
    """A time of the future would stand above all that is said from now on, for ever."""
    old.hears(1, timestamp=1 << 39)
    shared, content = packed(old)
    batch = unpack(content, record_of(new), shared, by="alice", user="carol")

    with new.changes.change() as change:
        take(change, record_of(new), batch, by="alice", at=NOW)

    assert [each.timestamp for each in new.timeline()] == [NOW]


def test_m_01_a_pack_of_nothing_but_lines_costs_no_more_than_its_bytes(old: Sibling) -> None:
    old.hears(1)
    shared, content = packed(old)
    bomb = content + b"\n" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(NotShared, match="not as long"):
            unpack(bomb, record_of(old), shared, by="alice", user="carol")
        assert tracemalloc.get_traced_memory()[1] < 2 * len(bomb)
    finally:
        tracemalloc.stop()


def test_nothing_of_a_pack_can_act_on_a_terminal(old: Sibling, new: Sibling) -> None:
    old.hears(1, "\x1b[2Jhello", sender="bob\x1b[2J")
    shared, content = packed(old)
    with pytest.raises(NotImported):
        unpack(content, record_of(new), shared, by="alice", user="carol")


def test_only_the_first_pack_of_a_stay_is_taken(old: Sibling) -> None:
    record, first, second = record_of(old), old.hears(1), old.hears(2)
    with old.changes.change() as change:
        shared_history.want(change.db, record, first.local_id, "alice", handed(1))
        shared_history.want(change.db, record, second.local_id, "alice", handed(2))
    assert old.store.rows("SELECT message FROM shared_history") == [(first.local_id,)]


async def test_it_goes_into_the_archive_as_what_it_is(old: Sibling, new: Sibling, tmp_path: Path) -> None:
    """A later device of the newcomer has it too, with the same word beside it."""
    old.hears(1)
    shared, content = packed(old)
    batch = unpack(content, record_of(new), shared, by="alice", user="carol")
    with new.changes.change() as change:
        take(change, record_of(new), batch, by="bob", at=NOW)
    await new.archive.round()

    later = Sibling(tmp_path / "later", new.kept, device=new.device)
    await later.archive.round()

    assert [(each.text, each.verified) for each in later.timeline()] == [("message 1", "shared:bob")]
