"""What a device keeps of its own account, held against what a restored server has (N-03)."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from securechat.client import own_rows, records
from securechat.client.errors import RefusedByServer
from securechat.client.events import Notice
from securechat.client.own_account import OTHER_VAULT, OwnAccount
from securechat.membership.account import next_statement
from securechat.membership.vault import VERSION, Vault
from securechat.mls.codec import encode
from securechat.protocol.messages import (
    Answer,
    Devices,
    GetDevices,
    GetStatements,
    GetVault,
    RequestBody,
    SealedVault,
    Statements,
)
from tests.client.account import AnAccount
from tests.client.members import MemberOf
from tests.client.parts import NOW


def a_vault(content: bytes, serial: int = 2) -> bytes:
    return encode(Vault(VERSION, serial, b"", b"", content))


@dataclass
class Shown:
    """A server that has alice's chain and some vault; ``lies`` it shows as hers, too."""

    alice: AnAccount
    vault: bytes | None
    lies: tuple[bytes, ...] = ()
    asked: list[RequestBody] = field(default_factory=list)

    async def request(self, body: RequestBody) -> Answer:
        self.asked.append(body)
        if isinstance(body, GetVault):
            if self.vault is None:
                raise RefusedByServer("no_vault")
            return SealedVault(self.vault)
        if isinstance(body, GetDevices):
            return Devices([])
        assert isinstance(body, GetStatements)
        return Statements("alice", [*self.alice.statements[body.after :], *self.lies])


def told(member: MemberOf) -> int:
    return sum(isinstance(each, Notice) and each.code == OTHER_VAULT for each in member.events)


async def test_n_03_a_vault_that_somebody_left_at_a_restored_server_is_told_of(tmp_path: Path) -> None:
    """A device that is revoked by now may have come first: what it brought opens nothing."""
    alice = AnAccount("alice")
    member = alice.first(tmp_path)
    made = next_statement(alice.key, previous=alice.newest, issued_at=NOW, vault_serial=2)
    alice.statements.append(made.statement)
    alice.shown_to(member)
    server = Shown(alice, a_vault(b"good"))
    own = OwnAccount(member.changes, server.request, member.device)
    db = member.store.db

    await own.keep()
    assert own_rows.vault(db, 2) == a_vault(b"good")
    server.vault = a_vault(b"of no use")
    await own.keep()
    assert told(member) == 0  # it is asked for once in an incarnation
    with member.changes.change() as change:
        records.set_counter(change.db, records.INCARNATION, 7)

    server.vault = a_vault(b"another device was faster", serial=3)
    await own.keep()
    assert told(member) == 0
    server.vault = a_vault(b"of no use")
    await own.keep()
    await own.keep()

    assert told(member) == 1
    assert own_rows.vault(db, 2) == a_vault(b"good")


@pytest.mark.parametrize("what", [None, a_vault(b"of before", serial=1), b"nonsense"])
@pytest.mark.parametrize("had_it", [True, False])
async def test_n_03_a_server_that_has_not_the_vault_is_told_of_once(
    tmp_path: Path, what: bytes | None, *, had_it: bool
) -> None:
    """Nobody with the recovery key alone comes back by that, so the owner is to make another."""
    alice = AnAccount("alice")
    member = alice.first(tmp_path)
    alice.statements.append(
        next_statement(alice.key, previous=alice.newest, issued_at=NOW, vault_serial=2).statement
    )
    alice.shown_to(member)
    server = Shown(alice, a_vault(b"good"))
    own = OwnAccount(member.changes, server.request, member.device)
    if had_it:
        await own.keep()
    with member.changes.change() as change:
        records.set_counter(change.db, records.INCARNATION, 7)

    server.vault = what
    for _ in range(3):
        await own.keep()

    assert told(member) == 1
    assert own_rows.vault(member.store.db, 2) == (a_vault(b"good") if had_it else b"")


async def test_n_03_what_a_server_shows_beside_our_chain_drives_nothing_of_it_out(tmp_path: Path) -> None:
    """Another account's statements, and one of ours that was never in force: else it could not be offered."""
    alice, mallory = AnAccount("alice"), AnAccount("alice")
    member = alice.first(tmp_path)
    alice.links(tmp_path)
    never = next_statement(
        alice.key, previous=alice.statements[0], issued_at=NOW + 1, vault_serial=2
    ).statement
    alice.links(tmp_path)
    (tmp_path / "mallory").mkdir()
    mallory.first(tmp_path / "mallory")
    alice.shown_to(member)
    server = Shown(alice, a_vault(b"good"), (never, *mallory.statements))
    with member.changes.change() as change:
        own_rows.keep_chain(change.db, alice.newest, [])

    await OwnAccount(member.changes, server.request, member.device).keep()

    kept = own_rows.chain_to(member.store.db, alice.newest)
    assert [kept[serial] for serial in sorted(kept)] == alice.statements
    rows = list(member.store.db.execute("SELECT body FROM own_statement ORDER BY serial"))
    assert [body for (body,) in rows] == alice.statements
