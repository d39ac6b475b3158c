"""How pictures are drawn on the terminal at hand: what it says of itself, or what a person says of it."""

import importlib
import importlib.util
import os
import re
import select
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

SECONDS: Final = 0.5
"""A terminal that has not answered by then does not: every one answers what is asked last."""

MAX_ANSWER: Final = 1024

OF_KITTY: Final = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
QUESTION: Final = "\x1b[16t\x1b[c"
"""Whether it knows kitty's protocol; how large a cell is, what it is: the last has an answer everywhere."""

_KITTY: Final = re.compile(rb"\x1b_Gi=31;OK")
_CELL: Final = re.compile(rb"\x1b\[6;(\d{1,3});(\d{1,3})t")
_ABOUT: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL: Final = b"4"
_CERTAIN: Final = {"xterm-kitty": "kitty", "xterm-ghostty": "kitty", "foot": "sixel", "mlterm": "sixel"}
"""``TERM`` -> what it draws for sure: with kitty's protocol its placeholders too, which others lack."""


class Way(StrEnum):
    """A way to draw."""

    BLOCKS = "blocks"
    KITTY = "kitty"
    SIXEL = "sixel"


class Drawing(Struct, frozen=True):
    """How to draw here: the way, and the pixels of a cell, across and down."""

    way: Way = Way.BLOCKS
    cell: tuple[int, int] = (8, 16)


def understood(answer: bytes) -> Drawing:
    """Say what a terminal's answer to `QUESTION` means."""
    found = _CELL.search(answer)
    cell = (int(found[2]), int(found[1])) if found and int(found[1]) and int(found[2]) else Drawing().cell
    about = _ABOUT.search(answer)
    if _KITTY.search(answer):
        return Drawing(Way.KITTY, cell)
    if about and _SIXEL in about[1].split(b";")[1:]:
        return Drawing(Way.SIXEL, cell)
    return Drawing(Way.BLOCKS, cell)


def asked(
    descriptor: int,
    *,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
    tmux: bool = "TMUX" in os.environ,
) -> Drawing:
    """Ask the terminal that this descriptor reads and writes; what it types meanwhile is lost.

    tmux draws sixels itself, where it can. It takes kitty's question for a title, and hands its pictures
    on only if it is told to (``allow-passthrough``): so it is not asked for them.
    """
    if importlib.util.find_spec("termios") is None:
        return Drawing()
    termios, tty = importlib.import_module("termios"), importlib.import_module("tty")
    before = termios.tcgetattr(descriptor)
    answer = b""
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        os.write(descriptor, (QUESTION if tmux else OF_KITTY + QUESTION).encode())
        end = clock() + seconds
        while not _ABOUT.search(answer) and len(answer) < MAX_ANSWER:
            ready, _, _ = select.select([descriptor], [], [], max(end - clock(), 0))
            more = os.read(descriptor, MAX_ANSWER) if ready else b""
            if not more:
                break
            answer += more
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
    return understood(answer)


def known(chosen: str, environment: Mapping[str, str] = os.environ) -> Way:
    """Return the way for a full screen, which cannot ask: as it was chosen, or as is known for sure."""
    if chosen in set(Way):
        return Way(chosen)
    return Way(_CERTAIN.get(environment.get("TERM", ""), "blocks")) if chosen == "auto" else Way.BLOCKS


def has_true_colour(environment: Mapping[str, str] = os.environ) -> bool:
    return environment.get("COLORTERM", "").lower() in {"truecolor", "24bit"}


def through(sent: str, *, tmux: bool) -> str:
    """Have tmux hand a sequence on to the terminal outside."""
    doubled = sent.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\" if tmux and sent else sent
