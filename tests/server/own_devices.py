"""More devices of one account, as its own key lists and revokes them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from securechat.membership.account import Certified, NextStatement, next_statement
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import public_of
from securechat.protocol import messages as m
from securechat.server.app import App
from tests.server.peer import Peer, Person


def second_device(person: Person) -> Person:
    """The same person on another device."""
    return Person(
        person.user,
        person.domain,
        account_key=person.account_key,
        login_key=person.login_key,
        salt=person.salt,
    )


def certified(person: Person) -> Certified:
    return Certified(person.client, public_of(person.device_key), person.credential)


def change_of(made: NextStatement, **more: Any) -> m.ChangeAccount:
    return m.ChangeAccount(
        made.statement,
        [m.AddedDevice(each.client, each.device_key, each.credential) for each in made.added],
        [m.Reissued(each.client, each.credential) for each in made.reissued],
        **more,
    )


def adding(person: Person, other: Person, previous: bytes) -> NextStatement:
    return next_statement(
        person.account_key,
        previous=previous,
        issued_at=int(time.time()),
        add=[(other.client, public_of(other.device_key), PRODUCT_SUITES)],
    )


def revoking(person: Person, other: Person, previous: bytes) -> NextStatement:
    return next_statement(
        person.account_key,
        previous=previous,
        issued_at=int(time.time()),
        revoke=[other.client],
        staying=[certified(person)],
    )


async def linked(person: Person, peer: Peer) -> tuple[Person, bytes]:
    """A second device that the server knows, and the statement that added it."""
    other = second_device(person)
    made = adding(person, other, person.statement)
    assert await peer.ask(change_of(made)) == m.Done()
    return other, made.statement


@asynccontextmanager
async def with_laptop(app: App, person: Person, peer: Peer) -> AsyncIterator[tuple[Person, Peer, bytes]]:
    """A second device that has logged in, its line, and the statement that added it."""
    other, statement = await linked(person, peer)
    laptop = await Peer.connect(app.port)
    await laptop.log_in(other)
    try:
        yield other, laptop, statement
    finally:
        await laptop.close()
