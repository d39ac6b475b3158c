"""Public states in the database: few rows per commit, and memory that never lies."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from securechat.membership.signing import public_of
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.errors import MLSError
from securechat.mls.key_package import key_package_reference
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_POLICY
from securechat.server.config import Quotas
from securechat.server.errors import Refusal, StoreFailed
from securechat.server.groups import LEAF_BYTES, Groups, _weight, tree_bytes
from securechat.server.judging import leaf_owner
from securechat.server.ordering import Ordering
from securechat.server.quota import Quota
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.values import Caller
from tests.server.peer import Person, commit_request, create_request

MEMBERS = 64
LEVELS = 6


@pytest.fixture
def db(tmp_path: Path) -> apsw.Connection:
    return open_database(prepare_database(tmp_path / "data"))


@pytest.fixture
def people(db: apsw.Connection) -> list[Person]:
    found = [Person(f"user{number}", "example.org") for number in range(MEMBERS)]
    for number, person in enumerate(found, start=1):
        db.execute(
            "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
            "VALUES (?, ?, x'', '', ?, x'', 0)",
            (number, person.user, public_of(person.account_key)),
        )
        db.execute(
            "INSERT INTO client (account, name, device_key, credential, created) VALUES (?, ?, ?, x'', 0)",
            (number, person.client, public_of(person.device_key)),
        )
    return found


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[list[int]]:
    """Yields a list that holds the count of changed rows at the end."""
    changed: list[int] = []
    before = db.total_changes()
    db.execute("BEGIN IMMEDIATE")
    yield changed
    db.execute("COMMIT")
    changed.append(db.total_changes() - before)


class Creator:
    """The first member, asking the ordering service without a network."""

    def __init__(self, db: apsw.Connection, person: Person, ordering: Ordering) -> None:
        self.db, self.ordering = db, ordering
        self.caller = Caller(1, person.user, 1, person.client)
        self.group = person.group()
        self.head = 0
        request = create_request(self.group)
        opening = ordering.prepare_create(db, self.caller, request)
        with transaction(db):
            ordering.create(db, self.caller, request, opening)

    def commit(self, plan: CommitPlan) -> int:
        """Commit, and return how many rows it changed."""
        staged = self.group.stage_commit(plan)
        request = commit_request(self.group, staged, self.head)
        self._claim(staged)
        judged = self.ordering.prepare_commit(self.db, self.caller, request)
        with transaction(self.db) as changed:
            decision = self.ordering.commit(self.db, self.caller, request, judged)
        assert isinstance(decision.answer, m.Appended)
        self.group.merge(staged)
        self.head = decision.answer.sequence
        return changed[0]

    def _claim(self, staged: StagedCommit) -> None:
        """Have handed out what the commit adds, as the directory does."""
        clients = {client: row for row, client in self.db.execute("SELECT id, name FROM client")}
        for added in staged.facts.added:
            self.db.execute(
                "INSERT INTO key_package (client, suite, last_resort, claimed, not_after, reference, body) "
                "VALUES (?, 3, 0, 1, ?, ?, x'')",
                (
                    clients[leaf_owner(added.leaf_node)[1]],
                    2**40,
                    key_package_reference(added.key_package),
                ),
            )


def opened(db: apsw.Connection, people: list[Person], groups: Groups) -> Creator:
    creator = Creator(
        db, people[0], Ordering(groups, "example.org", lambda: int(time.time()), Quota(Quotas()))
    )
    packages = tuple(person.key_package().key_package for person in people[1:])
    creator.commit(CommitPlan(add=packages))
    return creator


def test_a_commit_of_a_warm_tree_changes_a_row_or_two_per_level(
    db: apsw.Connection, people: list[Person]
) -> None:
    creator = opened(db, people, Groups())
    creator.commit(CommitPlan(update=True))
    assert creator.commit(CommitPlan(update=True)) <= 2 * (LEVELS + 1) + 9


def test_o_07_a_commit_that_was_sent_too_early_is_not_judged_while_all_others_wait(
    db: apsw.Connection, people: list[Person]
) -> None:
    """Sent one behind the other, each would be judged in the writer's transaction: everybody's time."""
    creator = opened(db, people, Groups())
    first = creator.group.stage_commit(CommitPlan(update=True))
    requests = [commit_request(creator.group, first, creator.head)]
    creator.group.merge(first)
    second = creator.group.stage_commit(CommitPlan(update=True))
    requests.append(commit_request(creator.group, second, creator.head + 1))
    judged = [creator.ordering.prepare_commit(db, creator.caller, request) for request in requests]
    assert judged[1] is None, "where the log stood it could not be judged"
    with transaction(db):
        creator.ordering.commit(db, creator.caller, requests[0], judged[0])
        with pytest.raises(Refusal) as refused:
            creator.ordering.commit(db, creator.caller, requests[1], judged[1])
    assert refused.value.refused.code == "behind"
    again = creator.ordering.prepare_commit(db, creator.caller, requests[1])
    with transaction(db):
        creator.ordering.commit(db, creator.caller, requests[1], again)


def test_a_commit_that_was_judged_before_a_proposal_came_is_not_taken(
    db: apsw.Connection, people: list[Person]
) -> None:
    """It would leave the proposal out, which the judge has not seen."""
    creator = opened(db, people, Groups())
    staged = creator.group.stage_commit(CommitPlan(update=True))
    request = commit_request(creator.group, staged, creator.head)
    judged = creator.ordering.prepare_commit(db, creator.caller, request)
    proposal = m.Propose(creator.group.group_id, 1, creator.group.propose_update())
    proposed = creator.ordering.prepare_proposal(db, creator.caller, proposal)
    with transaction(db):
        creator.ordering.propose(db, creator.caller, proposal, proposed)
    with transaction(db), pytest.raises(Refusal) as refused:
        creator.ordering.commit(db, creator.caller, request, judged)
    assert refused.value.refused.code == "behind"


def test_what_is_read_from_the_rows_is_what_was_in_memory(db: apsw.Connection, people: list[Person]) -> None:
    groups = Groups()
    creator = opened(db, people, groups)
    creator.commit(CommitPlan(update=True))
    warm, cold = groups.load(db, 1), Groups().load(db, 1)
    assert warm == cold
    assert cold.tree.tree_hash() == cold.context.tree_hash == creator.group.public.context.tree_hash


def test_o_07_small_groups_of_large_policies_do_not_fill_the_memory(
    db: apsw.Connection, people: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by leaves alone, fifty thousand groups of one with 64 KiB of banned users each would stay."""
    groups = Groups()
    opened(db, people[:1], groups)
    small = groups.load(db, 1)
    monkeypatch.setattr("securechat.server.groups.KEPT_LEAVES", 1_000)
    for conversation in range(2, 200):
        groups._keep(conversation, bytes(MAX_POLICY), small)
    kept = sum(len(data) for data, _ in groups._states.values())
    assert MAX_POLICY < kept <= 1_000 * LEAF_BYTES
    for conversation in range(2, 200):
        groups._keep(conversation, b"", small)
    assert groups._leaves == sum(_weight(*state) for state in groups._states.values())


