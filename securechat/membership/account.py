"""How an account goes on from one statement to the next: the law for server and clients alike (rules.md B).

A statement by itself says who signed it (statement.py). Here is what may change from one to the
next, which certificates go with it, and how the next one is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership.identity import (
    LeafRefused,
    certificate_holds,
    certify,
    make_client_credential,
    read_identity,
)
from securechat.membership.signing import height_of
from securechat.membership.statement import (
    AccountStatement,
    Device,
    Revoked,
    StatementRefused,
    make_statement,
    verify_statement,
)
from securechat.names import client_uri, parse_client_uri, parse_user_uri

MAX_REVOKED: Final = 32
"""Revocations that a statement names; the oldest go first. Who is not named any more has been out of every
group for as long as it took to revoke 32 others, and no leaf of its generation may enter anywhere."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A device with its certificate; ``client`` is the local part of its URI."""

    client: str
    device_key: bytes
    credential: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What a statement changed in the one before it."""

    added: tuple[Device, ...]
    gone: tuple[Device, ...]
    """Revoked by it."""
    reissues: bool
    """It has a new generation: every device that stays needs a new certificate."""


@dataclass(frozen=True, slots=True)
class NextStatement:
    """A statement and the certificates that go with it."""

    statement: bytes
    added: tuple[Certified, ...]
    reissued: tuple[Certified, ...]


def step_between(data: bytes, previous: bytes) -> tuple[AccountStatement, Step]:
    """Read the statement that follows ``previous``, and say what it changes.

    :raises StatementRefused: it is not the next one, or changes what no statement may
    """
    statement, last = verify_statement(data, previous), verify_statement(previous)
    before = {device.client: device for device in last.devices}
    after = {device.client: device for device in statement.devices}
    newly = tuple(each for each in statement.revoked if each not in last.revoked)
    problem = (
        _revocation_problem(statement, last, newly)
        or _device_problem(before, after, statement)
        or (None if set(before) - set(after) == {each.client for each in newly} else _GONE)
    )
    if problem is not None:
        raise StatementRefused(problem)
    added = tuple(device for client, device in after.items() if client not in before)
    gone = tuple(device for client, device in before.items() if client not in after)
    return statement, Step(added, gone, reissues=bool(newly))


_GONE: Final = "A device leaves its account by being revoked, and in no other way."


def _revocation_problem(
    statement: AccountStatement, last: AccountStatement, newly: tuple[Revoked, ...]
) -> str | None:
    kept = tuple(each for each in last.revoked if each in statement.revoked)
    if statement.revoked != (*kept, *newly) or len(statement.revoked) > MAX_REVOKED:
        return "The statement's revocations are not those of the last one and its own."
    dropped = len(last.revoked) - len(kept)
    if kept != last.revoked[dropped:] or (dropped and len(statement.revoked) < MAX_REVOKED):
        return "The statement takes back a revocation."
    if len({each.client for each in statement.revoked}) != len(statement.revoked):
        return "The statement revokes a device twice."
    if statement.generation != last.generation + bool(newly):
        return "The statement's generation rises exactly with a revocation."
    if any(each.generation != statement.generation for each in newly):
        return "A revocation is of the generation that it begins."
    return None


def _device_problem(
    before: Mapping[bytes, Device], after: Mapping[bytes, Device], statement: AccountStatement
) -> str | None:
    if any(height_of(each.signature_key) is None for client, each in after.items() if client not in before):
        return "A device comes with a key that is none."
    if any(before.get(client, device) != device for client, device in after.items()):
        return "A device of the account has another key than before."
    if len({device.signature_key for device in after.values()}) != len(after):
        return "Two devices of the account have one key."
    if {each.client for each in statement.revoked} & set(after):
        return "A device that was revoked never comes back."
    return None


def certificate_problem(certified: Certified, statement: AccountStatement) -> str | None:
    """Return why a certificate is not that of a device in this statement; None if it is."""
    user = parse_user_uri(statement.user)
    try:
        credential = read_identity(certified.credential)
    except LeafRefused as refused:
        return str(refused)
    client = client_uri(user.domain, certified.client).encode()
    wrong = {
        "The certificate is of another user or device.": (credential.user, credential.client)
        != (statement.user, client),
        "The certificate is of another account key.": credential.account_key != statement.account_key,
        "The certificate is of another generation.": credential.generation != statement.generation,
        "The certificate is of a device that the account does not list.": Device(client, certified.device_key)
        not in statement.devices,
    }
    problem = next((sentence for sentence, holds in wrong.items() if holds), None)
    if problem is None and not certificate_holds(credential, certified.device_key):
        return "The device is not certified by its account."
    return problem


def next_statement(  # noqa: PLR0913 - whatever a statement may change
    account_key: Ed25519PrivateKey,
    *,
    previous: bytes,
    issued_at: int,
    add: Sequence[tuple[str, bytes, tuple[int, ...]]] = (),
    revoke: Sequence[str] = (),
    staying: Sequence[Certified] = (),
    vault_serial: int | None = None,
    by: str = "",
) -> NextStatement:
    """Make the statement after ``previous``, and the certificates that go with it.

    :param issued_at: seconds since 1970
    :param add: local id, signature key and cipher suites of each device that comes
    :param revoke: local ids of devices that go
    :param staying: the present certificate of each device that stays; looked at where one is revoked
    :param vault_serial: of the vault that goes with it; None where it stays as it is
    :param by: local id of the device that makes it: it is listed first. So two devices that change what no
        statement names (a password, a vault) in one second make two statements, of which one is in force
    :raises StatementRefused: the account does not have these devices, or a certificate is not its own
    """
    last = verify_statement(previous)
    going = {_uri(last, client) for client in revoke}
    if not going <= {device.client for device in last.devices}:
        raise StatementRefused("The account has no such device.")
    generation = last.generation + bool(going)
    maker = _uri(last, by) if by else b""
    stay = tuple(
        sorted(
            (device for device in last.devices if device.client not in going),
            key=lambda device: device.client != maker,
        )
    )
    statement = make_statement(
        account_key,
        user=last.user.decode(),
        devices=(*stay, *(Device(_uri(last, client), key) for client, key, _ in add)),
        issued_at=max(issued_at, last.issued_at),
        previous=previous,
        revoked=(*last.revoked, *(Revoked(each, generation) for each in sorted(going)))[-MAX_REVOKED:],
        vault_serial=last.vault_serial if vault_serial is None else vault_serial,
    )
    made, _ = step_between(statement, previous)
    added = tuple(_certify(account_key, made, *coming) for coming in add)
    reissued = tuple(_reissue(account_key, stay, staying, last, made)) if going else ()
    return NextStatement(statement, added, reissued)


def _uri(statement: AccountStatement, client: str) -> bytes:
    return client_uri(parse_user_uri(statement.user).domain, client).encode()


def _certify(
    account_key: Ed25519PrivateKey,
    statement: AccountStatement,
    client: str,
    device_key: bytes,
    suites: tuple[int, ...],
) -> Certified:
    user = parse_user_uri(statement.user)
    credential = make_client_credential(
        domain=user.domain,
        user=user.name,
        client=client,
        account_key=account_key,
        signature_key_public=device_key,
        suites=suites,
        generation=statement.generation,
    )
    return Certified(client, device_key, credential)


def _reissue(
    account_key: Ed25519PrivateKey,
    stay: tuple[Device, ...],
    staying: Sequence[Certified],
    last: AccountStatement,
    made: AccountStatement,
) -> list[Certified]:
    known = {each.client: each for each in staying}
    reissued: list[Certified] = []
    for device in stay:
        each = known.get(parse_client_uri(device.client).name)
        problem = "One is missing." if each is None else certificate_problem(each, last)
        if each is None or problem is not None:
            raise StatementRefused(
                f"The certificates of the devices that stay are not the account's: {problem}"
            )
        unsigned = msgspec.structs.replace(read_identity(each.credential), generation=made.generation)
        credential = certify(unsigned, account_key, device.signature_key)
        reissued.append(Certified(each.client, each.device_key, credential))
    return reissued
