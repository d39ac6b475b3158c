"""Lies about which devices an account lists: what is shown in the place of its statements."""

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import AccountStatement, Device, make_statement, verify_statement
from securechat.mls.codec import decode, encode
from securechat.names import client_uri
from securechat.protocol.messages import GetStatements, Statements
from tests.scenarios.evil_server.accounts import statement_of
from tests.scenarios.evil_server.ghosts import GHOST
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.face import now

Shown = Callable[[Stage, str, Any], list[bytes]]
"""What is shown of an account in the place of what is asked for."""


def showing(stage: Stage, victim: str, user: str, shown: Shown) -> None:
    """Show somebody another list of an account's devices."""

    def retort(asked: GetStatements, answer: Any) -> Any:
        if asked.user != user or not isinstance(answer, Statements):
            return answer
        return replace(answer, statements=shown(stage, user, answer), more=False)

    stage.liar(victim).retort(GetStatements, retort)


def with_a_ghost(stage: Stage, user: str, signed_by: Ed25519PrivateKey) -> bytes:
    """What would be somebody's next statement, with a device more, signed by another key."""
    last = verify_statement(statement_of(stage, user))
    ghost = Device(client_uri(stage.person(user).keys.domain, GHOST).encode(), public_of(new_key()))
    return make_statement(
        signed_by,
        user=last.user.decode(),
        devices=(*last.devices, ghost),
        issued_at=now(),
        previous=statement_of(stage, user),
    )


def one_more_in_their_name(stage: Stage, user: str, answer: Any) -> list[bytes]:
    made = decode(AccountStatement, with_a_ghost(stage, user, new_key()))
    claimed = replace(made, account_key=stage.person(user).keys.account_key)
    return [*answer.statements, encode(claimed)]


def one_more_of_another_key(stage: Stage, user: str, answer: Any) -> list[bytes]:
    return [*answer.statements, with_a_ghost(stage, user, new_key())]


def none(*_: Any) -> list[bytes]:
    return []


def anothers(stage: Stage, user: str, _: Any) -> list[bytes]:
    return [statement_of(stage, "carol" if user != "carol" else "alice")]


def turned_over(_: Stage, __: str, answer: Any) -> list[bytes]:
    return [each[:-1] + bytes([each[-1] ^ 1]) for each in answer.statements]


def of_no_sense(*_: Any) -> list[bytes]:
    return [b"no statement"]


SHOWN: Final[dict[str, tuple[Shown, str]]] = {
    "one more, in their name": (one_more_in_their_name, "statement_forked"),
    "one more, of another account key": (one_more_of_another_key, "identity_changed"),
    "none": (none, "statement_older"),
    "another's": (anothers, "statement_forked"),
    "a bit of it turned over": (turned_over, "statement_forked"),
    "nothing of any sense": (of_no_sense, "statement_forked"),
}
"""What the server shows of somebody's devices, and what it is named by."""
