"""From one statement of an account to the next: what may change, and what goes with it."""

import hashlib
from typing import Any

import msgspec
import pytest

from securechat.membership import signing
from securechat.membership.account import (
    MAX_REVOKED,
    Certified,
    certificate_problem,
    next_statement,
    step_between,
)
from securechat.membership.identity import make_client_credential, read_identity
from securechat.membership.statement import (
    AccountStatement,
    Device,
    Revoked,
    StatementRefused,
    make_statement,
    verify_statement,
)
from securechat.mls.codec import encode_before, encode_opaque

DOMAIN, USER = "chat.example", "mimi://chat.example/u/alice"
ACCOUNT, STRANGER = signing.load_key(bytes(range(32))), signing.load_key(bytes(32))
SUITES = (3,)


def client(number: int) -> str:
    return f"{number:026d}"


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def device(number: int) -> Device:
    return Device(f"mimi://{DOMAIN}/d/{client(number)}".encode(), key(number))


def certified(
    number: int, generation: int = 1, account: Any = ACCOUNT, suites: tuple[int, ...] = SUITES
) -> Certified:
    credential = make_client_credential(
        domain=DOMAIN,
        user="alice",
        client=client(number),
        account_key=account,
        signature_key_public=key(number),
        suites=suites,
        generation=generation,
    )
    return Certified(client(number), key(number), credential)


def first(*numbers: int) -> bytes:
    return make_statement(ACCOUNT, user=USER, devices=tuple(map(device, numbers)), issued_at=10)


def signed(previous: bytes, **changes: Any) -> bytes:
    """A statement after another one, signed by the account, with whatever fields."""
    last = verify_statement(previous)
    fields = {"serial": last.serial + 1, "previous": hashlib.sha256(previous).digest()} | changes
    tbs = encode_before(msgspec.structs.replace(last, **fields), "signature")
    return tbs + encode_opaque(signing.sign(ACCOUNT, "account statement", tbs))


def test_a_device_comes_with_its_certificate() -> None:
    made = next_statement(ACCOUNT, previous=first(1), issued_at=20, add=[(client(2), key(2), (3, 0xF00E))])
    statement, step = step_between(made.statement, first(1))

    assert (step.added, step.gone, step.reissues) == ((device(2),), (), False)
    assert (statement.serial, statement.generation, made.reissued) == (2, 1, ())
    assert [certificate_problem(each, statement) for each in made.added] == [None]
    assert read_identity(made.added[0].credential).suites == (3, 0xF00E)


def test_revoking_raises_the_generation_and_certifies_those_who_stay_anew() -> None:
    staying = [certified(1, suites=(3, 1)), certified(2)]
    made = next_statement(ACCOUNT, previous=first(1, 2, 3), issued_at=20, revoke=[client(3)], staying=staying)
    statement, step = step_between(made.statement, first(1, 2, 3))

    assert (step.gone, step.reissues, statement.generation) == ((device(3),), True, 2)
    assert statement.revoked == (Revoked(device(3).client, 2),)
    assert [certificate_problem(each, statement) for each in made.reissued] == [None, None]
    assert [read_identity(each.credential).suites for each in made.reissued] == [(3, 1), (3,)]
    assert certificate_problem(staying[0], statement) == "The certificate is of another generation."


def test_one_statement_may_replace_all_devices() -> None:
    made = next_statement(
        ACCOUNT,
        previous=first(1, 2),
        issued_at=1,
        add=[(client(3), key(3), SUITES)],
        revoke=[client(1), client(2)],
    )
    statement, step = step_between(made.statement, first(1, 2))

    assert (step.added, set(step.gone)) == ((device(3),), {device(1), device(2)})
    assert statement.issued_at == 10, "time does not go back with a clock that does"
    assert certificate_problem(made.added[0], statement) is None


@pytest.mark.parametrize(
    ("staying", "why"),
    [
        ([], "One is missing"),
        ([certified(1, generation=2)], "another generation"),
        ([certified(1, account=STRANGER)], "another account key"),
        ([Certified(client(1), key(9), certified(1).credential)], "does not list"),
        ([Certified(client(1), key(1), b"\x00")], "does not decode"),
    ],
)
def test_a_certificate_is_issued_anew_only_upon_a_right_one(staying: list[Certified], why: str) -> None:
    with pytest.raises(StatementRefused, match=why):
        next_statement(ACCOUNT, previous=first(1, 2), issued_at=1, revoke=[client(2)], staying=staying)


