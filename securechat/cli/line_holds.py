"""What a person is told who writes where nothing is sent now: their words are kept, and why they wait."""

from typing import Final

from securechat.cli.surface import Output
from securechat.client.errors import ExitCode
from securechat.client.events import Event, Held, Message, MessageState, Released, Standing
from securechat.client.face import Face
from securechat.client.sentences import RESTORED
from securechat.locale.catalogue import say, told

FORBIDDEN: Final = "suite_forbidden"


class LineHolds:
    """The conversations of this chat that are on hold, as far as somebody wrote to them."""

    def __init__(self, face: Face, surface: Output) -> None:
        self._face = face
        self._surface = surface
        self._held: dict[str, tuple[str, str]] = {}
        """Code and sentence by name."""
        self._written_to: set[str] = set()

    def happened(self, event: Event) -> None:
        """Take note of a hold that begins or ends."""
        match event:
            case Held():
                self._held[event.conversation] = (event.code, event.text)
            case Released():
                self._held.pop(event.conversation, None)
            case _:
                pass

    async def wrote(self, message: Message) -> int:
        """Say of a message that it waits, if it does; return the exit code of that, 0 if it does not."""
        name = message.conversation
        if message.state is not MessageState.QUEUED:
            return 0
        if name not in self._written_to:
            self._written_to.add(name)
            conversation = await self._face.conversation(name)
            if conversation.state is Standing.HELD:
                self._held[name] = (conversation.held_code, conversation.held_text)
        if name not in self._held:
            return 0
        why = told(self._held[name][1])
        kept = say("kept here, and not sent to {name} before that is settled: {why}", name=name, why=why)
        self._surface.tell(f"* {kept}")
        return self._code(name)

    @property
    def exit_code(self) -> int:
        """What something that was written and waits for a person ends with; 0 if nothing does."""
        return next((self._code(name) for name in self._held if name in self._written_to), 0)

    def _code(self, name: str) -> int:
        code = self._held[name][0]
        if code in RESTORED:
            return ExitCode.NETWORK
        return ExitCode.FORBIDDEN if code == FORBIDDEN else ExitCode.UNTRUSTED
