"""Logging in by the recovery key, vaults, and accounts that begin anew (A-05, A-09, N-02)."""

import secrets
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securechat.membership.account import next_statement
from securechat.membership.identity import make_client_credential
from securechat.membership.login import Purpose
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.names import client_uri, user_uri
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_VAULT
from securechat.server.config import Rate
from securechat.server.desk import Desk
from securechat.server.guesses import find_known
from tests.server.peer import Peer, Person, WasRefused, publish
from tests.server.peer import refusal as refused_with
from tests.server.running import UNLIMITED, running_server

RECOVERY_KEY = new_key()
VAULT = b"sealed by its owner"


@dataclass
class Careful(Person):
    """Somebody who registers with a recovery key."""

    @property
    def statement(self) -> bytes:
        device = Device(client_uri(self.domain, self.client).encode(), public_of(self.device_key))
        return make_statement(
            self.account_key,
            user=user_uri(self.domain, self.user),
            devices=(device,),
            issued_at=1,
            vault_serial=1,
        )

    def registration(self, nonce: bytes, login_signature: bytes, device_signature: bytes) -> m.Register:
        plain = super().registration(nonce, login_signature, device_signature)
        return msgspec.structs.replace(plain, vault=VAULT, recovery_key=public_of(RECOVERY_KEY))


async def careful(port: int, user: str = "alice") -> tuple[Careful, Peer]:
    peer = await Peer.connect(port)
    assert peer.hello is not None
    person = Careful(user, peer.hello.domain)
    await peer.register(person)
    return person, peer


async def refusal(peer: Peer, body: m.RequestBody) -> str:
    return (await refused_with(peer, body)).code


async def for_recovery(
    port: int, person: Person, key: Any = RECOVERY_KEY, *, purpose: Purpose = Purpose.RECOVERY
) -> tuple[Peer, m.LoggedIn]:
    peer = await Peer.connect(port)
    nonce = secrets.token_bytes(32)
    signature = key.sign(peer.challenge(person, purpose, nonce, ""))
    try:
        answer = await peer.ask(m.LogInForRecovery(person.user, nonce, signature))
    except WasRefused:
        await peer.close()
        raise
    assert isinstance(answer, m.LoggedIn)
    return peer, answer


async def told(port: int, person: Person, key: Any = RECOVERY_KEY, **more: Any) -> m.Refused:
    with pytest.raises(WasRefused) as refused:
        await for_recovery(port, person, key, **more)
    return refused.value.refusal


