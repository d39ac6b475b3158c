"""A list of lines with one of them chosen: conversations, people, found messages, help."""

from collections.abc import Sequence

from securechat.tui.paint import BLANK, Line, Painted


class Rows(Painted):
    """Draws only what is in view; the chosen line is always in it."""

    def __init__(self, lines: Sequence[Line] = (), *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._lines: Sequence[Line] = lines
        self._chosen: int | None = None
        self._top = 0

    @property
    def chosen(self) -> int | None:
        return self._chosen

    def put(self, lines: Sequence[Line], *, chosen: int | None = None) -> None:
        """Show other lines."""
        if lines != self._lines or chosen != self._chosen:
            self._lines, self._chosen = lines, chosen
            self._keep_in_view()
            self.refresh()

    def choose(self, chosen: int) -> None:
        """Choose a line; beyond either end it is the last there is."""
        if self._lines:
            self._chosen = max(0, min(chosen, len(self._lines) - 1))
            self._keep_in_view()
            self.refresh()

    def move(self, by: int) -> None:
        self.choose((self._chosen if self._chosen is not None else -1 if by > 0 else len(self._lines)) + by)

    def scroll_by(self, by: int) -> None:
        """Show other rows without choosing one."""
        self._top = max(0, min(self._top + by, len(self._lines) - self.size.height))
        self.refresh()

    def row(self, y: int) -> Line:
        at = self._top + y
        return self._lines[at] if at < len(self._lines) else BLANK

    def on_resize(self) -> None:
        self._keep_in_view()

    def _keep_in_view(self) -> None:
        height = max(self.size.height, 1)
        if self._chosen is not None:
            self._top = min(max(self._top, self._chosen - height + 1), self._chosen)
        self._top = max(0, min(self._top, len(self._lines) - height))
