"""A restored server takes again what an account had said, from its devices, and nothing else (N-03)."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from securechat.membership.account import NextStatement, next_statement
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_STATEMENTS
from securechat.server.app import App
from securechat.server.backup import begin_incarnation
from tests.server.own_devices import adding, certified, change_of, revoking, second_device
from tests.server.peer import Peer, Person, WasRefused, refusal, registered
from tests.server.running import running_server


@asynccontextmanager
async def restored(folder: Path) -> AsyncIterator[tuple[App, Person, Peer]]:
    """A server that began a new incarnation, and somebody who has changed the account since the copy."""
    async with running_server(folder) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        await app._writer.find(lambda db: begin_incarnation(db, int(time.time())))
        yield app, alice, phone


def listed(*made: NextStatement) -> list[m.AddedDevice]:
    return [
        m.AddedDevice(each.client, each.device_key, each.credential) for one in made for each in one.added
    ]


def again(person: Person, made: NextStatement) -> list[m.AddedDevice]:
    return [m.AddedDevice(each.client, each.device_key, each.credential) for each in made.reissued]


async def clients(peer: Peer) -> list[str]:
    devices = await peer.ask(m.GetDevices())
    assert isinstance(devices, m.Devices)
    return [each.client for each in devices.devices]


async def test_n_03_a_device_that_was_linked_since_is_one_again(tmp_path: Path) -> None:
    async with restored(tmp_path) as (app, alice, phone):
        other = second_device(alice)
        made = adding(alice, other, alice.statement)

        assert await phone.ask(m.OfferStatements([made.statement], listed(made))) == m.Done()
        assert await phone.ask(m.OfferStatements([made.statement], listed(made))) == m.Done()

        laptop = await Peer.connect(app.port)
        assert (await laptop.log_in(other)).client == other.client
        assert await clients(phone) == [alice.client, other.client]
        assert await phone.ask(m.GetStatements("alice", 1)) == m.Statements("alice", [made.statement])
        await laptop.close()


async def test_d_02_a_device_that_was_revoked_since_is_cut_off_again(tmp_path: Path) -> None:
    """It was linked before the copy, so the copy lets it in."""
    async with restored(tmp_path) as (app, alice, phone):
        other = second_device(alice)
        added = adding(alice, other, alice.statement)
        await phone.ask(change_of(added))
        laptop = await Peer.connect(app.port)
        await laptop.log_in(other)
        made = revoking(alice, other, added.statement)

        await phone.ask(m.OfferStatements([made.statement], again(alice, made)))

        assert await clients(phone) == [alice.client]
        await laptop.until(lambda: laptop.closed is not None)
        assert laptop.closed is not None
        assert laptop.closed.code == "revoked"
        back = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await back.log_in(other)
        await back.close()


async def test_n_03_a_chain_of_several_comes_at_once_with_the_certificates_of_its_end(tmp_path: Path) -> None:
    """A device that came and went again in between is never one."""
    async with restored(tmp_path) as (_, alice, phone):
        other = second_device(alice)
        first = adding(alice, other, alice.statement)
        second = revoking(alice, other, first.statement)

        offer = m.OfferStatements([first.statement, second.statement], again(alice, second))
        assert await phone.ask(offer) == m.Done()

        assert await clients(phone) == [alice.client]
        shown = await phone.ask(m.GetStatements("alice", 1))
        assert shown == m.Statements("alice", [first.statement, second.statement])


def _flipped(statement: bytes) -> bytes:
    return statement[:-1] + bytes([statement[-1] ^ 1])


def _spoilt() -> dict[str, Callable[[m.OfferStatements], tuple[m.OfferStatements, str]]]:
    replace = msgspec.structs.replace
    return {
        "no certificate": lambda offer: (replace(offer, devices=[]), "bad_request"),
        "a gap": lambda offer: (replace(offer, statements=offer.statements[1:]), "stale_statement"),
        "another order": lambda offer: (replace(offer, statements=offer.statements[::-1]), "stale_statement"),
        "a flipped bit": lambda offer: (
            replace(offer, statements=[offer.statements[0], _flipped(offer.statements[1])]),
            "stale_statement",
        ),
        "a stranger's certificate": lambda offer: (
            replace(offer, devices=[msgspec.structs.replace(offer.devices[0], device_key=bytes(32))]),
            "bad_request",
        ),
    }


@pytest.mark.parametrize("name", _spoilt())
async def test_d_03_what_the_account_key_did_not_sign_just_so_is_refused_whole(
    tmp_path: Path, name: str
) -> None:
    async with restored(tmp_path) as (_, alice, phone):
        other = second_device(alice)
        first = adding(alice, other, alice.statement)
        second = adding(alice, second_device(alice), first.statement)
        offer, code = _spoilt()[name](
            m.OfferStatements([first.statement, second.statement], listed(first, second))
        )

        assert (await refusal(phone, offer)).code == code

        assert await clients(phone) == [alice.client]
        assert await phone.ask(m.GetStatements("alice", 1)) == m.Statements("alice", [])


async def test_n_03_an_id_that_somebody_else_took_meanwhile_stops_no_account(tmp_path: Path) -> None:
    """Who is in a group with her knows the ids of her devices, and the copy may not know them."""
    async with running_server(tmp_path) as app, registered(app, "alice", "mallory") as people:
        (alice, phone), (mallory, theirs) = people
        await app._writer.find(lambda db: begin_incarnation(db, int(time.time())))
        other = second_device(alice)
        taken = adding(mallory, other, mallory.statement)
        await theirs.ask(change_of(taken))
        made = adding(alice, other, alice.statement)

        assert await phone.ask(m.OfferStatements([made.statement], listed(made))) == m.Done()

        assert await phone.ask(m.GetStatements("alice", 1)) == m.Statements("alice", [made.statement])
        assert await clients(phone) == [alice.client]
        assert await phone.ask(change_of(revoking(alice, other, made.statement))) == m.Done()
        devices = await theirs.ask(m.GetDevices())
        assert isinstance(devices, m.Devices)
        assert [each.client for each in devices.devices] == [mallory.client, other.client]
        assert devices.devices[1].credential == taken.added[0].credential


async def test_d_03_nobody_is_certified_anew_by_another_account(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "mallory") as people:
        (alice, phone), (mallory, theirs) = people
        await app._writer.find(lambda db: begin_incarnation(db, int(time.time())))
        other, third = second_device(alice), second_device(alice)
        taken = adding(mallory, other, mallory.statement)
        await theirs.ask(change_of(taken))
        first = adding(alice, other, alice.statement)
        second = adding(alice, third, first.statement)
        await phone.ask(m.OfferStatements([first.statement, second.statement], listed(first, second)))
        gone = next_statement(
            alice.account_key,
            previous=second.statement,
            issued_at=int(time.time()),
            revoke=[third.client],
            staying=[certified(alice), *first.added],
        )

        assert await phone.ask(change_of(gone)) == m.Done()

        devices = await theirs.ask(m.GetDevices())
        assert isinstance(devices, m.Devices)
        assert devices.devices[1].credential == taken.added[0].credential


async def test_a_server_that_was_not_restored_takes_none(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        ((alice, phone),) = people
        made = adding(alice, second_device(alice), alice.statement)
        refused = await refusal(phone, m.OfferStatements([made.statement], listed(made)))
        assert refused.code == "forbidden"


async def test_a_vault_comes_back_only_where_the_copy_has_an_older_one(tmp_path: Path) -> None:
    async with restored(tmp_path) as (_, alice, phone):
        made = adding(alice, second_device(alice), alice.statement)
        offer = m.OfferStatements([made.statement], listed(made), b"no vault of that serial")
        assert await phone.ask(offer) == m.Done()
        assert (await refusal(phone, m.GetVault())).code == "no_vault"


def test_an_offer_has_an_end() -> None:
    body = msgspec.msgpack.encode(m.OfferStatements([b"s"] * (MAX_STATEMENTS + 1)))
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(body, type=m.OfferStatements)
