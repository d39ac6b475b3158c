"""What a person sees and gives to verify somebody: the number in rows, the code, a picture of one."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from securechat.cli.qr import qr_lines
from securechat.client.doubt import identity_word
from securechat.client.errors import ExitCode
from securechat.client.events import Contact, Identity
from securechat.client.face import Face
from securechat.client.straight import beside
from securechat.errors import SecureChatError
from securechat.locale.catalogue import say, tr
from securechat.pictures.code_reading import codes_in

GROUPS_IN_A_ROW: Final = 4
"""Of twelve: short enough to be read aloud in a breath, and for a narrow terminal."""

_INDENT: Final = "    "


def number_rows(number: str) -> list[str]:
    """A safety number in rows of a few groups."""
    groups = number.split()
    return [
        _INDENT + " ".join(groups[at : at + GROUPS_IN_A_ROW]) for at in range(0, len(groups), GROUPS_IN_A_ROW)
    ]


def head(contact: Contact) -> str:
    """``@bob: verified since 2026-11-22``: the word for a person, and since when it is so."""
    word = tr(identity_word(contact.identity))
    if contact.identity is Identity.CHANGED:
        return f"@{contact.user}: {word}"
    since = contact.verified_since if contact.identity is Identity.VERIFIED else contact.since
    return say("@{user}: {word} since {day}", user=contact.user, word=word, day=_day(since))


def number_lines(contact: Contact) -> list[str]:
    """The number to compare, on top of it whose it is; of keys that changed the new one, then the old."""
    if not contact.changed_number:
        return [head(contact), *number_rows(contact.safety_number)]
    return [
        head(contact),
        *number_rows(contact.changed_number),
        tr("with the keys from before it was:"),
        *number_rows(contact.safety_number),
    ]


def code_lines(contact: Contact, *, colours: bool = False) -> list[str]:
    """The code for the other one to scan."""
    return qr_lines(contact.code, colours=colours)


async def compare_picture(face: Face, user: str, path: str | Path) -> None:
    """Compare the code that is in a picture; raises what `compare_code` raises, and `NotDrawable`."""
    await compare_first(face, user, await beside(lambda: _codes_in(path)))


def _codes_in(path: str | Path) -> list[str]:
    return codes_in(Path(path).expanduser())


def is_code(text: str) -> bool:
    """Whether a text has the beginning of a code."""
    # Imported here: with it comes all of MLS, and a line mode that goes through a holder has no need of that.
    from securechat.membership.verification_code import LABEL  # noqa: PLC0415

    return "".join(text.split()).upper().startswith(LABEL)


async def compare_first(face: Face, user: str, texts: Iterable[str]) -> None:
    """Compare codes of which one is to be the right one: of who shows it there may be ours in view too.

    A code of other keys is the answer, whatever else is in view.
    """
    from securechat.membership.verification_code import NoCode  # noqa: PLC0415 - see `is_code`

    same = False
    refused: SecureChatError = NoCode("that is no code to verify somebody by")
    for text in filter(is_code, texts):
        try:
            await face.compare_code(user, text)
        except SecureChatError as no:
            if getattr(no, "exit_code", 0) == ExitCode.UNTRUSTED:
                raise
            refused = no
        else:
            same = True
    if not same:
        raise refused


def _day(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).astimezone().strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return "????-??-??"
