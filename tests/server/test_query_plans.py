"""No statement reads a whole table that grows with what is stored (O-06, O-07).

The statements are those that real services ran: every connection of a server is listened to while
people do all there is to do and time passes, and SQLite is then asked how it answers each.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server import quota
from securechat.server.store import reader, sqlite, writer
from tests.server.peer import claim, commit_request, open_room, publish, registered
from tests.server.running import running_server
from tests.server.sweeping import CURSORS, acknowledge, open_cursors, sweep

GROWING = frozenset(
    {
        *("account", "answer", "chunk", "client", "conversation", "direct_slot", "entry", "epoch_state"),
        *("file", "files_of"),
        *("inbox", "invite", "key_package", "member", "pending", "restore", "tree_node", "unread", "upload"),
    }
)
"""All tables but the one with one row."""

OURS = frozenset({CURSORS})
"""Asked by the tests themselves."""

_SCAN = re.compile(r"^SCAN (\w+)(.*)$")


@contextmanager
def overheard(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """All statements that connections of servers run."""
    said: set[str] = set()

    def note(_: apsw.Cursor, statement: str, __: object) -> bool:
        said.add(" ".join(statement.split()))
        return True

    def listened(path: Path) -> apsw.Connection:
        db = sqlite.open_database(path)
        db.exec_trace = note
        return db

    def listened_reading(path: Path) -> apsw.Connection:
        db = sqlite.open_for_reading(path)
        db.exec_trace = note
        return db

    monkeypatch.setattr(writer, "open_database", listened)
    monkeypatch.setattr(reader, "open_for_reading", listened_reading)
    yield said


async def everything_happens(folder: Path) -> None:
    """People register, talk, come, go, upload; and all of it has its time."""
    async with running_server(folder) as app, registered(app, "alice", "bob", "carol") as people:
        (_, alice), (bobs_keys, bob), (carols_keys, carol) = people
        at_alice, at_bob, _ = await open_room(*people)
        room = at_alice.group_id
        for peer in (bob, carol):
            await acknowledge(app, peer, b"", 1)
        for number in range(40):
            await alice.ask(m.SendMessage(room, 1, at_alice.encrypt(b"%d" % number)))
        await acknowledge(app, bob, room, 20)
        await alice.ask(m.GetAccount("bob"))
        await bob.ask(m.CountKeyPackages())
        await publish(carol, carols_keys, 2, last_resort=True)
        await claim(bob, "carol")
        proposal = at_bob.propose_self_remove()
        await bob.ask(m.Propose(room, 1, proposal))
        at_alice.accept(at_alice.examine(proposal))  # type: ignore[arg-type]
        leaving = at_alice.stage_commit(CommitPlan())
        await alice.ask(commit_request(at_alice, leaving, 42))
        at_alice.merge(leaving)
        await publish(bob, bobs_keys)
        added = at_alice.stage_commit(CommitPlan(add=(await claim(alice, "bob"),)))
        await alice.ask(commit_request(at_alice, added, 43))
        for body in (
            m.Sync(),
            m.Sync(incarnation=1),
            m.Fetch(room, 2),
            m.GetGroupInfo(room),
            m.GetTree(room, 3),
            m.PutChunk(b"u" * 16, 0, 10, b"0123456789"),
            m.PutFile(b"w" * 32, 0, 10, b"0123456789"),
            m.GetFile(b"w" * 32),
            m.PutFile(b"x" * 32, 0, 10),
            m.DeleteFile(b"x" * 32),
        ):
            await alice.ask(body)
        await alice.ask(m.GetBlob(hashlib.sha256(b"0123456789").digest(), 0))
        await bob.ask(m.FetchInbox(0))
        for days in (0, 31, 91):
            await sweep(app, days=days)


def plan(db: apsw.Connection, statement: str) -> list[str]:
    rows = db.execute(f"EXPLAIN QUERY PLAN {statement}", _bindings(statement))
    return [str(detail) for *_, detail in rows]


def _bindings(statement: str) -> tuple[None, ...] | dict[str, None]:
    """Anything fits: a plan is made before a value is looked at."""
    named = set(re.findall(r":(\w+)", statement))
    if named:
        return dict.fromkeys(named)
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    return (None,) * (max(numbered, default=0) or statement.count("?"))


def scans(db: apsw.Connection, statement: str) -> list[str]:
    """The growing tables that a statement goes through from end to end."""
    names = {alias: table for table, alias in re.findall(r"\b(?:FROM|JOIN) (\w+) (?:AS )?(\w+)\b", statement)}
    found = []
    for line in plan(db, statement):
        scan = _SCAN.match(line)
        if scan and names.get(scan[1], scan[1]) in GROWING:
            found.append(line)
    return found


@pytest.fixture
def db(tmp_path: Path) -> apsw.Connection:
    return sqlite.open_database(sqlite.prepare_database(tmp_path / "empty"))


async def test_no_statement_goes_through_a_growing_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: apsw.Connection
) -> None:
    with overheard(monkeypatch) as said:
        await everything_happens(tmp_path)

    asked = [each for each in said - OURS if re.match("SELECT|INSERT|UPDATE|DELETE|WITH", each)]
    slow = {each: found for each in asked if (found := scans(db, each))}
    assert slow == {}
    assert len(asked) > 80
    for table in sorted(GROWING - {"invite", "direct_slot", "restore"}):
        assert any(re.search(rf"\b{table}\b", each) for each in asked), f"nothing was asked of {table}"


async def test_whatever_happens_no_cursor_stays_open(tmp_path: Path) -> None:
    """A statement that is asked amid another's rows leaves one in APSW 3.54, for the connection's life."""
    before = open_cursors()
    await everything_happens(tmp_path)
    assert open_cursors() == before


def test_a_scan_would_be_seen(db: apsw.Connection) -> None:
    assert scans(db, "SELECT count(*) FROM entry WHERE client = ?")
    assert scans(db, "SELECT e.id FROM entry e WHERE e.time < ?")
    assert not scans(db, "SELECT e.id FROM entry e WHERE e.conversation = ? AND e.sequence > ?")


def test_o_06_whether_somebody_is_a_stranger_is_asked_of_the_strangers_conversations(
    db: apsw.Connection,
) -> None:
    """Not of the client's own: with thousands of them each invitation would be a second of the writer's."""
    for statement in (quota._IS_STRANGER, quota._STRANGERS):
        steps = [step for step in plan(db, statement) if "theirs" in step or "mine" in step]
        assert [step.split()[1] for step in steps] == ["theirs", "mine"]
        assert "client=? AND conversation=?" in steps[1]


def test_expiry_and_the_hot_path_use_the_indexes_made_for_them(db: apsw.Connection) -> None:
    """Where a plan turns from an index of few rows to one of many, nothing breaks but the cost."""
    wanted = {
        "SELECT conversation, sequence FROM entry WHERE kind = 'commit' AND time < ? ORDER BY time LIMIT 1": (
            "entry_commit"
        ),
        "SELECT time FROM entry WHERE conversation = ? AND digest IS NOT NULL ORDER BY sequence LIMIT ?": (
            "entry_digest"
        ),
        "SELECT id FROM inbox WHERE time < ? ORDER BY time LIMIT ?": "inbox_time",
        'SELECT min(cursor) FROM member WHERE conversation = ? AND "end" IS NOT NULL AND cursor < "end"': (
            "member_behind"
        ),
        "SELECT count(*) FROM upload WHERE client = ? AND claimed = 0 AND created >= ?": "upload_open",
    }
    for statement, index in wanted.items():
        assert index in " ".join(plan(db, statement))
