"""What a line of a chat does: typed lines become calls of the account. What comes is `line_mode`'s.

Nothing here needs an event loop of its own: `securechat do` goes through the account's holder without one.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, assert_never

from securechat.cli.line_editing import LineEditing
from securechat.cli.line_files import MOVING, LineFiles
from securechat.cli.line_finding import FINDING
from securechat.cli.line_history import HISTORY
from securechat.cli.line_holds import LineHolds
from securechat.cli.line_pictures import PICTURES
from securechat.cli.line_rooms import ROOMS
from securechat.cli.line_standing import STANDING
from securechat.cli.line_talk import TALKING
from securechat.cli.line_verifying import VERIFYING
from securechat.cli.lines import NOT_TEXT
from securechat.cli.surface import Clearing, Output
from securechat.client.commands import COMMANDS, Command, Leave, Line, Mistake, Nothing, Say, Turn, read_line
from securechat.client.face import Face
from securechat.errors import SecureChatError
from securechat.locale.catalogue import mark, say, told, tr

EXIT_LATER: Final = 75
DRAIN_SECONDS: Final = 30
"""How long the end of a pipe waits for the server's word on what was sent."""

PARTING_SECONDS: Final = 2
"""How long a person who leaves waits for it; the rest goes out next time."""

_SPOKEN: Final = {**ROOMS, **FINDING, **TALKING, **PICTURES, **MOVING, **STANDING, **HISTORY, **VERIFYING}
"""Commands with a function of their own; the others are methods."""


