"""An account's next statement: what it brings about, and what is refused (D-02, D-03)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securechat.membership.account import next_statement
from securechat.membership.signing import new_key, public_of
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.client_connection import AccountEvent
from securechat.protocol.limits import BOXES, MAX_STATEMENTS
from tests.server.own_devices import adding, change_of, linked, revoking, second_device, with_laptop
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    claim,
    client_id,
    commit_request,
    create_request,
    open_room,
    publish,
    refusal,
    registered,
)
from tests.server.running import UNLIMITED, running_server


async def test_a_device_that_is_added_logs_in_and_everybody_is_told(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        await open_room(*people)
        other, statement = await linked(alice, phone)

        assert await phone.told_of("alice") == 2
        assert await bob.told_of("alice") == 2
        laptop = await Peer.connect(app.port)
        assert (await laptop.log_in(other)).client == other.client
        devices = await laptop.ask(m.GetDevices())
        assert isinstance(devices, m.Devices)
        assert [row.client for row in devices.devices] == [alice.client, other.client]
        assert await bob.ask(m.GetAccount("alice")) == m.Account("alice", statement)
        assert await bob.ask(m.GetStatements("alice")) == m.Statements("alice", [alice.statement, statement])
        assert await bob.ask(m.GetStatements("alice", 2)) == m.Statements("alice", [])
        await laptop.close()


async def test_who_did_not_declare_it_is_not_told(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        other, previous = await linked(alice, phone)
        old = await Peer.connect(app.port)
        await old.log_in(other)
        await phone.ask(change_of(adding(alice, second_device(alice), previous)))

        assert await phone.told_of("alice") == 3
        await old.ask(m.Ping())
        assert not [event for event in old.events if isinstance(event, AccountEvent)]
        await old.close()


async def test_the_same_statement_again_is_done_already(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        made = adding(alice, second_device(alice), alice.statement)
        for _ in range(3):
            assert await phone.ask(change_of(made)) == m.Done()
        assert await statement_of(phone, "alice") == made.statement


async def test_of_two_changes_at_once_one_is_told_to_look_again(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        one = adding(alice, second_device(alice), alice.statement)
        other = adding(alice, second_device(alice), alice.statement)
        await phone.ask(change_of(one))
        assert (await refusal(phone, change_of(other))).code == "stale_statement"
        assert await statement_of(phone, "alice") == one.statement


async def test_d_02_a_revoked_device_is_cut_off_at_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        async with with_laptop(app, alice, phone) as (other, laptop, previous):
            await publish(laptop, other, 2, last_resort=True)
            await phone.ask(change_of(revoking(alice, other, previous)))

            await laptop.until(lambda: laptop.closed is not None)
            assert laptop.closed is not None
            assert laptop.closed.code == "revoked"
            assert await bob.ask(m.ClaimKeyPackages("alice", 3)) == m.ClaimedKeyPackages("alice", [])
            again = await Peer.connect(app.port)
            with pytest.raises(WasRefused, match="wrong_credentials"):
                await again.log_in(other)
            assert await phone.ask(m.Ping()) == m.Done(), "who stays, stays connected"
            devices = await phone.ask(m.GetDevices())
            assert isinstance(devices, m.Devices)
            assert [row.client for row in devices.devices] == [alice.client]
            await again.close()


async def test_d_02_a_revoked_device_is_brought_into_no_group(tmp_path: Path) -> None:
    """Not even by keys that were handed out before."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (bob_keys, bob) = people
        async with with_laptop(app, alice, phone) as (other, laptop, previous):
            await publish(laptop, other, 1)
            package = await claim(bob, "alice")
            await phone.ask(change_of(revoking(alice, other, previous)))
            group = bob_keys.group()
            await bob.ask(create_request(group))
            staged = group.stage_commit(CommitPlan(add=(package,)))

            refused = await refusal(bob, commit_request(group, staged, 0))
            assert refused.code == "refused_commit"


