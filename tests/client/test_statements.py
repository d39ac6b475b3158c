"""Statements as a device knows them: a chain that goes on and never back (D-03)."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from securechat.client import statements
from securechat.client.errors import UntrustedKeys
from securechat.client.store import KEY_SIZE, ClientStore, create_store
from securechat.membership.account import next_statement
from securechat.membership.signing import load_key, public_of
from securechat.membership.statement import Device, StatementRefused, make_statement
from securechat.protocol.messages import Answer, GetStatements, RequestBody, Statements

BOB = "mimi://chat.example/u/bob"
ACCOUNT, OTHER = load_key(bytes(32)), load_key(bytes(range(32)))


def chain_of(count: int, key: object = ACCOUNT) -> list[bytes]:
    assert key in (ACCOUNT, OTHER)
    account = ACCOUNT if key is ACCOUNT else OTHER
    device = Device(b"mimi://chat.example/d/0123456789abcdef", bytes(32))
    chain = [make_statement(account, user=BOB, devices=(device,), issued_at=1)]
    while len(chain) < count:
        added = (f"{len(chain):026d}", bytes([len(chain)]) * 32, (3,))
        chain.append(next_statement(account, previous=chain[-1], issued_at=1, add=[added]).statement)
    return chain


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClientStore]:
    made = create_store(tmp_path / "store.db", bytes(KEY_SIZE))
    yield made
    made.close()


def take(store: ClientStore, chain: list[bytes], key: object = ACCOUNT) -> int:
    account = ACCOUNT if key is ACCOUNT else OTHER
    with store.transaction() as db:
        statement, _ = statements.take(db, "bob", chain, user_uri=BOB, account_key=public_of(account), now=1)
    return statement.serial


def test_a_chain_is_taken_from_its_beginning_and_goes_on(store: ClientStore) -> None:
    chain = chain_of(4)
    assert take(store, chain[:2]) == 2
    assert take(store, []) == 2
    assert take(store, chain[2:]) == 4
    assert statements.known_serial(store.db, "bob") == 4
    newest = statements.newest(store.db, "bob")
    assert newest is not None
    assert len(newest.devices) == 4


@pytest.mark.parametrize("lie", ["no beginning", "nothing", "a hole", "twice", "back", "another key", "fork"])
def test_d_03_what_does_not_follow_is_refused_whole(lie: str, store: ClientStore) -> None:
    chain = chain_of(4)
    fork = next_statement(ACCOUNT, previous=chain[1], issued_at=99).statement
    told = {
        "no beginning": (None, chain[1:]),
        "nothing": (None, []),
        "a hole": (chain[:1], chain[2:]),
        "twice": (chain[:2], chain[1:]),
        "back": (chain[:2], chain[:1]),
        "another key": (None, chain_of(2, OTHER)),
        "fork": (chain[:3], [fork]),
    }
    known, lies = told[lie]
    if known is not None:
        take(store, known)
    before = statements.newest_bytes(store.db, "bob")
    with pytest.raises(StatementRefused):
        take(store, lies)
    assert statements.newest_bytes(store.db, "bob") == before


def test_a_new_account_key_that_was_accepted_begins_a_chain_of_its_own(store: ClientStore) -> None:
    take(store, chain_of(3))
    assert take(store, chain_of(1, OTHER), OTHER) == 1
    with pytest.raises(StatementRefused):
        take(store, chain_of(3)[1:])


async def test_statements_are_fetched_page_by_page_and_not_for_ever() -> None:
    chain = chain_of(5)

    async def ask(body: RequestBody) -> Answer:
        assert isinstance(body, GetStatements)
        return Statements("bob", chain[body.after : body.after + 2], more=body.after + 2 < len(chain))

    async def endless(_body: RequestBody) -> Answer:
        return Statements("bob", [], more=True)

    async def without_end(_body: RequestBody) -> Answer:
        return Statements("bob", [b"x"], more=True)

    assert await statements.fetch(ask, "bob", after=1) == chain[1:]
    for lying in (endless, without_end):
        with pytest.raises(UntrustedKeys):
            await statements.fetch(lying, "bob", after=0)


def test_our_own_first_statement_is_there_from_the_beginning(store: ClientStore) -> None:
    with store.transaction() as db:
        statements.keep_statement(db, "bob", chain_of(1)[0])
    assert isinstance(store.db, apsw.Connection)
    assert take(store, chain_of(2)[1:]) == 2