async def test_n_02_the_recovery_key_alone_reads_the_vault(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        person, peer = await careful(app.port)
        recovering, logged_in = await for_recovery(app.port, person)

        assert (logged_in.user, logged_in.client) == ("alice", "")
        assert await recovering.ask(m.GetVault()) == m.SealedVault(VAULT)
        assert await peer.ask(m.GetVault()) == m.SealedVault(VAULT)
        statements = await recovering.ask(m.GetStatements("alice"))
        assert statements == m.Statements("alice", [person.statement])
        devices = await recovering.ask(m.GetDevices())
        assert isinstance(devices, m.Devices)
        assert [row.client for row in devices.devices] == [person.client]
        for each in (peer, recovering):
            await each.close()


async def test_a_05_who_has_no_recovery_key_is_told_as_who_is_not_here(tmp_path: Path) -> None:
    """The same bytes for an unknown user, an account without one, a wrong one, a disabled account."""
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        carol, carols = await careful(app.port, "carol")
        bobs = await Peer.connect(app.port)
        bob = Person("bob", alice.domain)
        await bobs.register(bob)
        await app._writer.find(lambda db: db.execute("UPDATE account SET disabled = 1 WHERE user = 'carol'"))

        answers = [
            await told(app.port, alice, new_key()),
            await told(app.port, bob),
            await told(app.port, replace(bob, user="nobody")),
            await told(app.port, carol),
            await told(app.port, alice, purpose=Purpose.PASSWORD),
        ]
        assert answers == [m.Refused(1, "wrong_credentials")] * len(answers)
        for each in (peer, carols, bobs):
            await each.close()


async def test_a_signature_for_recovery_opens_no_other_door(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        other = await Peer.connect(app.port)
        nonce = secrets.token_bytes(32)
        signature = RECOVERY_KEY.sign(other.challenge(alice, Purpose.RECOVERY, nonce, ""))

        asked = m.LogInWithPassword("alice", public_of(RECOVERY_KEY), nonce, signature)
        assert await refusal(other, asked) == "wrong_credentials"
        assert await refusal(other, m.LogIn("alice", alice.client, nonce, signature)) == "wrong_credentials"
        for each in (peer, other):
            await each.close()


async def test_a_06_keys_are_tried_at_the_rate_of_passwords(tmp_path: Path) -> None:
    rates = UNLIMITED | {"recoveries_by_address": Rate(2, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app:
        alice, peer = await careful(app.port)
        codes = [(await told(app.port, alice, new_key())).code for _ in range(3)]
        assert codes == ["wrong_credentials", "wrong_credentials", "limited"]
        assert (await told(app.port, alice)).code == "limited"
        await peer.close()


async def test_without_a_device_nothing_else_is_answered(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        recovering, _ = await for_recovery(app.port, alice)
        by_password = await Peer.connect(app.port)
        await by_password.log_in_with_password(alice)
        for session in (recovering, by_password):
            assert await refusal(session, m.Sync()) == "forbidden"
            assert await refusal(session, m.PutBox("contacts", 1, b"x")) == "forbidden"
            assert await refusal(session, m.FetchInbox(1)) == "forbidden"
            assert await refusal(session, m.GetBox("contacts")) == "no_box"
        for each in (peer, recovering, by_password):
            await each.close()


async def test_n_02_a_recovery_adds_a_device_and_the_old_ones_are_out(tmp_path: Path) -> None:
    """One request: the new device, the lost one's end, the password and the vault (A-09)."""
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        recovering, _ = await for_recovery(app.port, alice)
        again = Careful("alice", alice.domain, account_key=alice.account_key)
        made = next_statement(
            alice.account_key,
            previous=alice.statement,
            issued_at=int(time.time()),
            add=[(again.client, public_of(again.device_key), PRODUCT_SUITES)],
            revoke=[alice.client],
            vault_serial=2,
        )
        (added,) = made.added
        device = m.AddedDevice(added.client, added.device_key, added.credential)
        change = m.ChangeAccount(
            made.statement,
            [device],
            vault=b"another",
            recovery_key=public_of(RECOVERY_KEY),
            login=m.NewLogin(again.salt, public_of(again.login_key)),
        )
        assert await recovering.ask(change) == m.Done()
        assert await recovering.ask(change) == m.Done()  # a lost answer costs nothing

        await peer.until(lambda: peer.closed is not None)
        assert peer.closed is not None
        assert peer.closed.code == "revoked"
        new = await Peer.connect(app.port)
        assert (await new.log_in(again)).client == again.client
        assert await new.ask(m.GetVault()) == m.SealedVault(b"another")
        old = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await old.log_in(alice)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await old.log_in_with_password(alice)
        by_password = await Peer.connect(app.port)
        await by_password.log_in_with_password(again)
        for each in (recovering, new, old, by_password):
            await each.close()


async def test_a_09_a_new_password_ends_all_other_sessions_which_then_hear_of_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        second = Careful("alice", alice.domain, account_key=alice.account_key)
        made = next_statement(
            alice.account_key,
            previous=alice.statement,
            issued_at=1,
            add=[(second.client, public_of(second.device_key), PRODUCT_SUITES)],
        )
        (added,) = made.added
        device = m.AddedDevice(added.client, added.device_key, added.credential)
        await peer.ask(m.ChangeAccount(made.statement, [device]))
        phone = await Peer.connect(app.port)
        assert (await phone.log_in(second)).password_changed == 0

        following = next_statement(alice.account_key, previous=made.statement, issued_at=2)
        login = m.NewLogin(bytes(16), public_of(new_key()))
        await peer.ask(m.ChangeAccount(following.statement, login=login))

        await phone.until(lambda: phone.closed is not None)
        assert phone.closed is not None
        assert phone.closed.code == "password_changed"
        assert await peer.ask(m.Ping()) == m.Done()
        again = await Peer.connect(app.port)
        assert (await again.log_in(second)).password_changed > 0
        for each in (peer, again):
            await each.close()


def begun_anew(person: Person, **more: Any) -> tuple[Person, m.ResetAccount]:
    """The person with another account key and device, and what asks for it."""
    new = Person(person.user, person.domain, login_key=person.login_key, salt=person.salt)
    device = m.AddedDevice(new.client, public_of(new.device_key), new.credential)
    return new, m.ResetAccount(new.statement, device, **more)


async def test_a_09_a_reset_begins_anew_with_one_device(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        await publish(peer, alice, 2)
        await peer.ask(m.PutBox("contacts", 1, b"sealed"))
        by_password = await Peer.connect(app.port)
        await by_password.log_in_with_password(alice)
        new, reset = begun_anew(alice)
        assert await by_password.ask(reset) == m.Done()
        assert await by_password.ask(reset) == m.Done()

        await peer.until(lambda: peer.closed is not None)
        assert peer.closed is not None
        assert peer.closed.code == "revoked"
        entered = await Peer.connect(app.port)
        await entered.log_in(new)
        answer = await entered.ask(m.GetStatements("alice"))
        assert answer == m.Statements("alice", [new.statement])
        assert await refusal(entered, m.GetBox("contacts")) == "no_box"
        assert await refusal(entered, m.GetVault()) == "no_vault"
        assert (await told(app.port, alice)).code == "wrong_credentials"  # the recovery key is none any more
        for each in (by_password, entered):
            await each.close()


def new_password(person: Person, previous: bytes, at: int = 2) -> tuple[bytes, m.ChangeAccount]:
    """The statement that goes with a new password, and what asks for both."""
    made = next_statement(person.account_key, previous=previous, issued_at=at)
    login = m.NewLogin(bytes(16), public_of(new_key()))
    return made.statement, m.ChangeAccount(made.statement, login=login)


@pytest.mark.parametrize("by", ["device", "recovery key"])
async def test_a_09_who_knew_the_password_of_before_resets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Not even in a session that was opened before the change, and that nobody has ended."""
    monkeypatch.setattr(Desk, "end_visits", lambda *_: None)
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        by_password = await Peer.connect(app.port)
        await by_password.log_in_with_password(alice)
        changing = peer if by == "device" else (await for_recovery(app.port, alice))[0]
        _, change = new_password(alice, alice.statement)
        assert await changing.ask(change) == m.Done()

        _, reset = begun_anew(alice)
        assert await refusal(by_password, reset) == "wrong_credentials"
        assert await changing.ask(m.GetStatements("alice")) == m.Statements(
            "alice", [alice.statement, change.statement]
        )
        for each in {peer, by_password, changing}:
            await each.close()


def is_closed(peer: Peer) -> bool:
    return peer.closed is not None


@pytest.mark.parametrize("by", ["device", "recovery key"])
async def test_a_09_a_new_password_ends_the_sessions_without_a_device(tmp_path: Path, by: str) -> None:
    """But for the one that asked."""
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        bob, bobs = await careful(app.port, "bob")
        others = [await Peer.connect(app.port), (await for_recovery(app.port, alice))[0]]
        await others[0].log_in_with_password(alice)
        of_bob = (await for_recovery(app.port, bob))[0]
        changing = peer if by == "device" else (await for_recovery(app.port, alice))[0]
        _, change = new_password(alice, alice.statement)
        assert await changing.ask(change) == m.Done()

        for each in others:
            await each.until(partial(is_closed, each))
            assert each.closed is not None
            assert each.closed.code == "password_changed"
        for each in (changing, bobs, of_bob):
            assert isinstance(await each.ask(m.GetAccount("alice")), m.Account)
        for each in {peer, changing, bobs, of_bob, *others}:
            await each.close()


async def test_a_09_a_password_that_is_changed_while_it_is_judged_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        _, change = new_password(alice, alice.statement)
        verify = app._hasher.verify

        async def slowly(login_hash: str | None, login_key: bytes) -> bool:
            right = await verify(login_hash, login_key)
            await peer.ask(change)
            return right

        monkeypatch.setattr(app._hasher, "verify", slowly)
        by_password = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await by_password.log_in_with_password(alice)
        for each in (peer, by_password):
            await each.close()


async def test_a_09_two_passwords_of_one_second_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app:
        monkeypatch.setattr(app._desk.account_changes, "_now", lambda: 1_700_000_000)
        alice, peer = await careful(app.port)
        told, statement = [], alice.statement
        for at in (2, 3):
            statement, change = new_password(alice, statement, at)
            await peer.ask(change)
            told.append(await app._writer.find(lambda db: find_known(db, "alice").password_changed))
        assert told == [1_700_000_000, 1_700_000_001]
        await peer.close()


async def test_a_09_who_has_the_recovery_key_resets_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        recovering, _ = await for_recovery(app.port, alice)
        _, reset = begun_anew(alice)
        assert await refusal(recovering, reset) == "wrong_credentials"
        for each in (peer, recovering):
            await each.close()


async def test_a_09_a_device_resets_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        _, reset = begun_anew(alice)
        assert await refusal(peer, reset) == "forbidden"
        await peer.close()


async def test_a_reset_that_is_not_wholly_of_the_new_key_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        alice, peer = await careful(app.port)
        session = await Peer.connect(app.port)
        await session.log_in_with_password(alice)
        new, reset = begun_anew(alice)
        theirs = make_client_credential(
            domain=alice.domain,
            user="bob",
            client=new.client,
            account_key=new.account_key,
            signature_key_public=public_of(new.device_key),
            suites=PRODUCT_SUITES,
        )
        late = next_statement(new.account_key, previous=new.statement, issued_at=2).statement
        wrong: list[dict[str, Any]] = [
            {"statement": b"none"},
            {"statement": late},
            {"statement": replace(new, user="bob").statement},
            {"device": m.AddedDevice(new.client, public_of(new_key()), new.credential)},
            {"device": m.AddedDevice(new.client, public_of(new.device_key), theirs)},
            {"device": m.AddedDevice(new.client, public_of(new.device_key), alice.credential)},
            {"vault": b"without a serial"},
            {"recovery_key": bytes(32)},
        ]
        for change in wrong:
            assert await refusal(session, msgspec.structs.replace(reset, **change)) == "bad_request", change
        same = Person("alice", alice.domain, account_key=alice.account_key)
        device = m.AddedDevice(same.client, public_of(same.device_key), same.credential)
        assert await refusal(session, m.ResetAccount(same.statement, device)) == "bad_request"
        assert (await peer.ask(m.Ping())) == m.Done()  # nothing was changed
        for each in (peer, session):
            await each.close()


async def test_a_vault_comes_with_a_serial_and_a_recovery_key_or_not_at_all(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        assert peer.hello is not None
        person = Careful("alice", peer.hello.domain)
        asked = peer.registration(person)
        for change in ({"vault": b""}, {"recovery_key": None}, {"vault": b"", "recovery_key": None}):
            assert await refusal(peer, msgspec.structs.replace(asked, **change)) == "bad_request"
        assert len(VAULT) < MAX_VAULT
        await peer.ask(asked)
        await peer.close()
