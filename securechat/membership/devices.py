"""A group's leaves beside the devices that an account lists: who is to come, who has to go, who is nobody's.

Pure, and of nobody's validity (rules.md B): a statement is what a client knows alone. By it a client decides
what it does to a group and whether it goes on sending, never whether it applies what others did.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from securechat.membership.identity import ClientCredential, LeafRefused, read_client_credential
from securechat.membership.statement import AccountStatement, Device
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.names import parse_client_uri


@dataclass(frozen=True, slots=True)
class Compared:
    """What a user's leaves are by a statement of theirs."""

    here: int = 0
    """Devices of the statement that have a leaf."""
    missing: tuple[str, ...] = ()
    """Devices of the statement without a leaf, by local id."""
    revoked: tuple[LeafIndex, ...] = ()
    """Leaves that the statement revokes."""
    unknown: tuple[LeafIndex, ...] = ()
    """Leaves that it neither lists nor revokes: of devices that came later, or of none."""


def compare(leaves: Iterable[tuple[LeafIndex, LeafNode]], statement: AccountStatement) -> Compared:
    """Lay a user's leaves beside a statement; those of others and of other keys are passed over."""
    listed, there, seen = set(statement.devices), set[bytes](), set[bytes]()
    revoked, unknown = list[LeafIndex](), list[LeafIndex]()
    for index, leaf in leaves:
        credential = read_client_credential(leaf)
        if (credential.user, credential.account_key) != (statement.user, statement.account_key):
            continue
        seen.add(credential.client)
        if revokes(statement, credential):
            revoked.append(index)
        elif Device(credential.client, leaf.signature_key) not in listed:
            unknown.append(index)
        elif credential.generation > statement.generation:
            unknown.append(index)  # its account has said more since
        else:
            there.add(credential.client)
    missing = (device.client for device in statement.devices if device.client not in seen)
    return Compared(
        here=len(there),
        missing=tuple(parse_client_uri(client).name for client in missing),
        revoked=tuple(revoked),
        unknown=tuple(unknown),
    )


def revokes(statement: AccountStatement, credential: ClientCredential) -> bool:
    """Whether an account's statement revokes a device with this certificate."""
    return (statement.user, statement.account_key) == (credential.user, credential.account_key) and any(
        revoked.client == credential.client and revoked.generation > credential.generation
        for revoked in statement.revoked
    )


def offer_refusal(leaf: LeafNode, statement: AccountStatement) -> str | None:
    """Return why a device may not be added by the word of a directory; None if its account lists it.

    :param statement: the newest of its account; the leaf's certificate is checked elsewhere
    """
    try:
        credential = read_client_credential(leaf)
    except LeafRefused as refused:
        return str(refused)
    if (credential.user, credential.account_key) != (statement.user, statement.account_key):
        return "it is of another account than the list of devices"
    if Device(credential.client, leaf.signature_key) not in statement.devices:
        return "its account does not list it"
    if credential.generation != statement.generation:
        return "its certificate is not of the account's present generation"
    return None