def test_memory_that_does_not_fit_the_database_is_not_used(db: apsw.Connection, people: list[Person]) -> None:
    groups = Groups()
    creator = opened(db, people, groups)
    kept = groups.load(db, 1)
    other = Ordering(Groups(), "example.org", lambda: int(time.time()), Quota(Quotas()))
    creator.ordering = other
    creator.commit(CommitPlan(update=True))
    assert groups.load(db, 1) != kept
    assert groups.load(db, 1) == creator.group.public


def test_c_05_over_a_damaged_tree_nothing_is_judged(db: apsw.Connection, people: list[Person]) -> None:
    creator = opened(db, people, Groups())
    creator.commit(CommitPlan(update=True))
    found: list[Any] = db.execute("SELECT id, body FROM tree_node WHERE until IS NULL").fetchall()
    for row, body in found[:4]:
        bad = body[:-1] + bytes([body[-1] ^ 1])
        db.execute("UPDATE tree_node SET body = ? WHERE id = ?", (bad, row))
        with pytest.raises(StoreFailed, match="damaged"):
            Groups().load(db, 1)
        db.execute("UPDATE tree_node SET body = ? WHERE id = ?", (body, row))
    db.execute("DELETE FROM tree_node WHERE node = 0 AND until IS NULL")
    with pytest.raises(StoreFailed, match="damaged"):
        Groups().load(db, 1)


def test_old_nodes_stay_while_a_welcome_waits_and_go_with_it(
    db: apsw.Connection, people: list[Person]
) -> None:
    groups = Groups()
    creator = opened(db, people, groups)
    for _ in range(3):
        creator.commit(CommitPlan(update=True))
    joined = RatchetTree.from_bytes(SUITE_3, tree_bytes(db, 1, 1))
    assert joined.tree_hash() != creator.group.public.context.tree_hash
    assert joined.member_count == MEMBERS
    db.execute("DELETE FROM inbox")
    creator.commit(CommitPlan(update=True))
    assert db.execute("SELECT count(*) FROM tree_node WHERE until IS NOT NULL").fetchall() == [(0,)]


def test_c_05_a_damaged_place_in_a_tree_takes_no_memory(db: apsw.Connection, people: list[Person]) -> None:
    opened(db, people, Groups())
    db.execute("UPDATE tree_node SET node = 1 << 60 WHERE node = 0 AND until IS NULL")
    with pytest.raises(MLSError, match="no tree"):
        tree_bytes(db, 1, 1)


def test_what_is_kept_is_bounded(
    db: apsw.Connection, people: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.groups.KEPT_LEAVES", MEMBERS)
    groups = Groups()
    opened(db, people, groups)
    second = Person("second", "example.org")
    with transaction(db):
        for number in range(2, 6):
            db.execute(
                "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) "
                "VALUES (?, 0, 0, 0, 0)",
                (bytes([number]) * 16,),
            )
            groups.write(db, number, second.group().public, None)
    assert groups._leaves <= MEMBERS
    assert 1 not in groups._states


def test_of_the_lists_of_members_so_many_are_kept(
    db: apsw.Connection, people: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.groups.KEPT_CLIENTS", MEMBERS)
    groups = Groups()
    opened(db, people, groups)
    for conversation in range(1, 6):
        groups.present(db, conversation, 1)
        db.execute(
            "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) "
            "VALUES (?, 0, 0, 0, 0)",
            (bytes([conversation]) * 16,),
        )
        db.execute(
            "INSERT INTO member (conversation, client, leaf, may_speak, start, cursor) "
            "SELECT last_insert_rowid(), client, leaf, 1, 1, 0 FROM member WHERE conversation = 1"
        )
    assert groups._clients <= MEMBERS
    assert len(groups._present) == 1
