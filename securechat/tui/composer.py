"""Where one writes: several lines, the keys of a shell, one draft whatever is pasted.

Nothing that is pasted sends: a paste is text with its controls taken out. Where a terminal does not fence
pastes, or what is pasted ends its fence, they come as keys; the rhythm tells them from a person's, and an
Enter among them is one more line of the draft.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from textual import events
from textual.message import Message as Posted
from textual.widgets import TextArea

from securechat.locale.catalogue import tr
from securechat.tui.completion import Completion, complete

MAX_DRAFT: Final = 32_768
"""Characters of a draft: what one message can carry. More is not taken from a paste, and that is said."""

KEY_SECONDS: Final = 0.015
"""A key this soon after the one before was pasted: a person's keys are several times as far apart."""

PASTE_SECONDS: Final = 0.1
"""A key this soon after something pasted belongs to it: a paste may come over a network, in pieces."""

MAX_PATH: Final = 4096
"""A path is no longer (PATH_MAX)."""

_KEPT: Final = frozenset("\n\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}")
"""Not printable by themselves; emoji and some scripts need them."""

When = Callable[[events.Event], float]


def came(event: events.Event) -> float:
    """Return when a key came in: not when it is looked at, which may be long after, and many at once."""
    return event.time


def pasted(text: str) -> str:
    """Return what a paste puts into a draft: its lines, without controls and what reorders or hides."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", "    ")
    return "".join(c for c in lines if c in _KEPT or c.isprintable())


def dropped(text: str) -> Path | None:
    """Return the file whose name a terminal pastes when it is dropped on it; None for any other text."""
    name = text.strip()
    if "\n" in name or len(name) > MAX_PATH:
        return None
    if name[:1] in {"'", '"'} and name[-1:] == name[:1]:
        name = name[1:-1]
    elif name.startswith("file://"):
        name = unquote(name.removeprefix("file://"))
    else:
        name = name.replace("\\ ", " ")
    if not name.startswith("/") or not name.isprintable():
        return None
    path = Path(name)
    return path if path.is_file() else None


class Composer(TextArea):
    """The draft. Tells what was asked for; who asks, and what it means, is the screen's."""

    class Sent(Posted):
        """Enter: this draft is to go out, from the conversation that it was written in."""

        def __init__(self, text: str, to: str) -> None:
            super().__init__()
            self.text = text
            self.to = to

    class Did(Posted):
        """A key that is an action of the screen."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    class Hinted(Posted):
        """Something to show above the draft: what completes the word, why an Enter did not send."""

        def __init__(self, words: tuple[str, ...]) -> None:
            super().__init__()
            self.words = words

    class TooLong(Posted):
        """Something was not taken: the draft would be too long."""

    def __init__(self, keys: dict[str, str], names: Callable[[], Iterable[str]], when: When = came) -> None:
        super().__init__(
            id="composer",
            soft_wrap=True,
            compact=True,
            highlight_cursor_line=False,
            tab_behavior="focus",
            max_checkpoints=50,
        )
        self.cursor_blink = False
        self.to = ""
        """The conversation that the draft is written in."""
        self._keys = keys
        self._names = names
        self._when = when
        self._given = ""
        self._killed = ""
        self._last_key = self._last_paste = float("-inf")
        self._offer: tuple[Completion, int, str] | None = None

    @property
    def typed(self) -> str:
        """The draft, if somebody has typed on it since it was put here."""
        return "" if self.text == self._given else self.text

    def put(self, text: str) -> None:
        """Make this the draft, the cursor at its end; tells when it does not fit."""
        kept = pasted(text)
        if len(kept) > MAX_DRAFT:
            self.post_message(self.TooLong())
        self._given = kept[:MAX_DRAFT]
        self.load_text(self._given)
        self.move_cursor(self.document.end)
        self._offer = None

    def add(self, text: str) -> None:
        """Put text at the cursor; tells when it does not fit."""
        room = MAX_DRAFT - len(self.text)
        if len(text) > room:
            self.post_message(self.TooLong())
        self.insert(text[: max(room, 0)])

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self._last_paste = self._when(event)
        file = dropped(event.text) if not self.text else None
        self.add(f"/file {file}" if file is not None else pasted(event.text[: 2 * MAX_DRAFT]))
        if len(event.text) > 2 * MAX_DRAFT:
            self.post_message(self.TooLong())

    async def _on_key(self, event: events.Key) -> None:
        offer, self._offer = self._offer, None
        was_pasted = self._is_pasted(self._when(event))
        own = self._own("pasted+enter" if was_pasted and event.key == "enter" else event.key, offer)
        if own or event.key in self._keys:
            event.stop()
            event.prevent_default()
            if not own:
                self.post_message(self.Did(self._keys[event.key]))
            return
        if event.is_printable and len(self.text) >= MAX_DRAFT:
            event.stop()
            event.prevent_default()
            self.post_message(self.TooLong())
            return
        await super()._on_key(event)

    def _is_pasted(self, now: float) -> bool:
        """Whether the key of now is too fast to be a person's."""
        found = now - self._last_key < KEY_SECONDS or now - self._last_paste < PASTE_SECONDS
        self._last_key = now
        if found:
            self._last_paste = now
        return found

    def _own(self, key: str, offer: tuple[Completion, int, str] | None) -> bool:
        """Do what a key means in a draft; False if it means nothing here."""
        match key:
            case "enter":
                self.post_message(self.Sent(self.text, self.to))
                self.put("")  # what is typed from here on is another draft
            case "pasted+enter":
                self.add("\n")
                self.post_message(self.Hinted((tr("a pasted line end: Enter sends"),)))
            case "alt+enter" | "shift+enter" | "ctrl+j":
                self.add("\n")
            case "tab":
                self._complete(offer)
            case "up" if not self.text:
                self.post_message(self.Did("edit"))
            case "ctrl+y":
                self.add(self._killed)
            case _:
                return self._cut(key) or self._moved(key)
        return True

    def _cut(self, key: str) -> bool:
        here = self.cursor_location
        match key:
            case "ctrl+k" if self._after():
                self._kill(here, self.get_cursor_line_end_location())
            case "ctrl+u":
                self._kill(self.get_cursor_line_start_location(), here)
            case "ctrl+w" | "alt+backspace":
                self._kill(self.get_cursor_word_left_location(), here)
            case "alt+d":
                self._kill(here, self.get_cursor_word_right_location())
            case _:
                return False
        return True

    def _moved(self, key: str) -> bool:
        match key:
            case "alt+b":
                self.action_cursor_word_left()
            case "alt+f":
                self.action_cursor_word_right()
            case "ctrl+f":
                self.action_cursor_right()
            case "ctrl+b":
                self.action_cursor_left()
            case "alt+less_than_sign":
                self.move_cursor((0, 0))
            case "alt+greater_than_sign":
                self.move_cursor(self.document.end)
            case _:
                return False
        return True

    def _after(self) -> bool:
        """Whether something stands behind the cursor on its line."""
        row, column = self.cursor_location
        return column < len(self.document.get_line(row))

    def _kill(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        self._killed = self.get_text_range(start, end) or self._killed
        self.delete(start, end)

    def _complete(self, offer: tuple[Completion, int, str] | None) -> None:
        """Put the first thing that completes the word; the next one with every Tab after it."""
        row, _ = self.cursor_location
        if offer is None:
            line = self.document.get_line(row)
            found = complete(line, self.cursor_location[1], self._names())
            if row and line.startswith("/"):
                return  # a command begins a draft, not a line of it
            if not found.offers:
                return
            at, there = 0, line[found.start : found.end]
            if len(found.offers) > 1:
                self.post_message(self.Hinted(found.offers))
        else:
            found, at, there = offer[0], (offer[1] + 1) % len(offer[0].offers), offer[0].offers[offer[1]]
        chosen = found.offers[at]
        self.replace(chosen, (row, found.start), (row, found.start + len(there)))
        self._offer = (found, at, there)
