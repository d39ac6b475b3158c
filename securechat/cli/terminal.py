"""A terminal with an editing line at the bottom; what comes in scrolls above it and never garbles it."""

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from securechat.cli.speech import by_words
from securechat.cli.surface import BELL, CLEARED
from securechat.errors import SecureChatError
from securechat.locale.catalogue import told
from securechat.tui.completion import complete
from securechat.tui.editor import edited


class _Words(Completer):
    """What Tab makes of the word before the cursor: as in the full screen."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        del complete_event
        found = complete(document.text, document.cursor_position, self.names)
        return [Completion(offer, found.start - document.cursor_position) for offer in found.offers]


def _bindings(folder: Path) -> KeyBindings:
    """Ctrl+O as in the full screen."""
    keys = KeyBindings()

    @keys.add("c-o")
    async def write(event: KeyPressEvent) -> None:
        line = event.current_buffer

        def work() -> None:
            try:
                line.text = edited(line.text, folder)
            except SecureChatError as problem:
                print(f"* {told(str(problem))}")  # noqa: T201 - the terminal is ours again in a moment

        await run_in_terminal(work, in_executor=True)
        line.cursor_position = len(line.text)

    return keys


class TerminalSurface:
    """prompt_toolkit's line editing. History lives in memory only: only drafts reach the disk."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is the profile's: a draft lies there while the person's own editor has it."""
        self._words = _Words()
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory(),
            completer=self._words,
            complete_while_typing=False,
            key_bindings=_bindings(folder),
        )
        self._next = ""
        self._is_open = False

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        with patch_stdout():
            while True:
                begun, self._next, self._is_open = self._next, "", True
                try:
                    line = await self._session.prompt_async(prompt, default=begun)
                except EOFError:
                    return
                self._is_open = False
                yield line

    def begin_with(self, text: str) -> None:
        self._next = text

    def typed(self) -> str:
        return self._session.default_buffer.text if self._is_open else self._next

    def complete_from(self, names: Iterable[str]) -> None:
        self._words.names = tuple(names)

    def ring(self, sequence: str = BELL) -> None:
        self._session.output.write_raw(sequence)
        self._session.output.flush()

    def clear(self) -> None:
        self._session.output.write_raw(CLEARED)
        self._session.output.flush()

    def show(self, text: str) -> None:
        # patch_stdout draws it above the line being edited
        print(by_words(text, self._session.output.get_size().columns))  # noqa: T201

    def tell(self, text: str) -> None:
        self.show(text)

    def draw(self, rows: list[str]) -> None:
        print("\n".join(rows))  # noqa: T201

    async def aside(self, work: Callable[[], None]) -> None:
        await run_in_terminal(work, in_executor=True)
