"""The key log at the server: every account has an entry, every head is proven, no log forks (N-03, O-09)."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from securechat.membership.statement import make_statement, verify_statement
from securechat.mls.codec import decode, encode
from securechat.names import user_uri
from securechat.protocol import messages as m
from securechat.server import transparency_start
from securechat.server.app import App
from securechat.server.backup import back_up
from securechat.server.config import Rate
from securechat.server.store.sqlite import open_database
from securechat.server.transparency_rows import Nodes, record_statement, standing
from securechat.server.transparency_start import FILE, is_behind, publish
from securechat.transparency.begun import check_begun, read_begun
from securechat.transparency.distinguished import Standing, check_standing, next_distinguished
from securechat.transparency.heads import (
    Extension,
    Judged,
    TreeHead,
    TrustedHead,
    accept_head,
    extends,
    read_offer,
)
from securechat.transparency.search import Found, read_answer, verify_search
from securechat.transparency.update import EMPTY_DIRECTORY, AuditStep, audit, check_audited
from tests.server.peer import Peer, Person, open_room, refusal, registered
from tests.server.running import running_server, until

PEOPLE = ("alice", "bob", "carol")


def taken(app: App, offer: bytes, known: TrustedHead | None = None, *, now: int = 0) -> TrustedHead:
    """The head that was offered, taken as a client takes it."""
    case = Judged(read_offer(offer), known, app.identity_key, now or app._now())
    return accept_head(case)


async def head_of(app: App, peer: Peer, known: TrustedHead | None = None) -> TrustedHead:
    body = m.GetTreeHead() if known is None else m.GetTreeHead(known.head.log, known.head.size)
    answer = await peer.ask(body)
    assert isinstance(answer, m.TreeHeadOffered)
    return taken(app, answer.offer, known)


async def found(app: App, peer: Peer, user: str) -> Found:
    answer = await peer.ask(m.SearchLog(user))
    assert isinstance(answer, m.LogSearched)
    trusted = taken(app, answer.offer)
    found = verify_search(trusted, user_uri(app.identity.domain, user), read_answer(answer.answer))
    assert isinstance(found, Found)
    return found


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(apsw.Connection(str(folder / "data" / "server.db"))) as db:
        return db.execute(sql).fetchall()


async def test_d_03_every_account_has_an_entry_that_anybody_here_can_check(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, *PEOPLE) as people:
        for person, _ in people:
            assert (await found(app, people[0][1], person.user)).names(person.statement)


async def test_a_head_extends_the_one_before(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        first = await head_of(app, alice)
        async with registered(app, "bob", "carol"):
            second = await head_of(app, alice, first)
            again = await head_of(app, alice, second)
        assert (first.head.size, second.head.size) == (1, 3)
        assert again == second


async def test_who_follows_all_entries_comes_to_the_head(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, *PEOPLE) as people:
        head, state = (await head_of(app, people[0][1])).head, EMPTY_DIRECTORY
        answer = await people[0][1].ask(m.AuditLog(head.log, 0))
        assert isinstance(answer, m.LogSteps)
        for step in answer.steps:
            each = decode(AuditStep, step)
            state = audit(state, each.entry, each.before)
        check_audited(state, head)
        assert await people[0][1].ask(m.AuditLog(head.log, 3)) == m.LogSteps([])


async def test_heads_and_entries_are_for_strangers_too_and_names_are_not(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        stranger = await Peer.connect(app.port)
        head = (await head_of(app, stranger)).head
        steps = await stranger.ask(m.AuditLog(head.log, 0))
        extension = await stranger.ask(m.ExtendLog(head.log, 0, 1))
        await stranger.close()
        assert isinstance(steps, m.LogSteps)
        assert len(steps.steps) == 1
        assert isinstance(extension, m.LogExtension)
        assert extends(decode(Extension, extension.extension), head)


async def test_o_09_looking_a_name_up_in_the_log_is_a_look_up(tmp_path: Path) -> None:
    rates = {"look_ups": Rate(1, 0.001)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, *PEOPLE) as people:
        await open_room(people[0], people[1])
        alice = people[0][1]
        assert (await refusal(alice, m.SearchLog("nobody"))).code == "unknown_user"
        assert (await refusal(alice, m.SearchLog("nobody"))).code == "limited"
        assert (await refusal(alice, m.SearchLog("carol"))).code == "limited"
        await found(app, alice, "alice")
        await found(app, alice, "bob")  # in a room with her


async def test_what_stood_at_a_distinguished_size_is_told(tmp_path: Path) -> None:
    """Also once what the newest root no longer reaches was let go of."""
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        _fill(tmp_path, 40)
        head = (await head_of(app, alice)).head
        at = next_distinguished(2)
        answer = await alice.ask(m.MonitorLog("alice", head.log, head.size, at))
        assert isinstance(answer, m.LogStanding)
        searched = await alice.ask(m.SearchLog("alice", after=0))
        assert isinstance(searched, m.LogSearched)
        chain = read_answer(searched.answer).since
        label = chain[0].label
        standing_then = decode(Standing, answer.standing)
        assert check_standing(head, at, standing_then, label=label, chain=chain, reached=1) == 1
        for size in (0, head.size + 1):
            assert (
                await refusal(alice, m.MonitorLog("alice", head.log, head.size, size))
            ).code == "bad_request"
        assert (await refusal(alice, m.MonitorLog("alice", head.log + 1, 1, 1))).code == "gone"


def _fill(folder: Path, count: int) -> None:
    """Add entries as a second server of this database would."""
    with closing(open_database(folder / "data" / "server.db")) as db:
        (domain,) = db.execute("SELECT domain FROM server").fetchone() or ("",)
        for number in range(count):
            person = Person(f"person{number}", domain)
            db.execute("BEGIN IMMEDIATE")
            record_statement(db, person.user, person.statement, None, now=1)
            db.execute("COMMIT")


async def test_nodes_that_no_root_needs_are_let_go_of(tmp_path: Path) -> None:
    async with running_server(tmp_path):
        _fill(tmp_path, 33)
    ((kept,),) = rows(tmp_path, "SELECT count(*) FROM prefix_node")
    ((entries,),) = rows(tmp_path, "SELECT count(*) FROM log_entry")
    assert entries == 33
    assert kept < 33 * 2 * 3  # the newest tree and two distinguished ones; all trees have some 250


async def test_a_restart_goes_on_with_the_log(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        before = await head_of(app, alice)
    async with running_server(tmp_path) as app, registered(app, "bob") as ((_, bob),):
        after = await head_of(app, bob, before)
        assert (after.head.log, after.head.size) == (before.head.log, 2)


async def test_n_03_a_copy_that_lacks_an_entry_begins_another_log_in_the_open(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await head_of(app, alice)
        back_up(tmp_path / "data" / "server.db", copy)
        async with registered(app, "bob"):
            lost = await head_of(app, alice)
    _put_back(tmp_path, copy)
    async with running_server(tmp_path) as app, registered(app, "carol") as ((_, carol),):
        answer = await carol.ask(m.GetTreeHead(lost.head.log, lost.head.size))
        assert isinstance(answer, m.TreeHeadOffered)
        begun = read_begun(answer.begun)
        check_begun(begun, lost.head, log=begun.log, server_key=app.identity_key)
        assert begun.before == lost.head
        after = taken(app, answer.offer)
        assert (after.head.log, after.head.size) == (app.identity.incarnation, 2)
        assert (await found(app, carol, "alice")).state.revision == 1
    async with running_server(tmp_path) as app, registered(app, "dave") as ((_, dave),):
        assert (await head_of(app, dave, after)).head.size == 3  # and it is begun once


async def test_n_03_a_copy_that_has_all_that_was_signed_goes_on(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        back_up(tmp_path / "data" / "server.db", copy)
        before = await head_of(app, alice)
    _put_back(tmp_path, copy)
    async with running_server(tmp_path) as app, registered(app, "bob") as ((_, bob),):
        assert app.identity.incarnation > before.head.log
        assert (await head_of(app, bob, before)).head.log == before.head.log


@pytest.mark.parametrize("is_marked", [True, False])
async def test_n_03_without_the_file_nobody_knows_so_another_log_begins(
    tmp_path: Path,
    is_marked: bool,  # noqa: FBT001
) -> None:
    copy = tmp_path / "copy.db"
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        before = await head_of(app, alice)
        back_up(tmp_path / "data" / "server.db", copy)
    if is_marked:
        _put_back(tmp_path, copy)
    (tmp_path / "data" / FILE).unlink()
    async with running_server(tmp_path) as app, registered(app, "bob") as ((_, bob),):
        answer = await bob.ask(m.GetTreeHead(before.head.log, before.head.size))
        assert isinstance(answer, m.TreeHeadOffered)
        assert read_begun(answer.begun).before is not None
        assert taken(app, answer.offer).head.log > before.head.log


async def test_n_03_a_database_that_was_put_back_unsaid_is_found_by_the_file(tmp_path: Path) -> None:
    """Its incarnation begins too: clients would hold everything otherwise, and not know why."""
    saved = tmp_path / "saved.db"
    async with running_server(tmp_path) as app, registered(app, "alice"):
        pass
    shutil.copy(tmp_path / "data" / "server.db", saved)
    async with running_server(tmp_path) as app, registered(app, "bob") as ((_, bob),):
        before, incarnation = await head_of(app, bob), app.identity.incarnation
    shutil.copy(saved, tmp_path / "data" / "server.db")
    assert is_behind(tmp_path / "data" / "server.db")
    async with running_server(tmp_path) as app, registered(app, "carol") as ((_, carol),):
        assert app.identity.incarnation > incarnation
        assert (await head_of(app, carol)).head.log > before.head.log


def _put_back(folder: Path, copy: Path) -> None:
    for side in ("-wal", "-shm"):
        (folder / "data" / f"server.db{side}").unlink(missing_ok=True)
    shutil.copy(copy, folder / "data" / "server.db")


async def test_a_head_lies_in_the_file_before_it_is_spoken(tmp_path: Path) -> None:
    """What a crash leaves in between is the last head, and the next one is not of an earlier time."""
    database = tmp_path / "data" / "server.db"
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        first = (await head_of(app, alice)).head
        with closing(open_database(database)) as db:
            db.execute("BEGIN IMMEDIATE")
            later = first.timestamp + transparency_start.RESIGN_SECONDS
            publish(db, database, app.identity.key, standing(db).state, now=later)
            db.execute("ROLLBACK")
        assert decode(TreeHead, (tmp_path / "data" / FILE).read_bytes()).timestamp == later
    async with running_server(tmp_path) as app, registered(app, "bob") as ((_, bob),):
        answer = await bob.ask(m.GetTreeHead())
        assert isinstance(answer, m.TreeHeadOffered)
        after = taken(app, answer.offer, now=later).head
        assert (after.log, after.size, after.timestamp) == (first.log, 2, later)


async def test_what_is_not_committed_is_not_signed(tmp_path: Path) -> None:
    database = tmp_path / "data" / "server.db"
    async with running_server(tmp_path) as app, registered(app, "alice"):
        with closing(open_database(database)) as db:
            committed = standing(db).state
            db.execute("BEGIN IMMEDIATE")
            person = Person("bob", app.identity.domain)
            record_statement(db, "bob", person.statement, None, now=1)
            publish(db, database, app.identity.key, committed, now=1)
            signed = standing(db).head
            db.execute("ROLLBACK")
        assert signed is not None
        assert signed.size == committed.frontier.size == 1


async def test_accounts_of_before_the_log_get_their_entries(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, *PEOPLE, *(f"user{n}" for n in range(9))):
        pass
    with closing(apsw.Connection(str(tmp_path / "data" / "server.db"))) as db:
        for table in ("key_log", "log_entry", "log_node", "prefix_node", "log_label"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608
    (tmp_path / "data" / FILE).unlink(missing_ok=True)
    async with running_server(tmp_path) as app, registered(app, "dave") as ((_, dave),):
        await until(lambda: rows(tmp_path, "SELECT count(*) FROM log_entry") == [(13,)])
        assert (await found(app, dave, "user8")).state.revision == 1
    ((filled,),) = rows(tmp_path, "SELECT filled FROM key_log")
    assert filled >= 12


async def test_an_account_of_before_the_log_that_changes_first_gets_both_entries(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        person = Person("old", app.identity.domain)
    with closing(open_database(tmp_path / "data" / "server.db")) as db:
        first = person.statement
        devices = verify_statement(first).devices
        user = user_uri(person.domain, "old")
        second = make_statement(person.account_key, user=user, devices=devices, issued_at=2, previous=first)
        record_statement(db, "old", second, first, now=5)
        state = standing(db).state
        assert state.frontier.size == 2
        assert Nodes(db).log_entry(1).change.revision == 2
        assert encode(state) != encode(EMPTY_DIRECTORY)
