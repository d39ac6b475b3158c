"""What stands over the screen for a moment: a question, a line to fill in, a list, the help."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import ClassVar

from msgspec import Struct
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from securechat.errors import SecureChatError
from securechat.locale.catalogue import tr
from securechat.tui.paint import Line, Role, line
from securechat.tui.rows import Rows
from securechat.tui.wrap import clean, clean_block, rows

WIDTH = 76
"""Columns of a dialog at most; narrower on a narrow screen."""


class Choice(Struct, frozen=True):
    """One thing to choose, and how it is drawn."""

    name: str
    drawn: Line


Find = Callable[[str], Awaitable[Sequence[Choice]]]


class Question(ModalScreen[bool]):
    """Yes or no. Only ``y`` is yes; what else is pressed by mistake is nothing.

    :param again: keys that say yes, too: those that asked
    """

    def __init__(self, text: str, *, again: Collection[str] = ()) -> None:
        super().__init__()
        self._text = text
        self._yes = {"y", tr("y"), *again}

    def compose(self) -> ComposeResult:
        words = [line(row) for part in clean_block(self._text).split("\n") for row in rows(part, WIDTH - 6)]
        words += [line(), line((tr("y: yes   n: no"), Role.DIM))]
        with Vertical(classes="dialog"):
            shown = Rows(words)
            shown.styles.height = len(words)
            yield shown

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if event.key in self._yes:
            self.dismiss(True)  # noqa: FBT003 - the answer itself
        elif event.key in {"n", "escape", "ctrl+c"}:
            self.dismiss(False)  # noqa: FBT003


class Prompt(ModalScreen[str | None]):
    """One line to fill in."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+c", "leave", priority=True)]

    def __init__(self, text: str, *, value: str = "", secret: bool = False) -> None:
        super().__init__()
        self._text = text
        self._value = value
        self._secret = secret

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            parts = clean_block(self._text).split("\n")
            words = [line(row) for part in parts for row in rows(part, WIDTH - 6)]
            shown = Rows(words)
            shown.styles.height = len(words)
            yield shown
            yield Input(self._value, password=self._secret, compact=True, select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)


class Chooser(ModalScreen[str | None]):
    """A list that gets shorter as one types; Enter takes the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", priority=True),
        Binding("up,ctrl+p", "move(-1)", priority=True),
        Binding("down,ctrl+n", "move(1)", priority=True),
        Binding("pageup", "move(-10)", priority=True),
        Binding("pagedown", "move(10)", priority=True),
    ]

    def __init__(self, title: str, find: Find, *, value: str = "") -> None:
        super().__init__()
        self._title = title
        self._find = find
        self._value = value
        self._choices: Sequence[Choice] = ()
        self._problem = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall"):
            title = Rows([line((self._title, Role.NAME))])
            title.styles.height = 1
            yield title
            yield Input(self._value, compact=True, select_on_focus=False)
            yield Rows(id="choices")

    def on_mount(self) -> None:
        self._look(self._value)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._look(event.value)

    def on_input_submitted(self) -> None:
        at = self.query_one("#choices", Rows).chosen
        self.dismiss(self._choices[at].name if at is not None and at < len(self._choices) else None)

    def action_move(self, by: int) -> None:
        self.query_one("#choices", Rows).move(by)
        self._draw()

    def action_leave(self) -> None:
        self.dismiss(None)

    def _look(self, wanted: str) -> None:
        self.run_worker(self._found(wanted), exclusive=True)

    async def _found(self, wanted: str) -> None:
        self._problem = ""
        try:
            self._choices = await self._find(wanted)
        except SecureChatError as problem:
            self._choices, self._problem = (), str(problem)
        self.query_one("#choices", Rows).put([one.drawn for one in self._choices])
        self.query_one("#choices", Rows).choose(0)
        self._draw()

    def _draw(self) -> None:
        """Mark the chosen one with a sign, so that no colour is needed to see it."""
        shown = self.query_one("#choices", Rows)
        none = [line((tr("nothing"), Role.DIM))]
        if self._problem:
            none = [line((row, Role.WARN)) for row in rows(f"* {clean(self._problem)}", WIDTH - 6)]
        drawn = [
            line(("> ", Role.CHOSEN)) + one.drawn if at == shown.chosen else line("  ") + one.drawn
            for at, one in enumerate(self._choices)
        ]
        shown.put(drawn or none, chosen=shown.chosen if drawn else None)


class Reading(ModalScreen[None]):
    """Something to read, with a way to scroll and to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c,q,f1,enter", "leave"),
        Binding("up,k", "scroll(-1)"),
        Binding("down,j", "scroll(1)"),
        Binding("pageup", "scroll(-10)"),
        Binding("pagedown,space", "scroll(10)"),
    ]

    def __init__(self, drawn: Sequence[Line]) -> None:
        super().__init__()
        self._drawn = drawn

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall"):
            yield Rows(self._drawn, id="reading")

    def action_scroll(self, by: int) -> None:
        self.query_one("#reading", Rows).scroll_by(by)

    def action_leave(self) -> None:
        self.dismiss(None)
