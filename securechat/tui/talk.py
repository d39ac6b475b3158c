"""What is open, and what is done with it: the screen's side of the conversation, without a widget.

Every call goes over the bridge; what comes back is checked against what is open by then, because a
person may have gone elsewhere meanwhile. A message is bound to its conversation when it is written (Q-07):
which one is open changes at once when somebody asks for it, never behind work that took its time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct, structs

from securechat.client.events import (
    Connected,
    Conversation,
    Disconnected,
    Event,
    FileMoved,
    Joined,
    Kind,
    Message,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    MessageRefused,
    MessageState,
    Typing,
    Undecryptable,
)
from securechat.errors import SecureChatError
from securechat.locale.catalogue import mark, tr
from securechat.tui.backend import Asked, Backend, Maybe, News, Told
from securechat.tui.bridge import Bridge
from securechat.tui.paint import Role
from securechat.tui.panels import in_order
from securechat.tui.window import MAX_NOTES, PAGE, Window

WELCOME: Final = (
    mark("No conversations yet. What you type begins with a name:"),
    mark("@bob: hello         writes to bob, if somebody here is called so"),
    mark("/create #garden     makes a room, and /invite @bob asks somebody in"),
    mark("F1                  shows all keys and commands; Ctrl+C leaves"),
)
"""What an empty screen says: whoever is new here knows no key."""

TYPING_SECONDS: Final = 4.0
"""How often others hear that one is still typing."""


class Due(Struct, frozen=True):
    """What of the store is not on the screen yet: the list, and what came last in the open conversation."""

    rows: bool
    tail: bool


class View(Protocol):
    """What is told of changes; draws them."""

    @property
    def is_writing(self) -> bool: ...
    def turned(self, left: str) -> None: ...
    def window_opened(self, at: int) -> None: ...
    def window_changed(self) -> None: ...
    def list_changed(self) -> None: ...
    def heard(self, message: Message) -> None: ...
    def asked(self, question: str) -> None: ...
    def event_words(self, event: Event) -> str | None: ...


class Talk:
    """The conversations, the one that is open, and the part of it that is in memory."""

    def __init__(self, bridge: Bridge, view: View, clock: Callable[[], float] = time.monotonic) -> None:
        self._bridge = bridge
        self._view = view
        self._clock = clock
        self.conversations: list[Conversation] = []
        self.current = ""
        self.window = Window()
        self.online = False
        self.why = ""
        self.waiting = 0
        self._sending = asyncio.Lock()
        self._shown: set[int] = set()
        self._told: deque[str] = deque(maxlen=MAX_NOTES)
        """What the last command said."""
        self.moving: dict[int, FileMoved] = {}
        """Files on their way, by their numbers."""
        self._late: list[Message] | None = None
        """What was said in the conversation that is being opened, since its page was asked for."""
        self._read = ""
        self._kept: dict[str, str] = {}
        """The drafts that were stored from here; the list may still have what was before."""
        self._typed = ("", float("-inf"))
        """Where others were told that one is typing, and when."""
        self._typing: dict[tuple[str, str], float] = {}

    @property
    def conversation(self) -> Conversation | None:
        return self.found(self.current)

    def found(self, name: str) -> Conversation | None:
        return next((one for one in self.conversations if one.name == name), None)

    def names(self) -> list[str]:
        """Return the names at hand: conversations, and who is in the open one."""
        here = self.conversation
        people = [f"@{member.user}" for member in here.members] if here is not None else []
        return list(dict.fromkeys([*people, *(one.name for one in self.conversations)]))

    async def begin(self) -> None:
        """Read the list and show what is open, else the conversation of the last word."""
        await self.read_list()
        if self.current:
            await self.fill(self.current)
        else:
            await self.open_something()

    async def open_something(self) -> None:
        """Open the conversation of the last word, unless one is open or something is being written."""
        if not self.current and not self._view.is_writing:
            await self.open(self.conversations[0].name if self.conversations else "")

    async def read_list(self) -> None:
        status = await self._bridge.ask(lambda client: client.status())
        self.online, self.waiting = status.connected, status.queued
        self.conversations = in_order(await self._bridge.ask(lambda client: client.conversations()))
        self._view.list_changed()

    def turn(self, name: str) -> None:
        """Make this the open conversation, at once; what was said in it comes with `fill`."""
        if name != self.current:
            left, self.current, self.window = self.current, name, Window()
            self._view.turned(left)

    def may_lead(self, to: str, *, asked_in: str) -> bool:
        """Whether an answer may open a conversation: nobody has gone elsewhere or written on meanwhile."""
        return bool(to) and to != asked_in == self.current and not self._view.is_writing

    async def open(self, name: str, *, at: int = 0) -> None:
        """Open a conversation at its end, or at one of its messages."""
        self.turn(name)
        await self.fill(name, at=at)

    async def fill(self, name: str, *, at: int = 0) -> None:
        """Show what was said in a conversation, if it is the open one; from its end, or around a message."""
        if self.current != name:
            return
        window = Window()
        late: list[Message] = []
        self._late = late
        known = self.found(name)
        try:
            page = await self._before(name, at + 1 if at else 0) if known is not None else []
            newer = await self._after(name, at) if at else []
        finally:
            self._late = None if self._late is late else self._late
        if self.current != name:
            return
        window.start(page, wanted=PAGE)
        if at:
            window.add_after(newer, wanted=PAGE)
        for message in late:
            window.put(message)
        window.unread_from = 0 if at else _first_unread(window.messages, known.unread if known else 0)
        if not self.window.messages:  # words of ours from before the page was there
            window.take_notes(self.window)
        self.window = window
        if known is None and name:
            window.tell(tr("nothing was said here yet: your first words open it"))
        elif not name:
            for words in WELCOME:
                window.tell(tr(words))
        self._read = ""
        self._view.window_opened(at)

    async def page(self, *, older: bool) -> None:
        """Have more of the open conversation in memory."""
        window, name = self.window, self.current
        if older:
            page = await self._before(name, window.first)
        else:
            page = await self._after(name, window.last)
        if window is self.window:
            (window.add_before if older else window.add_after)(page, wanted=PAGE)
            self._view.window_changed()

    async def send(self, to: str, text: str, *, reply_to: str = "", thread: str = "") -> str:
        """Say something, in the order it was written; return the conversation it is in."""
        async with self._sending:
            message = await self._bridge.ask(
                lambda client: (
                    client.send(to, text, reply_to=reply_to, thread=thread)
                    if reply_to or thread
                    else client.send(to, text)
                )
            )
        self.put(message)
        return message.conversation

    async def edit(self, message: Message, text: str) -> None:
        await self.change(lambda client: client.edit(message.conversation, message.id, text))

    async def change(self, work: Callable[[Backend], Maybe[Message]]) -> None:
        """Change a message, and show it as it is then."""
        self.put(await self._bridge.ask(work))

    async def command(self, line: str, asked_in: str) -> None:
        """Have a command done, and go where it leads; what it said goes along."""
        self._told.clear()
        target = await self._bridge.command(line, asked_in)
        told = list(self._told)
        await self.read_list()
        if self.may_lead(target, asked_in=asked_in):
            await self.open(target)
            for text in told:
                self.tell(text)

    def put(self, message: Message) -> None:
        """Show a message as it is now."""
        if self._take_message(message):
            self._view.window_changed()

    def tell(self, text: str, role: Role = Role.DIM) -> None:
        """Say something of ours between the messages."""
        self.window.tell(text, role)
        self._view.window_changed()

    async def looked_at(self) -> None:
        """Note that the person has seen what is open, to its end."""
        news = [
            one
            for one in self.window.messages
            if not one.own and one.local_id not in self._shown and one.state is not MessageState.NOT_SHOWN
        ]
        if not news:
            return
        self._shown.update(one.local_id for one in news)
        await self._bridge.ask(lambda client: client.mark_shown([one.local_id for one in news]))
        last = next((one for one in reversed(news) if one.id), None)
        if last is not None and last.id != self._read:
            self._read = last.id
            await self._bridge.ask(lambda client: client.mark_read(last.conversation, last.id))
        known = self.conversation
        if known is not None and known.unread:
            await self.read_list()

    async def typed(self, text: str) -> None:
        """Let the others know that one is typing, now and then; and that one has stopped."""
        name, now = self.current, self._clock()
        on = bool(text) and not text.startswith("/") and self.found(name) is not None
        told, at = self._typed
        if told and (not on or told != name):
            self._typed = ("", at)
            await self._bridge.ask(lambda client: client.typing(told, False))  # noqa: FBT003 - the client's
        if on and (told != name or now - at >= TYPING_SECONDS):
            self._typed = (name, now)
            await self._bridge.ask(lambda client: client.typing(name, True))  # noqa: FBT003

    async def kept_draft(self, name: str) -> str:
        """Return what the store keeps for a conversation, one that does not exist yet too."""
        self._kept[name] = await self._bridge.ask(lambda client: client.draft(name))
        return self._kept[name]

    async def keep_draft(self, name: str, text: str) -> None:
        """Keep what was typed and not sent, for the next time."""
        known = self.found(name)
        if self._kept.get(name, known.draft if known is not None else "") == text:
            return
        self._kept[name] = text
        try:
            await self._bridge.ask(lambda client: client.set_draft(name, text))
        except SecureChatError:
            del self._kept[name]
            raise
        self.conversations = [
            structs.replace(one, draft=text) if one.name == name else one for one in self.conversations
        ]
        self._view.list_changed()

    def who_types(self) -> list[str]:
        """Return who is typing in the open conversation."""
        now = self._clock()
        self._typing = {who: until for who, until in self._typing.items() if until > now}
        return sorted(user for name, user in self._typing if name == self.current)

    # --- news ------------------------------------------------------------------------------------

    def take(self, batch: list[News]) -> Due:
        """Take what happened; return what of the store has to be read anew."""
        stale = tail = changed = False
        for event in batch:
            stale = stale or not isinstance(event, Asked | Told | FileMoved | Typing)
            if isinstance(event, Undecryptable | Joined):
                tail = tail or event.conversation == self.current
            if isinstance(message := getattr(event, "message", None), Message):
                if isinstance(event, MessageReceived):
                    self._view.heard(message)
                changed = self._take_message(message) or changed
            changed = self._take_other(event) or changed
        if changed:
            self._view.window_changed()
        return Due(rows=stale, tail=tail and self.window.at_end)

    def _take_message(self, message: Message) -> bool:
        if message.conversation != self.current:
            return False
        if self._late is not None:  # its page was asked for before this was said
            self._late.append(message)
            return False
        return self.window.put(message)

    def _take_other(self, event: News) -> bool:
        """Take what is no message; return whether words of ours stand in the window now."""
        match event:
            case Asked():
                self._view.asked(event.question)
            case Told():
                self.window.tell(event.text)
                self._told.append(event.text)
            case Connected() | Disconnected():
                self.online = isinstance(event, Connected)
                self.why = event.reason if isinstance(event, Disconnected) else ""
                self._view.list_changed()  # also where nothing can be read any more
            case Typing():
                until = self._clock() + 2 * TYPING_SECONDS if event.on else 0.0
                self._typing[event.conversation, event.user] = until
                self._view.list_changed()
            case FileMoved():
                self.moving[event.number] = event
                if event.stopped or event.done >= event.total:
                    del self.moving[event.number]
                self._view.list_changed()
            case MessageReceived() | MessageAcknowledged() | MessageChanged() | Undecryptable():
                pass
            case _:
                return self._tell_event(event)
        return isinstance(event, Told)

    def _tell_event(self, event: Event) -> bool:
        words = self._view.event_words(event)
        if words is not None:
            self.window.tell(words, Role.WARN if isinstance(event, MessageRefused) else Role.DIM)
        return words is not None

    async def _before(self, name: str, before: int) -> list[Message]:
        return await self._bridge.ask(lambda client: client.timeline(name, before=before, limit=PAGE))

    async def _after(self, name: str, after: int) -> list[Message]:
        return await self._bridge.ask(lambda client: client.timeline(name, after=after, limit=PAGE))


def others_of(conversation: Conversation | None) -> int:
    """How many people could read what we write there."""
    return max(len(conversation.members) - 1, 1) if conversation is not None else 1


def kind_of(conversation: Conversation | None) -> Kind:
    return conversation.kind if conversation is not None else Kind.DIRECT


def _first_unread(messages: list[Message], unread: int) -> int:
    """The message above which the unread marker stands."""
    news = [one.local_id for one in messages if not one.own][-unread:] if unread else []
    return news[0] if news else 0
