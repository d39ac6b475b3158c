"""Slash commands of history: the archive of the account; one function each (as `line_finding`)."""

from typing import Final

from securechat.cli.line_finding import Finding
from securechat.cli.surface import Output
from securechat.client.archive_status import ArchiveStatus
from securechat.client.commands import COMMANDS, Command
from securechat.client.face import Face
from securechat.client.newcomers import ALL, policy_text
from securechat.locale.catalogue import say, told, tr
from securechat.sizes import size_text

MAX_DIGITS: Final = 8


def archive_lines(status: ArchiveStatus) -> list[str]:
    """How the archive stands, and what it has and does not have."""
    if not status.on:
        lines = [tr("the archive is off: a new device of yours begins without what was said before")]
        if status.messages:
            lines.append(tr("what the server still has of it goes as soon as it can be told"))
        return lines
    lines = [tr("the archive is on: a new device of yours, or a recovered account, reads it from the server")]
    if status.seen:
        lines.append(
            say(
                "{count} messages are in it, {size}",
                count=f"{status.messages:,}",
                size=size_text(status.bytes),
            )
        )
    if status.waiting:
        lines.append(say("{count} messages wait here to go there", count=f"{status.waiting:,}"))
    lines.append(
        tr(
            "not in it: what is to disappear, what was withdrawn, what could not be read on any device, and"
            " files that the server let go of (their names are)"
        )
    )
    return lines


async def _archive(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    if command.words not in {(), ("on",), ("off",)}:
        return "usage: " + COMMANDS[command.name][0]
    status = await face.archive(on=command.words == ("on",) if command.words else None)
    for line in archive_lines(status):
        surface.tell(f"* {line}")
    return None


async def _newcomers(face: Face, surface: Output, command: Command, target: str) -> str | None:
    words = list(command.words)
    name = words.pop(0) if words and words[0].startswith("#") else target
    how = words.pop(0) if words else ""
    named = {"": None, "none": 0, "all": ALL}
    if (
        words
        or not name
        or not (how in named or (how.isdecimal() and how.isascii() and len(how) < MAX_DIGITS))
    ):
        return "usage: " + COMMANDS[command.name][0]
    last = await face.room_history(name, last=named[how] if how in named else int(how))
    surface.tell(f"* {told(policy_text(name, last))}")
    return None


HISTORY: Final[dict[str, Finding]] = {"archive": _archive, "newcomers": _newcomers}
"""By the command's canonical name."""
