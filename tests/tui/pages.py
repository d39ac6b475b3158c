"""What the commands say on a terminal, as pictures: for the tour, and to be compared."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Final

import pytest
from rich.console import Console
from rich.text import Text

from securechat.cli.link import progress_lines
from securechat.cli.recovery_text import hand_over
from securechat.client.linking import Compare, Waiting
from securechat.membership.recovery_key import RecoveryKey

WIDTH: Final = 80


@dataclass(frozen=True)
class Page:
    """What a command prints, and what the tour says of it."""

    name: str
    words: str
    says: Callable[[], str]

    def text(self) -> str:
        """What stands on the terminal, without colours, broken where the terminal breaks it."""
        return "\n".join(line.plain.rstrip() for line in self._rows())

    def svg(self) -> str:
        console = Console(record=True, width=WIDTH, file=StringIO(), color_system="truecolor")
        for row in self._rows():
            console.print(row, no_wrap=True, crop=True)
        return console.export_svg(title=f"securechat {self.name}", unique_id=f"page-{self.name}")

    def _rows(self) -> list[Text]:
        rows: list[Text] = []
        for row in Text.from_ansi(self.says()).split("\n", allow_blank=True):
            rows += list(row.divide(range(WIDTH, row.cell_len, WIDTH))) or [row]
        return rows


class _OnTerminal(StringIO):
    def isatty(self) -> bool:
        return True


def _registered() -> str:
    """What `register` says in the end, of a key that is nobody's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", shown := _OnTerminal())
        hand_over(RecoveryKey("0123-4567-89ab-cdef-ghjk-mnpq-rstv-wxyz"), None)
    return f"$ securechat register alice --server chat.example:7443\n...\n{shown.getvalue().rstrip()}"


def _linking() -> str:
    progress = (Waiting(), Compare((("desk", "7K3Q-9FXA"),)))
    lines = [line for each in progress for line, _ in progress_lines(each, "alice", qr=True)]
    return "\n".join(["$ securechat link alice --server chat.example:7443", *lines])


PAGES: Final = (
    Page(
        "register",
        "In the end `securechat register` shows the recovery key, once.",
        _registered,
    ),
    Page(
        "link",
        "`securechat link` on a new machine: the code to type on a device that is in the account already.",
        _linking,
    ),
)
