"""Lies about what an account keeps at the server: statements, boxes, archive."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from securechat.client import boxes, statements
from securechat.client.account_secret import secrets_of
from securechat.client.boxes import BoxRefused
from securechat.client.contact_keeping import SETTLES
from securechat.protocol.messages import (
    AccountChanged,
    Box,
    FilePiece,
    GetBox,
    GetFile,
    Refused,
)
from tests.scenarios.evil_server.falsehood import Falsehood, nothing, whom
from tests.scenarios.evil_server.lies import Lie
from tests.scenarios.evil_server.links import LINKS, silent
from tests.scenarios.evil_server.lists import SHOWN, Shown, showing
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.world import ROOM

CONTACTS: Final = "contacts"
ARCHIVE: Final = "archive"

# --- statements ---------------------------------------------------------------------------------------------


def of_a_list(shown: Shown) -> Lie:
    """Say that somebody's devices have changed, and show another list of them."""

    def tell(stage: Stage, victim: str) -> None:
        user = whom(victim)
        showing(stage, victim, user, shown)
        serial = statements.known_serial(stage.person(victim).store.db, user)
        stage.liar(victim).say(AccountChanged(user, serial + 1))

    return tell


# --- boxes --------------------------------------------------------------------------------------------------

Boxed = Callable[[Stage, str, str, Box], Any]
"""What is handed out in the place of a box: of whom, and which one."""


def _opened(stage: Stage, victim: str, box: str, true: Box) -> bytes:
    uri = stage.engine(victim).device.user_uri
    for secret in secrets_of(stage.person(victim).store.db).every:
        with contextlib.suppress(BoxRefused):
            return boxes.open_box(secret, true.sealed, user_uri=uri, box=box, serial=true.serial)
    raise AssertionError("a true box opens")


def _newest(stage: Stage, user: str) -> bytes:
    return secrets_of(stage.person(user).store.db).newest


def the_one_before(stage: Stage, victim: str, box: str, true: Box) -> Box:
    """One that a device of theirs has put there, and replaced since."""
    serial = true.serial - 1
    content, uri = _opened(stage, victim, box, true), stage.engine(victim).device.user_uri
    sealed = boxes.seal(_newest(stage, victim), content, user_uri=uri, box=box, serial=serial)
    return Box(serial, sealed)


def of_an_earlier_serial(_: Stage, __: str, ___: str, true: Box) -> Box:
    return replace(true, serial=true.serial - 1)


def of_a_later_serial(_: Stage, __: str, ___: str, true: Box) -> Box:
    return replace(true, serial=true.serial + 7)


def with_a_bit_turned_over(_: Stage, __: str, ___: str, true: Box) -> Box:
    return replace(true, sealed=true.sealed[:-1] + bytes([true.sealed[-1] ^ 1]))


def of_another_account(stage: Stage, victim: str, box: str, true: Box) -> Box:
    uri = stage.engine(whom(victim)).device.user_uri
    content = _opened(stage, victim, box, true)
    sealed = boxes.seal(_newest(stage, whom(victim)), content, user_uri=uri, box=box, serial=true.serial)
    return replace(true, sealed=sealed)


def of_another_name(stage: Stage, victim: str, box: str, true: Box) -> Box:
    uri = stage.engine(victim).device.user_uri
    content, other = _opened(stage, victim, box, true), ARCHIVE if box == CONTACTS else CONTACTS
    sealed = boxes.seal(_newest(stage, victim), content, user_uri=uri, box=other, serial=true.serial)
    return replace(true, sealed=sealed)


def empty(_: Stage, __: str, ___: str, true: Box) -> Box:
    return replace(true, sealed=b"")


def gone(*_: Any) -> Refused:
    return Refused(0, "no_box", "")


BOXED: Final[dict[str, Boxed]] = {
    "the one before": the_one_before,
    "an earlier serial": of_an_earlier_serial,
    "a later serial": of_a_later_serial,
    "a bit of it turned over": with_a_bit_turned_over,
    "another account's": of_another_account,
    "the one of another name": of_another_name,
    "empty": empty,
    "gone": gone,
}


def handing_out(box: str, boxed: Boxed) -> Lie:
    """Hand out another box than the account put there."""

    def tell(stage: Stage, victim: str) -> None:
        def retort(asked: GetBox, true: Any) -> Any:
            is_lie = asked.box == box and isinstance(true, Box)
            return boxed(stage, victim, box, true) if is_lie else true

        stage.liar(victim).retort(GetBox, retort)

    return tell


def of_the_contacts(boxed: Boxed) -> Falsehood:
    def tell(stage: Stage, victim: str) -> None:
        if not stage.engine(victim)._contacts._told:  # else it is told already, until the next look
            handing_out(CONTACTS, boxed)(stage, victim)
            stage.liar(victim).cut()

    return Falsehood(tell, frozenset({"contacts_refused"}), a_while)


async def a_while(stage: Stage, victim: str) -> None:
    """So long that a client looks what lies at the server."""
    del victim
    await stage.go(2 * SETTLES)


# --- the archive --------------------------------------------------------------------------------------------

Pieces = Callable[[Stage, str, FilePiece], Any]


async def _looks_after_it(stage: Stage, victim: str) -> None:
    """Something is said, and goes into the archive of who heard it."""
    stage.world.send(whom(victim), ROOM)
    await stage.go(2)
    stage.world.do(stage.client(victim)._keeper.look_after())
    await stage.go(3)


def of_the_archive(lie: Lie, *names: str) -> Falsehood:
    async def occasion(stage: Stage, victim: str) -> None:
        await _looks_after_it(stage, victim)
        lie(stage, victim)
        await _looks_after_it(stage, victim)

    return Falsehood(silent, frozenset(names), occasion)


def of_a_segment(pieces: Pieces) -> Lie:
    def lie(stage: Stage, victim: str) -> None:
        def retort(_: GetFile, true: Any) -> Any:
            return pieces(stage, victim, true) if isinstance(true, FilePiece) else true

        stage.liar(victim).retort(GetFile, retort)

    return lie


def flipped(_: Stage, __: str, true: FilePiece) -> FilePiece:
    return replace(true, data=true.data[:-1] + bytes([true.data[-1] ^ 1]))


def cut_short(_: Stage, __: str, true: FilePiece) -> FilePiece:
    return replace(true, total=true.total - 1, data=true.data[:-1])


def lost(*_: Any) -> Refused:
    return Refused(0, "no_file", "")


# --- all of them --------------------------------------------------------------------------------------------


def _line(tell: Lie, *names: str) -> Falsehood:
    return Falsehood(tell, frozenset(names), nothing)


KEPT: Final[dict[str, Callable[[], Falsehood]]] = {
    **{f"list: {name}": partial(_line, of_a_list(shown), code) for name, (shown, code) in SHOWN.items()},
    **{f"contacts: {name}": partial(of_the_contacts, boxed) for name, boxed in BOXED.items()},
    **{
        f"archive: {name}": partial(of_the_archive, handing_out(ARCHIVE, boxed), "archive")
        for name, boxed in BOXED.items()
    },
    **{
        f"archive: a segment {pieces.__name__}": partial(
            of_the_archive, of_a_segment(pieces), "archive_damaged"
        )
        for pieces in (flipped, cut_short, lost)
    },
    **LINKS,
}
