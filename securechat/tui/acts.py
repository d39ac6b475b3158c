"""What keys and the screen's own commands do: one method for each action of the table in `keys`."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol

from textual.app import App

from securechat.client.events import Message
from securechat.locale.catalogue import tr
from securechat.tui.answers import Ways
from securechat.tui.bridge import Bridge
from securechat.tui.completion import fuzzy
from securechat.tui.composer import Composer
from securechat.tui.dialogs import WIDTH, Choice, Chooser, Prompt, Question, Reading
from securechat.tui.editor import edited
from securechat.tui.emoji import with_emoji
from securechat.tui.found_lines import choices
from securechat.tui.help import help_lines
from securechat.tui.keys import AS_KEYS, KEYS, NUMBERS
from securechat.tui.letting_in import let_in, take_off
from securechat.tui.looking import look_at
from securechat.tui.paint import Role, line
from securechat.tui.picture_view import Write
from securechat.tui.settings import Settings
from securechat.tui.stopping import stop_one
from securechat.tui.summary import summary
from securechat.tui.talk import Talk
from securechat.tui.timeline import Timeline
from securechat.tui.wrap import clean, cut
from securechat.tui.writing import Writing

FOUND: Final = 50
"""Messages in a list of found ones."""

_GOTO: Final = "goto "

Away = Callable[[], AbstractContextManager[None]]
"""Leaves the terminal to another program for a while."""


class Host(Protocol):
    """The screen, as far as actions need it."""

    bridge: Bridge
    keys: dict[str, str]
    talk: Talk
    settings: Settings
    write: Write
    drawing: Ways
    writing: Writing

    @property
    def app(self) -> "App[Any]": ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def composer(self) -> Composer: ...
    @property
    def profile(self) -> Path: ...

    @property
    def away(self) -> Away: ...

    def run(self, work: Coroutine[Any, Any, None]) -> None: ...
    def go(self, name: str, *, at: int = 0) -> None: ...
    def draw_hint(self) -> None: ...
    def toggle(self, what: str) -> None: ...


class Acts:
    """Does things to a screen."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._does: dict[str, Callable[[], None]] = {name: getattr(self, f"_{name}") for name in KEYS}
        self._takes: dict[str, Callable[[str], None]] = {
            "search": self._find,
            "lastlog": self._find,
            "picture": self._look_at,
            "date": self._to_date,
            "goto": self._to_date,
            "dnd": self._disturb_no_more,
            "draft": self._say_of_draft,
        }

    @staticmethod
    def bound(keys: dict[str, str]) -> dict[str, str]:
        """Return key to action, with the keys that go by number."""
        return keys | {key: f"{_GOTO}{at}" for key, at in NUMBERS.items() if key not in keys}

    def do(self, action: str) -> None:
        if action.startswith(_GOTO):
            self._goto(int(action.removeprefix(_GOTO)))
        else:
            self._does[action]()

    def command(self, typed: str) -> bool:
        """Do a command that has a screen of its own; False if this is none."""
        word, _, rest = typed.strip().partition(" ")
        name, words = word.lower().removeprefix("/"), rest.strip()
        if name in AS_KEYS and not words:
            self._does[AS_KEYS[name]]()
        elif name in self._takes:
            self._takes[name](words)
        elif name == "devices" and (action := words.partition(" "))[0] == "approve":
            let_in(self._host, action[2].strip())
        elif name == "devices" and action[0] == "revoke" and action[2].strip():
            take_off(self._host, action[2].strip())
        else:
            return False
        return True

    # --- going somewhere -------------------------------------------------------------------------

    def _goto(self, at: int) -> None:
        rows = self._host.talk.conversations
        if at < len(rows):
            self._host.go(rows[at].name)

    def _switch(self) -> None:
        names = [one.name for one in self._host.talk.conversations]

        async def find(wanted: str) -> Sequence[Choice]:
            found = fuzzy(wanted, names)
            new = wanted.strip()
            if new[:1] in {"@", "#"} and len(new) > 1 and new not in found:
                found.append(new)
            return [Choice(name, line(clean(name))) for name in found]

        async def chosen() -> None:
            name = await self._host.app.push_screen_wait(Chooser(tr("Go to"), find))
            if name:
                self._host.go(name)

        self._host.run(chosen())

    def _next_unread(self) -> None:
        rows = self._around()
        name = next((one.name for one in rows if one.mentions), None)
        name = name or next((one.name for one in rows if one.unread), None)
        if name:
            self._host.go(name)

    def _next(self) -> None:
        self._step(1)

    def _previous(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        names = [one.name for one in self._host.talk.conversations]
        if names:
            here = self._host.talk.current
            self._host.go(names[(names.index(here) + by) % len(names)] if here in names else names[0])

    def _around(self) -> list[Any]:
        """The conversations after the open one, then those before it."""
        rows, here = self._host.talk.conversations, self._host.talk.current
        at = next((at for at, one in enumerate(rows) if one.name == here), -1)
        return [one for one in rows[at + 1 :] + rows[: max(at, 0)] if one.notify != "mute"]

    def _page_up(self) -> None:
        self._scroll(-1)

    def _page_down(self) -> None:
        self._scroll(1)

    def _scroll(self, by: int) -> None:
        timeline = self._host.timeline
        timeline.scroll_by(by * max(timeline.size.height - 2, 1))
        self._host.draw_hint()

    def _start(self) -> None:
        self._host.run(self._jump(self._host.talk.current, 1))

    def _end(self) -> None:
        if self._host.talk.window.at_end:
            self._host.timeline.to_end()
            self._host.draw_hint()
        else:
            self._host.run(self._host.talk.fill(self._host.talk.current))

    async def _jump(self, name: str, local_id: int) -> None:
        # After 0 would mean: the last ones. What comes before the message is fetched in any case.
        page = await self._host.bridge.ask(
            lambda client: client.timeline(name, after=max(local_id - 1, 1), limit=1)
        )
        if page:
            await self._host.talk.fill(name, at=page[0].local_id)

    def _date(self) -> None:
        async def asked() -> None:
            text = await self._host.app.push_screen_wait(Prompt(tr("Go to which day? (2026-11-22)")))
            if text:
                self._to_date(text)

        self._host.run(asked())

    def _to_date(self, text: str) -> None:
        if not text:
            self._date()
            return
        try:
            day = date.fromisoformat(text.strip())
        except ValueError:
            self._warn(tr("a day is written 2026-11-22"))
            return
        name = self._host.talk.current

        async def jumped() -> None:
            await self._jump(name, await self._host.bridge.ask(lambda client: client.at_date(name, day)))

        self._host.run(jumped())

    # --- finding ---------------------------------------------------------------------------------

    def _search(self) -> None:
        self._find("")

    def _find(self, words: str) -> None:
        async def find(wanted: str) -> Sequence[Choice]:
            if not wanted.strip():
                return []
            return choices(await self._host.bridge.ask(lambda client: client.search(wanted, limit=FOUND)))

        self._choose_message(tr("Search all messages"), find, words)

    def _mentions(self) -> None:
        async def find(wanted: str) -> Sequence[Choice]:
            found = await self._host.bridge.ask(lambda client: client.mentions())
            return choices(found, wanted)

        self._choose_message(tr("Messages that mention you"), find)

    def _bookmarks(self) -> None:
        async def find(wanted: str) -> Sequence[Choice]:
            return choices(await self._host.bridge.ask(lambda client: client.bookmarks()), wanted)

        self._choose_message(tr("Bookmarks"), find)

    def _choose_message(self, title: str, find: Any, words: str = "") -> None:  # noqa: ANN401 - a `Find`
        async def chosen() -> None:
            found = await self._host.app.push_screen_wait(Chooser(title, find, value=words))
            if found:
                local_id, _, name = found.partition(" ")
                self._host.go(name, at=int(local_id))

        self._host.run(chosen())

    # --- one message -----------------------------------------------------------------------------

    def _choose_up(self) -> None:
        self._host.timeline.choose(-1)

    def _choose_down(self) -> None:
        self._host.timeline.choose(1)

    def _escape(self) -> None:
        host = self._host
        if host.writing.editing is not None:
            host.writing.stop_changing()
        elif host.writing.answering is not None:
            host.writing.answer(None)
        elif host.writing.take_up():
            pass
        elif host.timeline.chosen:
            host.timeline.choose_none()
        else:
            host.talk.window.forget_notes()
            host.timeline.changed()
        host.draw_hint()

    def _one(self, *, own: bool = False) -> Message | None:
        """The chosen message, else the last one there is; says so if there is none that will do."""
        chosen = self._host.timeline.chosen_message()
        fit = [
            one
            for one in self._host.talk.window.messages
            if one.id and not one.deleted and (one.own or not own)
        ]
        if chosen is not None and chosen in fit:
            return chosen
        if chosen is None and fit:
            return fit[-1]
        self._warn(tr("there is no message of yours for that") if own else tr("there is no message for that"))
        return None

    def _copy(self) -> None:
        message = self._one()
        if message is not None:
            self._host.app.copy_to_clipboard(message.text)
            self._host.talk.tell(f"* {tr('copied')}: {cut(summary(message), 40)}")

    def _reply(self) -> None:
        self._host.writing.answer(self._one())
        self._host.draw_hint()

    def _edit(self) -> None:
        message = self._one(own=True)
        if message is not None:
            self._host.writing.change(message)
            self._host.draw_hint()

    def _delete(self) -> None:
        message = self._host.timeline.chosen_message()
        if message is None:
            self._warn(tr("choose a message first (Alt+K)"))
            return
        question = f"{tr('Withdraw this for everyone?')}\n{cut(summary(message), WIDTH - 8)}"

        async def deleted() -> None:
            if await self._host.app.push_screen_wait(Question(question)):
                await self._host.talk.change(lambda client: client.delete(message.conversation, message.id))

        self._host.run(deleted())

    def _react(self) -> None:
        message = self._one()

        async def reacted() -> None:
            text = await self._host.app.push_screen_wait(
                Prompt(
                    f"{tr('React with (such as :+1:)')}\n{cut(summary(message), WIDTH - 8)}"
                    if message
                    else ""
                )
            )
            if text and message is not None:
                sign = with_emoji(text.strip())
                await self._host.talk.change(
                    lambda client: client.react(message.conversation, message.id, sign)
                )

        if message is not None:
            self._host.run(reacted())

    def _bookmark(self) -> None:
        message = self._one()

        async def kept() -> None:
            if message is not None:
                await self._host.bridge.ask(lambda client: client.bookmark(message.id, on=True))
                self._host.talk.tell(f"* {tr('bookmarked')}: {cut(summary(message), 40)}")

        self._host.run(kept())

    def _picture(self) -> None:
        self._look_at("")

    def _look_at(self, which: str) -> None:
        look_at(self._host, which)

    def _cancel(self) -> None:
        stop_one(self._host)

    # --- the screen ------------------------------------------------------------------------------

    def _editor(self) -> None:
        host = self._host
        name, text = host.talk.current, host.composer.text

        async def written() -> None:
            host.writing.is_lent = True
            try:
                with host.away():
                    left = await asyncio.to_thread(edited, text, host.profile)
            finally:
                host.writing.is_lent = False
            host.writing.put(name, left)

        host.run(written())

    def _rooms(self) -> None:
        self._host.toggle("rooms")

    def _people(self) -> None:
        self._host.toggle("people")

    def _bare(self) -> None:
        self._host.toggle("bare")

    def _theme(self) -> None:
        self._host.toggle("theme")

    def _disturb(self) -> None:
        self._host.toggle("disturb")

    def _disturb_no_more(self, wanted: str) -> None:
        if wanted not in {"", "on", "off"}:
            self._warn(tr("usage: /dnd [on|off]"))
        elif not wanted or (wanted == "on") != self._host.settings.do_not_disturb:
            self._disturb()

    def _say_of_draft(self, _words: str) -> None:
        self._warn(tr("what you type here is the draft, and is kept"))

    def _lock(self) -> None:
        self._host.toggle("lock")

    def _redraw(self) -> None:
        self._host.toggle("redraw")

    def _help(self) -> None:
        self._host.app.push_screen(Reading(help_lines(self._host.keys)))

    def _quit(self) -> None:
        again = [key for key, action in self._host.keys.items() if action == "quit"]

        async def asked() -> None:
            if await self._host.app.push_screen_wait(Question(tr("Leave securechat?"), again=again)):
                self._host.toggle("quit")

        self._host.run(asked())

    def _warn(self, sentence: str) -> None:
        self._host.talk.tell(f"* {sentence}", Role.WARN)
