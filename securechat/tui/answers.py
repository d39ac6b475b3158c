"""What the terminal answers while the screen runs: taken out of what comes from it, whenever it comes.

The screen asks and goes on: nobody waits for a terminal that never answers, and a late answer is no word in
somebody's draft. What is asked every terminal ignores that does not know it; kitty's own question, which some
show as text, is put to those alone that have said they are of its kind.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from textual._xterm_parser import XTermParser
from textual.message import Message

from securechat.pictures.terminal import OF_KITTY, Drawing, Way, known, understood

NAME: Final = "\x1b[>0q"
"""What it is called (XTVERSION)."""

SECONDS: Final = 0.5
"""How long a picture waits for what the terminal was asked at the start: then it does not answer."""

MAX_KEPT: Final = 4096

_ANSWER: Final = re.compile(
    r"\x1b_G[^\x1b]{0,200}\x1b\\|\x1bP>\|[^\x1b]{0,200}\x1b\\|\x1b\[6;\d{1,5};\d{1,5}t|\x1b\[\?[\d;]{0,100}c"
)
_BEGUN: Final = re.compile(
    r"\x1b_G[^\x1b]{0,200}\x1b?\Z|\x1bP>[^\x1b]{0,200}\x1b?\Z|\x1b\[6;[\d;]{0,11}\Z|\x1b\[\?[\d;]{0,100}\Z"
)
"""An answer whose end is not there yet. No key begins so but Ctrl+PgDn, and that comes whole."""

_NAMED: Final = re.compile(r"\x1bP>\|(?P<name>[a-z]*)", re.IGNORECASE)
_ABOUT: Final = re.compile(r"\x1b\[\?[\d;]*c")
_OF_KITTYS_KIND: Final = frozenset({"kitty", "ghostty"})
"""Those that have its placeholders too, in which a picture of a full screen stands."""


Ways = Callable[[str], Awaitable[Drawing]]
"""How to draw here, given what a person has chosen: `Answers.drawing`."""


class Answers:
    """What was asked, and what came back. `take` is called in the thread that reads the terminal."""

    def __init__(self) -> None:
        self._write: Callable[[str], None] | None = None
        self._kept = ""
        self._begun = ""
        self._all = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, write: Callable[[str], None], *, tmux: bool = "TMUX" in os.environ) -> None:
        """Ask; called on the screen's loop. tmux answers for itself, and is not asked about kitty."""
        self._loop = asyncio.get_running_loop()
        self._write = None if tmux else write
        write(f"{NAME}\x1b[16t\x1b[c")

    def take(self, text: str) -> str:
        """Return what a person typed of what came; the rest is answers."""
        text, self._begun = self._begun + text, ""
        came = _ANSWER.findall(text)
        left = _ANSWER.sub("", text)
        if begun := _BEGUN.search(left):
            left, self._begun = left[: begun.start()], begun[0]
        if came and self._loop is not None:
            self._loop.call_soon_threadsafe(self.came, "".join(came))
        return left

    def came(self, answers: str) -> None:
        """Take answers; on the screen's loop."""
        had_name = self._is_of_kittys_kind
        self._kept = (self._kept + answers)[:MAX_KEPT]
        if self._is_of_kittys_kind and not had_name and self._write is not None:
            self._write(f"{OF_KITTY}\x1b[c")
        wanted = 2 if self._is_of_kittys_kind and self._write is not None else 1
        if len(_ABOUT.findall(self._kept)) >= wanted:  # every terminal answers what is asked last
            self._all.set()

    async def drawing(self, chosen: str, *, seconds: float = SECONDS) -> Drawing:
        """Return how to draw here: as it was chosen, else as the terminal says, else as is known for sure."""
        if chosen in {"auto", *Way} and self._loop is not None:
            try:
                async with asyncio.timeout(seconds):
                    await self._all.wait()
            except TimeoutError:
                return Drawing(known(chosen))
            told = understood(self._kept.encode())
            if chosen != "auto":
                return Drawing(Way(chosen), told.cell)
            if told.way is Way.KITTY and not self._is_of_kittys_kind:
                return Drawing(Way.BLOCKS, told.cell)
            return told if told.way is not Way.BLOCKS else Drawing(known(chosen), told.cell)
        return Drawing(known(chosen))

    @property
    def _is_of_kittys_kind(self) -> bool:
        named = _NAMED.search(self._kept)
        return named is not None and named["name"].lower() in _OF_KITTYS_KIND


def hear(answers: Answers) -> None:
    """Have what comes from the terminal pass here before it is taken for keys."""
    try:
        from textual.drivers import linux_driver  # noqa: PLC0415 - elsewhere than on Windows
    except ImportError:
        return

    class Hearing(XTermParser):
        def feed(self, data: str) -> Iterable[Message]:
            if not data:  # the end
                return super().feed(data)
            typed = answers.take(data)
            return super().feed(typed) if typed else ()

    vars(linux_driver)["XTermParser"] = Hearing
