"""Slash commands for conversations and who is in them; one function each (as `line_finding`)."""

from typing import Final

from securechat.cli.line_talk import Talking
from securechat.cli.show import conversation_text, members_text
from securechat.cli.surface import Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.face import Face
from securechat.locale.catalogue import say, tr


def _usage(command: Command) -> str:
    return "usage: " + COMMANDS[command.name][0]


async def _invite(face: Face, surface: Output, command: Command, target: str) -> str | None:
    user, room = _user_and_room(command, target)
    if not user:
        return _usage(command)
    await face.invite(room, user)
    surface.tell(f"* {say('{user} is invited to {name}', user=f'@{user}', name=room)}")
    return None


async def _remove(face: Face, _surface: Output, command: Command, target: str) -> str | None:
    user, room = _user_and_room(command, target)
    if not user:
        return _usage(command)
    await face.remove(room, user)
    return None


async def _rooms(face: Face, surface: Output, _command: Command, _target: str) -> str | None:
    conversations = await face.conversations()
    for conversation in conversations:
        surface.tell(conversation_text(conversation))
    if not conversations:
        surface.tell(f"* {tr('no conversations yet: @user: hello opens one')}")
    return None


async def _members(face: Face, surface: Output, command: Command, target: str) -> str | None:
    name = command.words[0] if command.words else target
    if not name:
        return await _rooms(face, surface, command, target)
    surface.tell(members_text(await face.conversation(name)))
    return None


def _user_and_room(command: Command, target: str) -> tuple[str, str]:
    users = [word.removeprefix("@") for word in command.words if not word.startswith("#")]
    rooms = [word for word in command.words if word.startswith("#")] or [target]
    if len(users) == 1 and len(rooms) == 1 and rooms[0].startswith("#"):
        return users[0], rooms[0]
    return "", ""


ROOMS: Final[dict[str, Talking]] = {
    "invite": _invite,
    "remove": _remove,
    "rooms": _rooms,
    "members": _members,
}
"""By the command's canonical name."""