class LineCommands:
    """What one person's lines do. ``piped`` input decides the exit code; a person's typing slips do not.

    ``folder``: where a draft may lie while the person's own editor has it.
    """

    def __init__(
        self,
        face: Face,
        surface: Output,
        *,
        user: str,
        piped: bool,
        folder: Path | None = None,
        target: str = "",
    ) -> None:
        self._face = face
        self._surface = surface
        self._user = user
        self._piped = piped
        self.target = target
        self.is_locked = False
        """Whether the person left for the lock, to come back with the password."""
        self._shows_typing = False
        self._rings = False
        self._new: dict[str, int] = {}
        """Conversations in which something was shown since they were talked to last, and how much."""
        self._editing = LineEditing(face, surface, folder=folder)
        self._typed: set[int] = set()
        self._files = LineFiles(face, surface, piped=piped)
        self._holds = LineHolds(face, surface)
        self._exit_code = 0

    async def take(self, line: str, target: str) -> str:
        """Do one line for a front end that draws for itself; return the conversation to go on in."""
        self.target = target
        await self._take(line)
        return self.target

    async def once(self, line: str, target: str) -> int:
        """Do one line and wait for the server's word on it; return the exit code."""
        await self.take(line, target)
        return await self._part()

    async def close(self) -> None:
        """End what still goes on of the lines that were taken."""
        await self._files.close()

    async def _part(self) -> int:
        if await self._face.drained(DRAIN_SECONDS if self._piped else PARTING_SECONDS):
            return self._exit_code
        late = tr("not everything has reached the server; it goes out at the next connection")
        self._surface.tell(f"* {late}")
        return self._exit_code or self._holds.exit_code or EXIT_LATER

    async def _take(self, text: str) -> bool:
        """Do what a line says; False when the person leaves."""
        line: Line = Mistake("that is not text; nothing was sent") if NOT_TEXT in text else read_line(text)
        try:
            match line:
                case Leave():
                    return False
                case Nothing():
                    pass
                case Mistake():
                    self._fail(line.sentence, exit_code=1)
                case Turn():
                    self.target = line.target
                    if self._piped:
                        self._tell("talking to {name}", name=line.target)
                case Say():
                    await self._say(line)
                case Command():
                    await self._do(line)
                case _:
                    assert_never(line)
        except SecureChatError as problem:
            self._fail(str(problem), exit_code=int(getattr(problem, "exit_code", 1)))
            if isinstance(line, Say):
                self._editing.give_back(text)
        return not self.is_locked

    async def _do(self, command: Command) -> None:
        if command.name in self._commands:
            await self._commands[command.name](self, command)
            return
        await self._speak(command)

    async def _speak(self, command: Command) -> None:
        mistake = await _SPOKEN[command.name](self._face, self._surface, command, self.target)
        if mistake is not None:
            self._fail(mistake, exit_code=1)

    async def _say(self, line: Say) -> None:
        target = line.target or self.target
        if not target:
            self._fail("to whom? begin with @user: or #room:", exit_code=1)
            return
        message = await self._face.send(target, self._editing.meant(line.text))
        self._typed.add(message.local_id)
        self.target = message.conversation
        waits = await self._holds.wrote(message)
        if self._piped:
            self._exit_code = self._exit_code or waits

    def _fail(self, sentence: str, *, exit_code: int) -> None:
        self._surface.tell(f"* {told(sentence)}")
        if self._piped:
            self._exit_code = self._exit_code or exit_code

    def _tell(self, text: str, /, **places: object) -> None:
        self._surface.tell(f"* {say(text, **places)}")

    # --- commands --------------------------------------------------------------------------------

    async def _help(self, command: Command) -> None:
        del command
        width = max(len(usage) for usage, _help in COMMANDS.values())
        self._surface.tell(tr("@user: TEXT or #room: TEXT sends; plain text goes to the last one addressed"))
        for usage, text in COMMANDS.values():
            self._surface.tell(f"{usage.ljust(width)}  {tr(text)}")

    async def _msg(self, command: Command) -> None:
        target, _, text = command.rest.partition(" ")
        if not target or not text.strip():
            self._fail("usage: " + COMMANDS["msg"][0], exit_code=1)
            return
        await self._say(Say(target if target[0] in "@#" else "@" + target, text.strip()))

    async def _file(self, command: Command) -> None:
        if not command.rest or not self.target:
            self._fail(f"usage: @user, then {COMMANDS['file'][0]}", exit_code=1)
            return
        await self._files.send(self.target, command.rest)

    async def _download(self, command: Command) -> None:
        if not command.words:
            self._fail("usage: " + COMMANDS["download"][0], exit_code=1)
            return
        await self._files.fetch(command.words[0], command.rest.partition(" ")[2].strip())

    async def _create(self, command: Command) -> None:
        if not command.words or not command.words[0].startswith("#"):
            self._fail("usage: " + COMMANDS["create"][0], exit_code=1)
            return
        name, *rest = command.words
        announcement = bool(rest) and rest[0] in {"announce", "--announce", "announcement"}
        topic = " ".join(rest[1:] if announcement else rest)
        conversation = await self._face.create_room(name, announcement=announcement, topic=topic)
        self.target = conversation.name
        self._tell("you made {name}; /invite @user asks people in", name=conversation.name)

    async def _join(self, command: Command) -> None:
        room = self._room(command)
        if room:
            await self._face.join(room)
            self.target = room

    async def _leave(self, command: Command) -> None:
        room = self._room(command)
        if room:
            await self._face.leave(room)
            self._tell("you left {name}", name=room)
            if self.target == room:
                self.target = ""

    async def _typing(self, command: Command) -> None:
        if command.words not in (("show",), ("hide",)):
            await self._speak(command)  # what others are told of us
            return
        self._shows_typing = command.words == ("show",)
        shown = mark("this chat says who types")
        hidden = mark("this chat does not say who types")
        self._tell(shown if self._shows_typing else hidden)

    async def _unread(self, command: Command) -> None:
        del command
        self._new.pop(self.target, None)
        if not self._new:
            self._tell("nothing new anywhere else")
            return
        self.target = next(iter(self._new))
        self._tell(
            "{name}: {count} new; what you type goes there", name=self.target, count=self._new[self.target]
        )
        del self._new[self.target]

    async def _dnd(self, command: Command) -> None:
        if command.words not in ((), ("on",), ("off",)):
            self._fail("usage: " + COMMANDS["dnd"][0], exit_code=1)
            return
        wanted = command.words == ("off",) or (not command.words and not self._rings)
        if wanted:
            self._make_heard()
        self._rings = wanted
        rings, quiet = mark("new messages ring"), mark("new messages do not ring")
        self._tell(rings if self._rings else quiet)

    def _make_heard(self) -> None:
        """Make ready to be heard; nothing where nothing comes."""

    async def _lock(self, command: Command) -> None:
        del command
        if self._piped or not isinstance(self._surface, Clearing):
            self._fail("the lock needs a terminal", exit_code=1)
            return
        self.is_locked = True

    async def _editor(self, command: Command) -> None:
        mistake = await self._editing.write(command, self.target)
        if mistake is not None:
            self._fail(mistake, exit_code=1)

    async def _draft(self, command: Command) -> None:
        mistake = await self._editing.draft(command, self.target)
        if mistake is not None:
            self._fail(mistake, exit_code=1)

    def _room(self, command: Command) -> str:
        name = command.words[0] if command.words else self.target
        if name.startswith("#"):
            return name
        self._fail("usage: " + COMMANDS[command.name][0], exit_code=1)
        return ""

    _commands: Final[dict[str, Callable[["LineCommands", Command], Awaitable[None]]]] = {
        "help": _help,
        "msg": _msg,
        "file": _file,
        "download": _download,
        "create": _create,
        "join": _join,
        "leave": _leave,
        "typing": _typing,
        "unread": _unread,
        "dnd": _dnd,
        "lock": _lock,
        "editor": _editor,
        "draft": _draft,
    }