def _spoilt() -> dict[str, Callable[[m.ChangeAccount, Person, Person], m.ChangeAccount]]:
    replace = msgspec.structs.replace

    def other_key(body: m.ChangeAccount, *_: Person) -> m.ChangeAccount:
        return replace(body, added=[replace(body.added[0], device_key=public_of(new_key()))])

    def others_certificate(body: m.ChangeAccount, alice: Person, _: Person) -> m.ChangeAccount:
        return replace(body, added=[replace(body.added[0], credential=alice.credential)])

    def foreign_certificate(body: m.ChangeAccount, _: Person, other: Person) -> m.ChangeAccount:
        forged = Person(other.user, other.domain, client=other.client, device_key=other.device_key)
        return replace(body, added=[replace(body.added[0], credential=forged.credential)])

    return {
        "nobody comes": lambda body, *_: replace(body, added=[]),
        "one more comes": lambda body, alice, _: replace(
            body, added=[*body.added, m.AddedDevice(client_id(), public_of(new_key()), alice.credential)]
        ),
        "with another key": other_key,
        "with another's certificate": others_certificate,
        "with a certificate of another account key": foreign_certificate,
        "a certificate for who stays": lambda body, alice, _: replace(
            body, reissued=[m.Reissued(alice.client, alice.credential)]
        ),
        "a vault without a serial": lambda body, *_: replace(body, vault=b"vault"),
        "a flipped bit": lambda body, *_: replace(
            body, statement=body.statement[:-1] + bytes([body.statement[-1] ^ 1])
        ),
    }


