"""The screen of a locked account: a place for the password, and nothing of what was said."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message as Posted
from textual.screen import Screen
from textual.widgets import Input

from securechat.locale.catalogue import tr
from securechat.tui.paint import Line, Role, line
from securechat.tui.rows import Rows
from securechat.tui.wrap import clean


class Locked(Screen[None]):
    """Waits for the password."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c,ctrl+q", "leave", priority=True)]

    class Unlocked(Posted):
        """Somebody typed a password."""

        def __init__(self, password: str) -> None:
            super().__init__()
            self.password = password

    def __init__(self, user: str) -> None:
        super().__init__(id="locked")
        self._user = user

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            shown = Rows([self._asks()], id="words")
            shown.styles.height = 2
            yield shown
            yield Input(password=True, compact=True)

    def _asks(self) -> Line:
        return line((tr("{user} is locked. Password:").format(user=clean(self._user)), Role.NAME))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value:
            return
        event.input.value = ""
        event.input.disabled = True  # one password at a time: each opens the account
        self.query_one("#words", Rows).put([line((tr("opening..."), Role.DIM))])
        self.post_message(self.Unlocked(event.value))

    def say(self, sentence: str) -> None:
        """Say why it stays locked."""
        self.query_one("#words", Rows).put([line((clean(sentence), Role.WARN)), self._asks()])
        field = self.query_one(Input)
        field.disabled = False
        field.focus()

    def action_leave(self) -> None:
        self.app.exit()
