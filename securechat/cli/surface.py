"""Where the line mode reads and writes: plain streams here, an editing terminal in `terminal.py`."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol, runtime_checkable

import click

from securechat.cli.stdin import StdinLines


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


class Surface(Output, Protocol):
    """Lines in, lines out."""

    def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        """What the person types; ends at the end of input."""
        ...


Typed = Callable[[Callable[[], str]], AsyncIterator[str]]
"""What gives the lines that a person types, asked for with this prompt: `Surface.lines`."""


class PlainSurface:
    """Stdin, stdout and stderr, nothing redrawn: pipes, `TERM=dumb`, screen readers."""

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        del prompt
        async for line in StdinLines():
            yield line

    def show(self, text: str) -> None:
        click.echo(text)

    def tell(self, text: str) -> None:
        click.echo(text, err=True)