def test_a_09_of_what_two_devices_change_in_one_second_there_are_two_statements() -> None:
    """A new password is in no statement; whoever was killed learns by its own whether its one holds."""
    made = [
        next_statement(ACCOUNT, previous=first(1, 2, 3), issued_at=20, vault_serial=2, by=client(number))
        for number in (1, 2, 3)
    ]
    assert len({each.statement for each in made}) == 3
    for each in made:
        step_between(each.statement, first(1, 2, 3))
        assert set(verify_statement(each.statement).devices) == {device(1), device(2), device(3)}


def test_nobody_is_revoked_who_is_not_there() -> None:
    with pytest.raises(StatementRefused, match="no such device"):
        next_statement(ACCOUNT, previous=first(1), issued_at=1, revoke=[client(2)])


def test_the_thirty_third_revocation_drops_the_oldest() -> None:
    last = first(*range(1))
    for number in range(1, MAX_REVOKED + 2):
        coming = next_statement(
            ACCOUNT, previous=last, issued_at=1, add=[(client(number), key(number), SUITES)]
        )
        stays = certified(number, generation=number)
        going = next_statement(
            ACCOUNT, previous=coming.statement, issued_at=1, revoke=[client(number - 1)], staying=[stays]
        )
        step_between(going.statement, coming.statement)
        last = going.statement
    statement = verify_statement(last)

    assert len(statement.revoked) == MAX_REVOKED
    assert [each.generation for each in statement.revoked] == list(range(3, MAX_REVOKED + 3))[:MAX_REVOKED]


def _forbidden() -> dict[str, tuple[bytes, dict[str, Any]]]:
    start = first(1, 2)
    gone = Revoked(device(2).client, 2)
    after = signed(start, devices=(device(1),), revoked=(gone,), generation=2)
    return {
        "a device goes unrevoked": (start, {"devices": (device(1),)}),
        "a revoked device stays": (start, {"revoked": (gone,), "generation": 2}),
        "a stranger is revoked": (start, {"revoked": (Revoked(device(9).client, 2),), "generation": 2}),
        "the generation stays": (start, {"devices": (device(1),), "revoked": (gone,)}),
        "the generation rises alone": (start, {"generation": 2}),
        "the generation jumps": (
            start,
            {"devices": (device(1),), "revoked": (Revoked(device(2).client, 3),), "generation": 3},
        ),
        "a revocation of another generation": (
            start,
            {"devices": (device(1),), "revoked": (Revoked(device(2).client, 1),), "generation": 2},
        ),
        "a key changes": (start, {"devices": (device(1), Device(device(2).client, key(9)))}),
        "a device comes with a key of small order": (
            start,
            {"devices": (device(1), device(2), Device(device(3).client, bytes(32)))},
        ),
        "a device comes with half a key": (
            start,
            {"devices": (device(1), device(2), Device(device(3).client, key(3)[:16]))},
        ),
        "two devices share a key": (
            start,
            {"devices": (device(1), device(2), Device(device(3).client, key(1)))},
        ),
        "a revocation is taken back": (after, {"revoked": ()}),
        "a revoked device comes back": (after, {"devices": (device(1), device(2))}),
        "a device is revoked twice": (
            after,
            {
                "devices": (),
                "revoked": (gone, Revoked(device(1).client, 3), Revoked(gone.client, 3)),
                "generation": 3,
            },
        ),
        "revocations change places": (
            signed(after, devices=(), revoked=(gone, Revoked(device(1).client, 3)), generation=3),
            {"revoked": (Revoked(device(1).client, 3), gone)},
        ),
    }


@pytest.mark.parametrize("name", _forbidden())
def test_what_no_statement_may_do(name: str) -> None:
    """D-03, M-07: not even with the account's signature."""
    previous, changes = _forbidden()[name]
    with pytest.raises(StatementRefused):
        step_between(signed(previous, **changes), previous)


def test_what_is_forbidden_is_refused_for_that_alone() -> None:
    following, _ = step_between(signed(first(1, 2)), first(1, 2))
    assert isinstance(following, AccountStatement)
