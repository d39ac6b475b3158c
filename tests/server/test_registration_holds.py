"""Registration and login, check by check: each refuses for its own reason, and alone (D-03, A-05, G-01)."""

import asyncio
import dataclasses
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.names import client_uri, user_uri
from securechat.protocol import messages as m
from securechat.server.accounts import standing
from securechat.server.app import App
from securechat.server.errors import Refusal
from securechat.server.login_hash import LoginHasher
from securechat.server.values import Caller
from tests.server.peer import Peer, Person, WasRefused, client_id, registered
from tests.server.running import running_server

DAY = 24 * 3600

Change = Callable[[Person], dict[str, object]]


def credential_with(**changes: object) -> Change:
    """A credential that the account's own key signed over something else."""
    return lambda person: {"credential": dataclasses.replace(person, **changes).credential}  # type: ignore[arg-type]


def statement_with(*devices: tuple[str, bytes], user: str = "alice", serial: int = 1) -> Change:
    """A statement that the account's own key signed, of these devices; "" is the person's own."""

    def change(person: Person) -> dict[str, object]:
        named = tuple(
            Device(
                client_uri(person.domain, client or person.client).encode(),
                key or public_of(person.device_key),
            )
            for client, key in devices
        )
        made = None
        for _ in range(serial):
            uri = user_uri(person.domain, user)
            made = make_statement(person.account_key, user=uri, devices=named, issued_at=1, previous=made)
        return {"statement": made}

    return change


def another_account_key(person: Person) -> dict[str, object]:
    """Everything is signed by the account's key, and another one is to be registered."""
    return {"account_key": public_of(new_key())}


OF_ANOTHER = "the credential is of another user, client or account key"
NOT_FIRST = "the statement is not the account's first"
OTHER_DEVICES = "the statement names other devices"
OWN = ("", b"")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (credential_with(user="mallory"), OF_ANOTHER),
        (credential_with(client=client_id()), OF_ANOTHER),
        (another_account_key, OF_ANOTHER),
        (credential_with(device_key=new_key()), "the device is not certified by its account"),
        (statement_with(OWN, user="mallory"), NOT_FIRST),
        (statement_with(OWN, serial=2), NOT_FIRST),
        (statement_with(), OTHER_DEVICES),
        (statement_with((client_id(), b"")), OTHER_DEVICES),
        (statement_with(("", public_of(new_key()))), OTHER_DEVICES),
        (statement_with(OWN, (client_id(), public_of(new_key()))), OTHER_DEVICES),
    ],
)
async def test_d_03_each_part_of_a_registration_is_the_same_persons(
    tmp_path: Path, change: Change, why: str
) -> None:
    async with running_server(tmp_path) as app:
        person, peer = Person("alice", app.identity.domain), await Peer.connect(app.port)
        body = replace(peer.registration(person), **change(person))
        with pytest.raises(WasRefused) as refused:
            await peer.ask(body)
        assert (refused.value.code, refused.value.refusal.text) == ("bad_request", why)
        await peer.close()


async def test_d_03_a_statement_of_another_account_key_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        person, peer = Person("alice", app.identity.domain), await Peer.connect(app.port)
        other = dataclasses.replace(person, account_key=new_key())
        with pytest.raises(WasRefused, match=NOT_FIRST):
            await peer.ask(replace(peer.registration(person), statement=other.statement))
        await peer.close()


async def test_one_registration_on_two_connections_at_once_makes_one_account(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither finds it made before the hash; the later one finds it when it is to be written."""
    caplog.set_level(logging.INFO, "securechat.server.security")
    async with running_server(tmp_path) as app:
        person = Person("alice", app.identity.domain)
        peers = [await Peer.connect(app.port) for _ in range(2)]
        answers = await asyncio.gather(*(peer.ask(peer.registration(person)) for peer in peers))
        assert {(answer.user, answer.client) for answer in answers if isinstance(answer, m.LoggedIn)} == {
            ("alice", person.client)
        }
        assert len(answers) == 2
        assert await rows(app, "SELECT user FROM account") == [("alice",)]
        for peer in peers:
            await peer.close()
    assert "registered user=alice" in caplog.messages


async def test_a_05_a_registration_sent_again_does_not_open_a_disabled_account(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        await app._writer.find(lambda db: db.execute("UPDATE account SET disabled = 1"))
        again = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await again.register(alice)
        await again.close()


async def rows(app: App, query: str) -> list[Any]:
    def read(db: apsw.Connection) -> list[Any]:
        return db.execute(query).fetchall()

    return await app._writer.find(read)


async def test_when_a_device_was_seen_is_written_once_a_day(tmp_path: Path) -> None:
    """Each login would else write a row; by the day is enough for what nobody fetches any more."""
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        caller = Caller(1, alice.user, 1, alice.client)
        for now, seen in (
            (10 * DAY, 10 * DAY),
            (11 * DAY - 1, 10 * DAY),
            (11 * DAY, 11 * DAY),
            (11 * DAY, 11 * DAY),
            (11 * DAY - 1, 11 * DAY - 1),  # a clock that was set back
        ):
            await app._writer.find(partial(standing, caller, now))
            assert await rows(app, "SELECT seen FROM client") == [(seen,)]


async def test_a_device_that_is_gone_has_no_standing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        with pytest.raises(Refusal, match="wrong_credentials"):
            await app._writer.find(partial(standing, Caller(1, alice.user, 2, client_id()), 1))


@pytest.mark.parametrize(("cores", "threads"), [(4, 3), (2, 1), (1, 1), (None, 1)])
def test_o_04_hashing_leaves_a_core_to_others(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    hasher = LoginHasher(passes=1, memory_kib=8)
    assert hasher._pool._max_workers == threads
    assert hasher.verified == 0
    hasher.close()


async def test_closing_ends_the_threads_that_hash() -> None:
    hasher = LoginHasher(passes=1, memory_kib=8)
    assert hasher.waiting == 0
    await hasher.hash(b"k" * 32)
    assert hasher.waiting == 0
    threads = list(hasher._pool._threads)
    hasher.close()
    assert [thread.is_alive() for thread in threads] == [False]


async def test_what_waits_to_be_hashed_when_the_server_stops_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    hasher, go_on = LoginHasher(passes=1, memory_kib=8), threading.Event()
    begun = asyncio.Event()
    tell = partial(asyncio.get_running_loop().call_soon_threadsafe, begun.set)

    def held() -> bool:
        tell()
        return go_on.wait(20)

    first = asyncio.create_task(hasher._run(held))
    second = asyncio.create_task(hasher.hash(b"k" * 32))
    await begun.wait()  # what no thread has taken up yet would be given up, too
    assert hasher.waiting == 2
    closing = asyncio.create_task(asyncio.to_thread(hasher.close))
    done, _ = await asyncio.wait({first, second}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    go_on.set()
    await closing
    assert done == {second}
    assert second.cancelled()
    assert await first
