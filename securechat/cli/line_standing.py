"""Slash commands for how things stand: keys, holds, connection; one function each (as `line_finding`)."""

from typing import Final

from msgspec import structs

from securechat.cli.line_talk import Talking
from securechat.cli.show import NOTHING_TO_EXPLAIN, explanation_text
from securechat.cli.surface import Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.face import Face
from securechat.locale.catalogue import tr


def _usage(command: Command) -> str:
    return "usage: " + COMMANDS[command.name][0]


async def _release(face: Face, _surface: Output, command: Command, target: str) -> str | None:
    name = command.words[0] if command.words else target
    if not name:
        return _usage(command)
    await face.release(name)
    return None


async def _upgrade(face: Face, _surface: Output, command: Command, target: str) -> str | None:
    name = command.words[0] if command.words else target
    if not name:
        return _usage(command)
    await face.upgrade(name)
    return None


async def _why(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    explanations = await face.why(command.words[0] if command.words else None)
    for explanation in explanations:
        surface.tell(explanation_text(explanation))
    if not explanations:
        surface.tell(f"* {tr(NOTHING_TO_EXPLAIN)}")
    return None


async def _status(face: Face, surface: Output, _command: Command, _target: str) -> str | None:
    for name, value in structs.asdict(await face.status()).items():
        surface.tell(f"{name}: {value}")
    return None


STANDING: Final[dict[str, Talking]] = {
    "release": _release,
    "upgrade": _upgrade,
    "why": _why,
    "status": _status,
}
"""By the command's canonical name."""
