"""Which entries of our own label must be ours, where the account's key was really replaced (D-03)."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import statements
from securechat.client.change import Changes
from securechat.client.log_answers import Answered, Caught, Judge, Parts
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement, verify_statement
from securechat.names import client_uri, user_uri
from securechat.transparency.entries import Change as Changed
from securechat.transparency.entries import LabelChange, changes_between, hash_of_statement
from tests.client.parts import DOMAIN, NOW, a_store, changes_of

OLD, OURS, FALSE = new_key(), new_key(), new_key()
DEVICE = Device(client_uri(DOMAIN, "x" * 26).encode(), public_of(new_key()))


def a_statement(key: Ed25519PrivateKey, previous: bytes | None = None) -> bytes:
    return make_statement(
        key,
        user=user_uri(DOMAIN, "alice"),
        devices=(DEVICE,),
        issued_at=NOW,
        previous=previous,
    )


BEFORE, FIRST, LIE = a_statement(OLD), a_statement(OURS), a_statement(FALSE)
SECOND = a_statement(OURS, FIRST)


def label(*bodies: bytes) -> tuple[LabelChange, ...]:
    """The entries as an honest log makes them of these statements."""
    read = [verify_statement(body) for body in bodies]
    return tuple(
        LabelChange(
            1,
            NOW,
            changes_between(None if place == 0 else read[place - 1], this),
            bytes(32),
            place + 1,
            this.serial,
            hash_of_statement(bodies[place]),
            bytes(32),
        )
        for place, this in enumerate(read)
    )


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    found = changes_of(a_store(tmp_path))
    with found.change() as change:
        statements.keep_statement(change.db, "alice", SECOND)
    return found


def judged(changes: Changes, entries: tuple[LabelChange, ...]) -> None:
    """What a new device makes of all of its account's entries."""
    found = SimpleNamespace(found=SimpleNamespace(since=entries), statement=verify_statement(SECOND))
    with changes.change() as change:
        judge = Judge(bytes(32), lambda: NOW)
        judge.own(change, cast(Answered, found), "alice", [FIRST, SECOND], Parts(SECOND))


def test_what_a_key_of_before_has_signed_is_nobody_elses(changes: Changes) -> None:
    """D-03: a device of an account that was made anew."""
    judged(changes, label(BEFORE, FIRST, SECOND))
    judged(changes, label(FIRST, SECOND))


@pytest.mark.parametrize(
    "bodies",
    [
        (BEFORE, FIRST, LIE, SECOND),
        (BEFORE, FIRST, LIE, FIRST, SECOND),
        (FIRST, LIE, SECOND),
        (FIRST, SECOND, LIE),
        (BEFORE, LIE),
    ],
)
def test_d_03_after_the_first_entry_of_ours_all_must_be_ours(
    changes: Changes, bodies: tuple[bytes, ...]
) -> None:
    with pytest.raises(Caught, match="not of your making"):
        judged(changes, label(*bodies))


def test_d_03_an_entry_that_says_the_key_was_replaced_where_it_was_not_is_false(changes: Changes) -> None:
    first, second = label(FIRST, SECOND)
    told = msgspec.structs.replace(second, changes=(Changed.ACCOUNT_KEY_REPLACED,))
    with pytest.raises(Caught, match="entry 2"):
        judged(changes, (first, told))
