"""What a device keeps of its own account, held against what a restored server has (N-03)."""

from dataclasses import dataclass, field
from pathlib import Path

from securechat.client import own_rows, records
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
from tests.client.parts import NOW


def a_vault(content: bytes, serial: int = 2) -> bytes:
    return encode(Vault(VERSION, serial, b"", b"", content))


@dataclass
class Shown:
    """A server that has alice's chain and some vault."""

    alice: AnAccount
    vault: bytes
    asked: list[RequestBody] = field(default_factory=list)

    async def request(self, body: RequestBody) -> Answer:
        self.asked.append(body)
        if isinstance(body, GetVault):
            return SealedVault(self.vault)
        if isinstance(body, GetDevices):
            return Devices([])
        assert isinstance(body, GetStatements)
        return Statements("alice", self.alice.statements[body.after :])


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

    def told() -> int:
        return sum(isinstance(each, Notice) and each.code == OTHER_VAULT for each in member.events)

    await own.keep()
    assert own_rows.vault(db, 2) == a_vault(b"good")
    server.vault = a_vault(b"of no use")
    await own.keep()
    assert told() == 0  # it is asked for once in an incarnation
    with member.changes.change() as change:
        records.set_counter(change.db, records.INCARNATION, 7)

    server.vault = a_vault(b"another device was faster", serial=3)
    await own.keep()
    assert told() == 0
    server.vault = a_vault(b"of no use")
    await own.keep()
    await own.keep()

    assert told() == 1
    assert own_rows.vault(db, 2) == a_vault(b"good")
