"""The screen one lives in: conversations, messages, people, status, and the line where one writes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import tzinfo
from pathlib import Path
from typing import Any, ClassVar, Final

from msgspec import structs
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message as Posted
from textual.screen import Screen
from textual.timer import Timer

from securechat.client.commands import Command, Leave, Mistake, Nothing, Say, Turn, read_line
from securechat.client.events import Event, Message
from securechat.errors import SecureChatError
from securechat.locale.catalogue import told, tr
from securechat.tui.acts import Acts, Away
from securechat.tui.answers import Ways
from securechat.tui.backend import News
from securechat.tui.bridge import Bridge, Closed
from securechat.tui.composer import Composer, When, came
from securechat.tui.dialogs import Question
from securechat.tui.draft import Draft, addressed
from securechat.tui.emoji import with_emoji
from securechat.tui.keys import keys_of
from securechat.tui.notices import is_heard, notice_text
from securechat.tui.paint import Role, line
from securechat.tui.panels import (
    ROWS_EACH,
    hint_line,
    people_lines,
    rooms_lines,
    status_line,
    title_line,
)
from securechat.tui.picture_view import Write
from securechat.tui.rows import Rows
from securechat.tui.settings import Chosen, Settings, shows_thumbnails
from securechat.tui.talk import Talk, kind_of, others_of
from securechat.tui.timeline import Timeline
from securechat.tui.wrap import clean
from securechat.tui.writing import Writing

FOLD: Final = 100
"""Columns below which the panels are hidden until somebody asks for them."""

ROOMS_WIDTH: Final = 26
PEOPLE_WIDTH: Final = 20

KEEP_SECONDS: Final = 2.0
"""A draft is kept so long after the last key: a crash costs a sentence, and not every key a write."""

PARTS: Final = ("rooms", "people", "title", "timeline", "status", "hint", "composer")

Words = Callable[[Event], str | None]
Hear = Callable[[str], None]


class ChatScreen(Screen[None]):
    """Draws a `Talk`, and does what keys and drafts ask for."""

    class Program(Posted):
        """Something for the whole program: another theme, the lock, to draw anew."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    AUTO_FOCUS: ClassVar[str | None] = "#composer"

    def __init__(  # noqa: PLR0913 - what the floors above give
        self,
        bridge: Bridge,
        chosen: Chosen,
        *,
        user: str,
        profile: Path,
        words: Words,
        hear: Hear,
        write: Write,
        drawing: Ways,
        away: Away,
        first: str = "",
        zone: tzinfo | None = None,
        when: When = came,
    ) -> None:
        super().__init__()
        self.bridge = bridge
        self.settings: Settings = chosen.settings
        self.keys = chosen.keys
        self.user = user
        self.profile = profile
        self.talk = Talk(bridge, self)
        self.writing = Writing(self.talk, self.run)
        self.folded = {"rooms": True, "people": True}
        self._words = words
        self._hear = hear
        self.write = write
        self.drawing = drawing
        self.away = away
        self._first = first
        self._zone = zone
        self._when = when
        self._hint = ""
        self._acts = Acts(self)
        self._reading_list = False
        self._keeping: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield Rows(id="rooms")
            with Vertical(id="middle"):
                yield Rows(id="title")
                yield Timeline(id="timeline", zone=self._zone, pictures=shows_thumbnails(self.settings))
            yield Rows(id="people")
        yield Rows(id="status")
        yield Rows(id="hint")
        yield self.writing.begin(Composer(self._acts.bound(self.keys), self.talk.names, self._when))

    @property
    def timeline(self) -> Timeline:
        return self.query_one("#timeline", Timeline)

    @property
    def composer(self) -> Composer:
        return self.query_one("#composer", Composer)

    def on_mount(self) -> None:
        self._fold(self.app.size.width)
        self.bridge.listen(self.take_news)
        self.talk.turn(self._first)
        self.run(self.talk.begin())
        self.set_interval(1, self.draw_hint)

    def on_resize(self, event: events.Resize) -> None:
        self._fold(event.size.width)

    # --- what keeps running ----------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that takes a while. What goes wrong is said in a line; a mistake of ours ends us."""

        async def finished() -> None:
            try:
                await work
            except SecureChatError as problem:
                self.talk.tell(f"* {told(str(problem))}", Role.WARN)

        self.run_worker(finished(), exit_on_error=True)

    def take_news(self, batch: list[News]) -> None:
        """Take what the client tells, a batch at a time."""
        due = self.talk.take(batch)
        if due.tail:
            self.run(self.talk.page(older=False))
        if due.rows and not self._reading_list:
            self._reading_list = True
            self.set_timer(0.1, self._read_list)  # a burst of events is one look at the list

    def _read_list(self) -> None:
        async def read() -> None:
            self._reading_list = False
            with suppress(Closed):  # that it is closed was told
                await self.talk.read_list()
            if self.talk.conversations:
                await self.talk.open_something()

        self.run(read())

    # --- what a `Talk` tells ---------------------------------------------------------------------

    @property
    def _is_up(self) -> bool:
        """Whether there is something to draw on: not before the screen is there, nor after."""
        return all(self.query(f"#{name}") for name in PARTS)

    @property
    def is_writing(self) -> bool:
        return self._is_up and self.writing.goes_on

    def turned(self, left: str) -> None:
        if not self._is_up:
            return
        self.writing.turned(left)
        self.window_opened(0)

    def window_opened(self, at: int) -> None:
        if not self._is_up:
            return
        here = self.talk.conversation
        self.timeline.show(self.talk.window, kind=kind_of(here), others=others_of(here), at=at)
        self.list_changed()
        self.look()

    def window_changed(self) -> None:
        if not self._is_up:
            return
        self.timeline.waits = False
        self.timeline.changed()
        self.look()

    def list_changed(self) -> None:
        if not self._is_up:
            return
        self.writing.read()
        here, talk = self.talk.conversation, self.talk
        at = next((at for at, one in enumerate(talk.conversations) if one.name == talk.current), None)
        rooms = rooms_lines(talk.conversations, talk.current, ROOMS_WIDTH - 1)
        # Both rows of the open conversation are to be in view, hence the second of them.
        self._rows("rooms").put(rooms, chosen=None if at is None else at * ROWS_EACH + 1)
        self._rows("people").put(people_lines(here, PEOPLE_WIDTH - 1))
        self._rows("title").put([title_line(here, talk.current, self.user)])
        self.timeline.people(kind_of(here), others_of(here))
        status = status_line(
            here, online=talk.online, why=talk.why, waiting=talk.waiting, dnd=self.settings.do_not_disturb
        )
        self._rows("status").put([status])
        self.draw_hint()

    def heard(self, message: Message) -> None:
        seen = message.conversation == self.talk.current and self.timeline.is_at_end and self.app.app_focus
        here = self.talk.found(message.conversation)
        if is_heard(message, here, looked_at=seen, settings=self.settings):
            self._hear(notice_text(message, self.settings))

    def asked(self, question: str) -> None:
        async def answered() -> None:
            yes = await self.app.push_screen_wait(Question(question))
            self.bridge.answer(yes=bool(yes))  # the lock takes a question away without an answer

        self.run(answered())

    def event_words(self, event: Event) -> str | None:
        return self._words(event)

    def toggle(self, what: str) -> None:
        """Do what the whole program does: panels, theme, lock, end."""
        match what:
            case "rooms" | "people":
                self.folded[what] = not self.folded[what]
                self._fold(self.app.size.width)
            case "bare":
                self.toggle_class("bare")
                self._fold(self.app.size.width)
            case "disturb":
                dnd = not self.settings.do_not_disturb
                self.settings = structs.replace(self.settings, do_not_disturb=dnd)
                self.list_changed()
            case "quit":
                self.run(self._quit())
            case _:
                self.post_message(self.Program(what))

    async def _quit(self) -> None:
        await self.part()
        self.app.exit()

    def look(self) -> None:
        """Note what is seen now."""
        if self.timeline.is_at_end and self.app.app_focus and self.is_current:
            self.run(self.talk.looked_at())

    def on_timeline_wanted(self, event: Timeline.Wanted) -> None:
        self.run(self.talk.page(older=event.older))

    # --- the draft -------------------------------------------------------------------------------

    def on_composer_did(self, event: Composer.Did) -> None:
        self._acts.do(event.action)

    def on_composer_sent(self, event: Composer.Sent) -> None:
        if not event.text and self.timeline.chosen and self.writing.editing is None:
            self.timeline.show_whole()
            return
        draft = self.writing.taken(event.to, event.text)
        if not self._take(draft, event.to):
            self.writing.give_back(event.to, draft)
        elif draft.editing is not None:
            self.writing.take_up()
        self.draw_hint()

    def on_composer_hinted(self, event: Composer.Hinted) -> None:
        self._hint = "  ".join(clean(words) for words in event.words)
        self.draw_hint()

    def on_composer_too_long(self) -> None:
        self.talk.tell(
            f"* {tr('that is more than one message can carry; the rest was not taken')}", Role.WARN
        )

    def on_text_area_changed(self) -> None:
        self._hint = ""
        self.draw_hint()
        if self._keeping is not None:
            self._keeping.stop()
        self._keeping = self.set_timer(KEEP_SECONDS, lambda: self.run(self.writing.keep()))
        self.run(self.talk.typed(self.composer.typed))

    def _take(self, draft: Draft, here: str) -> bool:
        """Do what a draft says that was written in a conversation; False if it stays a draft."""
        text = draft.text
        if draft.editing is not None:
            if text.strip():
                self.run(self._changed(draft.editing, draft, here))
            return True
        if text.strip().startswith("/") and self._acts.command(text):
            return True
        meant = read_line(text)
        match meant:
            case Nothing():
                return False
            case Leave():
                self._acts.do("quit")
            case Mistake():
                self.talk.tell(f"* {told(meant.sentence)}", Role.WARN)
                return False
            case Turn():
                self.go(meant.target)
            case Say():
                return self._say(draft, here)
            case Command():
                self.run(self.talk.command(text.strip(), here))
        return True

    def _say(self, draft: Draft, here: str) -> bool:
        to, text = addressed(draft.text, here)
        if not to:
            self.talk.tell(f"* {tr('to whom? begin with @user: or #room:')}", Role.WARN)
            return False
        if here == self.talk.current:
            if draft.answering is not None:
                self.timeline.choose_none()  # it was chosen to be answered
            self.timeline.to_end()
        self.run(self._sent(to, with_emoji(text), draft, here))
        return True

    async def _sent(self, to: str, text: str, draft: Draft, here: str) -> None:
        reply_to = draft.answering.id if draft.answering is not None and to == here else ""
        try:
            if not self.talk.window.at_end:
                await self.talk.fill(to)
            name = await self.talk.send(to, text, reply_to=reply_to)
        except SecureChatError:
            self.writing.give_back(here, draft)
            raise
        if self.talk.found(name) is None:
            await self.talk.read_list()
        if self.talk.may_lead(name, asked_in=here):
            await self.talk.open(name)

    async def _changed(self, message: Message, draft: Draft, here: str) -> None:
        try:
            await self.talk.edit(message, draft.text)
        except SecureChatError:
            self.writing.give_back(here, draft)
            raise

    def go(self, name: str, *, at: int = 0) -> None:
        """Open a conversation; the draft of the one that is left stays with it."""
        if name == self.talk.current and not at and self.talk.window.at_end:
            return
        self.talk.turn(name)
        self.run(self.talk.fill(name, at=at))

    async def part(self) -> None:
        """Keep the draft before one leaves."""
        with suppress(SecureChatError, TimeoutError):
            async with asyncio.timeout(2):
                await self.writing.keep()

    # --- drawing ---------------------------------------------------------------------------------

    def draw_hint(self) -> None:
        """Say where the draft goes, and what goes on: the row above it."""
        if not self._is_up:
            return
        if self._hint:
            self._rows("hint").put([line((self._hint, Role.DIM))])
            return
        below = not self.talk.window.at_end or not self.timeline.is_at_end
        to, _ = addressed(self.composer.text, self.talk.current)
        hint = hint_line(
            clean(to) or tr("nobody yet"),
            self.writing.now,
            typing=self.talk.who_types(),
            moving=list(self.talk.moving.values()),
            stops=keys_of(self.keys, "cancel"),
            below=below,
        )
        self._rows("hint").put([hint])

    def _rows(self, name: str) -> Rows:
        return self.query_one(f"#{name}", Rows)

    def _fold(self, width: int) -> None:
        for name in ("rooms", "people"):
            shown = self.folded[name] == (width >= FOLD) and not self.has_class("bare")
            self._rows(name).display = shown
