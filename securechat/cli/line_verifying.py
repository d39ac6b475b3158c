"""Slash commands for who people are: one function each (as `line_finding`)."""

from typing import Final

from securechat.cli.line_talk import Talking
from securechat.cli.surface import Drawing, Output
from securechat.cli.verifying import code_lines, compare_first, compare_picture, is_code, number_lines
from securechat.client.commands import COMMANDS, Command
from securechat.client.events import Compared
from securechat.client.face import Face
from securechat.locale.catalogue import say


def _usage(command: Command) -> str:
    return "usage: " + COMMANDS[command.name][0]


async def _verify(face: Face, surface: Output, command: Command, target: str) -> str | None:
    user, *given = command.words or (target,)
    if not user.startswith("@"):
        return _usage(command)
    match given:
        case []:
            await _show(face, surface, user)
            return None
        case ["off"]:
            await face.clear_verified(user)
            surface.tell(f"* {say('{user} is known, and not verified any more', user=user)}")
            return None
        case ["scan", *path]:
            if not path:
                return _usage(command)
            await compare_picture(face, user, " ".join(path))
        case [code, *_] if is_code(code):
            await compare_first(face, user, ["".join(given)])
        case _:
            await face.set_verified(user, " ".join(given))
    surface.tell(f"* {say('{user} is verified, with all devices, until their keys change', user=user)}")
    return None


async def _show(face: Face, surface: Output, user: str) -> None:
    contact = await face.contact(user)
    for line in number_lines(contact):
        surface.tell(line)
    number = contact.changed_number or contact.safety_number
    command = f"/verify {user} {number[:11]}"
    surface.tell(f"* {say('the same on both sides? then: {command}', command=command)}")
    scan = f"/verify {user} scan PICTURE"
    surface.tell(f"* {say('or scan what the other one shows: {command}', command=scan)}")
    if isinstance(surface, Drawing):
        surface.draw(code_lines(contact))


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
        _tell_compared(surface, codes.conversation, codes.compared)
    if codes.suite:
        surface.tell(say("cipher suite of {name}: {suite}", name=name, suite=codes.suite))
    return None


def _tell_compared(surface: Output, name: str, compared: tuple[Compared, ...]) -> None:
    now = [f"@{each.user}" for each in compared if each.present]
    before = [f"@{each.user} ({each.epoch})" for each in compared if not each.present]
    if now:
        people = ", ".join(now)
        surface.tell(say("you have compared it with {people}: your note, on this device only", people=people))
    if before:
        people = ", ".join(before)
        surface.tell(say("you have compared codes of earlier epochs with {people}", people=people))
    if not now:
        note = f"/compared @user DIGITS {name}"
        surface.tell(say("you have not compared it with anybody; {command} notes it here", command=note))


async def _compared(face: Face, surface: Output, command: Command, target: str) -> str | None:
    users = [word for word in command.words if word.startswith("@")]
    rooms = [word for word in command.words if word.startswith("#")] or [target]
    digits = [word for word in command.words if word[0] not in "@#"]
    if len(users) != 1 or len(rooms) != 1 or not rooms[0] or not digits:
        return _usage(command)
    (user,), (name,) = users, rooms
    if digits == ["off"]:
        await face.set_compared(name, user, "")
        surface.tell(f"* {say('the note about {user} in {name} is gone', user=user, name=name)}")
        return None
    await face.set_compared(name, user, " ".join(digits))
    surface.tell(
        "* " + say("noted on this device: you and {user} have the same code of {name}", user=user, name=name)
    )
    return None


async def _accept(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    user, *digits = command.words or ("",)
    if not user.startswith("@") or not digits:
        return _usage(command)
    await face.accept_identity(user, " ".join(digits))
    surface.tell(f"* {say('the new keys of {user} are taken as theirs; they are known now', user=user)}")
    return None


VERIFYING: Final[dict[str, Talking]] = {
    "verify": _verify,
    "fingerprint": _fingerprint,
    "compared": _compared,
    "accept": _accept,
}
"""By the command's canonical name."""
