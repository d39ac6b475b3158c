"""Slash commands for how things stand: keys, holds, connection; one function each (as `line_finding`)."""

from typing import Final

from msgspec import structs

from securechat.cli.line_talk import Talking
from securechat.cli.show import NOTHING_TO_EXPLAIN, explanation_text
from securechat.cli.surface import Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.face import Face
from securechat.locale.catalogue import say, tr


def _usage(command: Command) -> str:
    return "usage: " + COMMANDS[command.name][0]


async def _fingerprint(face: Face, surface: Output, command: Command, target: str) -> str | None:
    name = command.words[0] if command.words else target
    if not name:
        return _usage(command)
    codes = await face.fingerprint(name)
    if codes.safety_number:
        number = codes.safety_number
        surface.tell(
            say("safety number with {name} (the same on both sides): {number}", name=name, number=number)
        )
    if codes.changed_number:
        number = codes.changed_number
        surface.tell(
            say("with the keys that {name} has now, not accepted yet: {number}", name=name, number=number)
        )
    if codes.epoch_code:
        code = codes.epoch_code
        surface.tell(
            say("epoch code of {name} (the same for all its members now): {code}", name=name, code=code)
        )
    if codes.suite:
        surface.tell(say("cipher suite of {name}: {suite}", name=name, suite=codes.suite))
    return None


async def _accept(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    user, *digits = command.words or ("",)
    if not user.startswith("@") or not digits:
        return _usage(command)
    await face.accept_identity(user, " ".join(digits))
    surface.tell(f"* {say('the new keys of {user} are taken as theirs', user=user)}")
    return None


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
    "fingerprint": _fingerprint,
    "accept": _accept,
    "release": _release,
    "upgrade": _upgrade,
    "why": _why,
    "status": _status,
}
"""By the command's canonical name."""