@pytest.mark.parametrize("name", _spoilt())
async def test_d_03_what_the_account_did_not_sign_changes_nothing(name: str, tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        other = second_device(alice)
        body = change_of(adding(alice, other, alice.statement))
        refused = await refusal(phone, _spoilt()[name](body, alice, other))

        assert refused.code == "bad_request"
        assert await statement_of(phone, "alice") == alice.statement
        stranger = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await stranger.log_in(other)
        await stranger.close()


async def test_d_03_nobody_changes_somebody_elses_account(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        made = adding(alice, second_device(alice), alice.statement)
        assert (await refusal(bob, change_of(made))).code == "bad_request"
        assert await statement_of(phone, "alice") == alice.statement


async def test_a_new_password_logs_in_and_the_old_one_does_not(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        new = Person("alice", alice.domain, client=alice.client)
        made = next_statement(alice.account_key, previous=alice.statement, issued_at=5, vault_serial=1)
        login = m.NewLogin(new.salt, public_of(new.login_key))
        await phone.ask(change_of(made, vault=b"vault", recovery_key=bytes(32), login=login))

        visitor = await Peer.connect(app.port)
        salt = await visitor.ask(m.PasswordParameters("alice"))
        assert isinstance(salt, m.PasswordSalt)
        assert salt.salt == new.salt
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await visitor.log_in_with_password(alice)
        assert (await visitor.log_in_with_password(new)).client == ""
        assert await visitor.ask(m.GetStatements("alice", 1)) == m.Statements("alice", [made.statement])
        await visitor.close()


async def test_a_09_of_two_passwords_of_one_second_one_device_is_told_that_it_is_not_in_force(
    tmp_path: Path,
) -> None:
    """What they signed is the same, byte for byte; a repeat is one only with all that came with it."""
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        made = next_statement(alice.account_key, previous=alice.statement, issued_at=5, vault_serial=1)
        first, second = (
            change_of(
                made,
                vault=number,
                recovery_key=number * 32,
                login=m.NewLogin(number * 16, public_of(new_key())),
            )
            for number in (b"1", b"2")
        )
        for _ in range(2):
            assert await phone.ask(first) == m.Done()
        parts: dict[str, Any] = {
            "login": second.login,
            "vault": second.vault,
            "recovery_key": second.recovery_key,
        }
        for name, part in parts.items():
            other = msgspec.structs.replace(first, **{name: part})
            assert (await refusal(phone, other)).code == "stale_statement", name
        assert await phone.ask(m.ChangeAccount(made.statement, vault=first.vault)) == m.Done()
        visitor = await Peer.connect(app.port)
        salt = await visitor.ask(m.PasswordParameters("alice"))
        assert isinstance(salt, m.PasswordSalt)
        assert salt.salt == b"1" * 16
        await visitor.close()


async def test_a_chain_comes_in_pieces_and_in_order(tmp_path: Path) -> None:
    async with running_server(tmp_path, rates=UNLIMITED) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        chain = [alice.statement]
        for number in range(MAX_STATEMENTS + 2):
            chain.append(next_statement(alice.account_key, previous=chain[-1], issued_at=number).statement)
            await phone.ask(m.ChangeAccount(chain[-1]))
        first = await bob.ask(m.GetStatements("alice"))
        rest = await bob.ask(m.GetStatements("alice", MAX_STATEMENTS))

        assert first == m.Statements("alice", chain[:MAX_STATEMENTS], more=True)
        assert rest == m.Statements("alice", chain[MAX_STATEMENTS:])
        assert (await refusal(bob, m.GetStatements("nobody"))).code == "unknown_user"


async def test_what_changed_meanwhile_is_told_of_those_who_share_a_group(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (alice, phone), (_, bob), (_, carol) = people
        await open_room(*people[:2])
        since = await bob.ask(m.GetChangedAccounts())
        assert isinstance(since, m.ChangedAccounts)
        assert {each.user: each.serial for each in since.accounts} == {"alice": 1, "bob": 1}
        await linked(alice, phone)

        changed = await bob.ask(m.GetChangedAccounts(since.head))
        assert isinstance(changed, m.ChangedAccounts)
        assert changed.accounts == [m.ChangedAccount("alice", 2)]
        assert await bob.ask(m.GetChangedAccounts(changed.head)) == m.ChangedAccounts([], changed.head)
        seen = await carol.ask(m.GetChangedAccounts(since.head))
        assert isinstance(seen, m.ChangedAccounts)
        assert seen.accounts == []


async def test_boxes_are_the_accounts_own_and_never_overwritten_unseen(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        async with with_laptop(app, alice, phone) as (_, laptop, _):
            assert (await refusal(phone, m.GetBox("contacts"))).code == "no_box"
            for _ in range(2):
                assert await phone.ask(m.PutBox("contacts", 1, b"one")) == m.Done()

            stale = await refusal(laptop, m.PutBox("contacts", 1, b"other"))
            assert (stale.code, stale.head) == ("stale_box", 1)
            assert (await refusal(laptop, m.PutBox("contacts", 3, b"other"))).code == "stale_box"
            assert await laptop.ask(m.PutBox("contacts", 2, b"two")) == m.Done()
            assert await phone.ask(m.GetBox("contacts")) == m.Box(2, b"two")
            assert (await refusal(bob, m.GetBox("contacts"))).code == "no_box"


async def test_d_02_a_stolen_device_leaves_no_boxes_that_take_the_room_of_others(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((_, phone),) = people
        assert (await refusal(phone, m.PutBox("box-0", 1, b""))).code == "bad_request"
        for name in BOXES:
            assert await phone.ask(m.PutBox(name, 1, b"")) == m.Done()


async def statement_of(peer: Peer, user: str) -> bytes:
    answer = await peer.ask(m.GetAccount(user))
    assert isinstance(answer, m.Account)
    return answer.statement


async def test_o_04_a_password_that_the_account_did_not_sign_costs_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        hashed: list[bytes] = []

        async def hash_of(_: object, login_key: bytes) -> str:
            hashed.append(login_key)
            raise AssertionError("it was not refused before")

        monkeypatch.setattr(type(app._hasher), "hash", hash_of)
        login = m.NewLogin(alice.salt, public_of(new_key()))
        unsigned = alice.statement[:-1] + bytes([alice.statement[-1] ^ 1])
        refused = await refusal(phone, m.ChangeAccount(unsigned, login=login))
        assert (refused.code, hashed) == ("bad_request", [])


async def test_an_account_does_not_change_all_the_time(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        statement = alice.statement
        codes: list[str] = []
        for number in range(30):
            made = next_statement(alice.account_key, previous=statement, issued_at=number)
            try:
                await phone.ask(m.ChangeAccount(made.statement))
                statement = made.statement
            except WasRefused as refused:
                codes.append(refused.code)
        assert set(codes) == {"limited"}
        assert await statement_of(phone, "alice") == statement
