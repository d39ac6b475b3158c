"""Where the line mode reads and writes: plain streams here, an editing terminal in `terminal.py`."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, Protocol, runtime_checkable

import click

from securechat.cli.speech import show, tell

BELL: Final = "\a"


class Output(Protocol):
    """Where lines go."""

    def show(self, text: str) -> None:
        """Print data: messages."""
        ...

    def tell(self, text: str) -> None:
        """Print words about what goes on."""
        ...


@runtime_checkable
class OnTerminal(Protocol):
    """A surface that can leave its terminal to something else."""

    async def aside(self, work: Callable[[], None]) -> None:
        """Do something that has the terminal for itself meanwhile."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """A surface that somebody looks at: not a pipe, and not what is read aloud."""

    def draw(self, rows: list[str]) -> None:
        """Print what is to be seen and not read."""
        ...


@runtime_checkable
class Editing(Protocol):
    """A surface with a line that is edited before it is taken."""

    def begin_with(self, text: str) -> None:
        """Have this stand in the next line."""
        ...

    def typed(self) -> str:
        """Return what stands in the line and was not taken."""
        ...

    def complete_from(self, names: Iterable[str]) -> None:
        """Have Tab complete these names, and commands and emoji."""
        ...


@runtime_checkable
class Ringing(Protocol):
    """A surface that can be heard."""

    def ring(self, sequence: str = BELL) -> None:
        """Send the terminal what makes a message heard: the bell, or a notification in a sequence of ours."""
        ...


@runtime_checkable
class Redrawn(Protocol):
    """A surface beside a screen, on which a message stands as it is now."""

    redrawn: bool


@runtime_checkable
class Clearing(Protocol):
    """A surface that can be emptied, what has scrolled off included."""

    def clear(self) -> None: ...


class Surface(Output, Protocol):
    """Lines in, lines out."""

    def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        """What the person types; ends at the end of input."""
        ...


CLEARED: Final = "\x1b[2J\x1b[3J\x1b[H"
"""Screen and scrollback of a terminal, gone."""

Typed = Callable[[Callable[[], str]], AsyncIterator[str]]
"""What gives the lines that a person types, asked for with this prompt: `Surface.lines`."""


class PlainSurface:
    """Stdin, stdout and stderr, nothing redrawn: pipes, `TERM=dumb`, screen readers.

    What is read aloud, or by a program, is one line for each thing that happens, however long.
    """

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        del prompt
        from securechat.cli.stdin import StdinLines  # noqa: PLC0415 - who reads no lines needs no event loop

        async for line in StdinLines():
            yield line

    def show(self, text: str) -> None:
        click.echo(text)

    def tell(self, text: str) -> None:
        click.echo(text, err=True)

    def ring(self, sequence: str = BELL) -> None:
        """Be heard at the person's terminal: by a bell where it knows no sequences, in a pipe not at all."""
        if sys.stderr.isatty():
            click.echo(BELL if _is_dumb() else sequence, nl=False, err=True)

    def clear(self) -> None:
        """Empty the terminal; one that cannot be emptied keeps what it has shown."""
        if sys.stderr.isatty() and not _is_dumb():
            click.echo(CLEARED, nl=False, err=True)


class ByWords(PlainSurface):
    """The same for a person at a terminal, for one command: its lines break between words."""

    def show(self, text: str) -> None:
        show(text)

    def tell(self, text: str) -> None:
        tell(text)


def _is_dumb() -> bool:
    return os.environ.get("TERM", "dumb") == "dumb"
