"""Monitoring one's own label: what is not one's own is found, and what is missing too."""

from typing import Any, Final

import msgspec
import pytest

from securechat.membership import signing
from securechat.membership.statement import Device, Revoked, StatementRefused, make_statement
from securechat.transparency.entries import Change
from securechat.transparency.errors import Refused
from securechat.transparency.monitor import Made, OwnRefused, made, verify_own
from securechat.transparency.search import Absent, Found
from tests.transparency.world import BOB, NOW, Directory, trusted, with_people

ACCOUNT: Final = signing.load_key(bytes(range(7, 39)))
PHONE, LAPTOP, GHOST = (
    Device(b"mimi://chat.example/d/" + letter * 16, bytes(32)) for letter in (b"a", b"b", b"c")
)


def chain() -> list[bytes]:
    """Bob's statements: his phone; his laptop as well; the phone revoked."""
    first = make_statement(ACCOUNT, user=BOB, devices=(PHONE,), issued_at=NOW)
    second = make_statement(ACCOUNT, user=BOB, devices=(PHONE, LAPTOP), issued_at=NOW, previous=first)
    gone = (Revoked(PHONE.client, 2),)
    third = make_statement(ACCOUNT, user=BOB, devices=(LAPTOP,), issued_at=NOW, previous=second, revoked=gone)
    return [first, second, third]


STATEMENTS: Final = chain()
MADE: Final = [
    made(statement, previous)
    for statement, previous in zip(STATEMENTS, [None, *STATEMENTS[:-1]], strict=True)
]


def published(count: int = 3) -> Directory:
    """A directory with the first of bob's statements."""
    directory = with_people(names=())
    for statement, own in zip(STATEMENTS[:count], MADE[:count], strict=True):
        directory.publish(BOB, statement, *own.changes, serial=own.serial)
    return directory


def looked(directory: Directory, *, seen: Found | None = None, own: list[Made]) -> Found | Absent:
    after = 0 if seen is None else seen.state.revision
    return verify_own(
        trusted(directory),
        BOB,
        directory.answer(BOB, after=after),
        seen=None if seen is None else seen.seen,
        statements=own,
    )


def test_what_one_made_is_there_and_nothing_else() -> None:
    directory = published()
    found = looked(directory, own=MADE)
    assert isinstance(found, Found)
    assert found.names(STATEMENTS[2])
    assert [own.changes for own in MADE] == [
        (Change.ACCOUNT_REGISTERED,),
        (Change.DEVICE_ADDED,),
        (Change.DEVICE_REVOKED,),
    ]
    again = looked(directory, seen=found, own=[])
    assert isinstance(again, Found)
    assert again.since == ()


def test_one_goes_on_from_where_one_looked_last() -> None:
    first = looked(published(1), own=MADE[:1])
    assert isinstance(first, Found)
    later = looked(published(3), seen=first, own=MADE[1:])
    assert isinstance(later, Found)
    assert len(later.since) == 2


def test_a_ghost_device_is_found() -> None:
    """The server logs a statement with a device that is not bob's."""
    directory = published(1)
    first = looked(directory, own=MADE[:1])
    assert isinstance(first, Found)
    ghost = directory.publish(BOB, b"a statement with a ghost", Change.DEVICE_ADDED).change
    with pytest.raises(OwnRefused, match="own-unknown") as caught:
        looked(directory, seen=first, own=[])
    assert caught.value.unknown == (ghost,)


def test_a_ghost_between_ones_own_is_found() -> None:
    directory = published(1)
    directory.publish(BOB, b"a statement with a ghost", Change.DEVICE_ADDED)
    directory.publish(BOB, STATEMENTS[1], *MADE[1].changes)
    with pytest.raises(OwnRefused, match="own-unknown") as caught:
        looked(directory, own=MADE[:2])
    assert [change.revision for change in caught.value.unknown] == [2, 3]


def test_a_withheld_revocation_is_missed() -> None:
    with pytest.raises(OwnRefused, match="own-missing"):
        looked(published(2), own=MADE)


def test_an_account_that_was_never_logged_is_missed() -> None:
    with pytest.raises(OwnRefused, match="own-missing"):
        looked(published(0), own=MADE[:1])
    assert isinstance(looked(published(0), own=[]), Absent)


@pytest.mark.parametrize(
    "fields",
    [
        {"serial": 3},
        {"statement_hash": bytes(32)},
        {"changes": (Change.RENEWED,)},
        {"changes": (Change.DEVICE_ADDED, Change.DEVICE_REVOKED)},
    ],
)
def test_an_entry_that_says_something_else_of_ones_statement_is_found(fields: dict[str, Any]) -> None:
    directory = published(1)
    change = directory.copied().publish(BOB, STATEMENTS[1], *MADE[1].changes).change
    directory.force(msgspec.structs.replace(change, **fields))
    with pytest.raises(Refused):
        looked(directory, own=MADE[:2])


def test_without_a_history_nothing_is_monitored() -> None:
    directory = published()
    answer = directory.answer(BOB)
    with pytest.raises(OwnRefused, match="own-missing"):
        verify_own(trusted(directory), BOB, answer, seen=None, statements=MADE)


def test_what_is_no_statement_was_not_made() -> None:
    with pytest.raises(StatementRefused):
        made(b"no statement", None)
    with pytest.raises(StatementRefused):
        made(STATEMENTS[1], b"no statement")
