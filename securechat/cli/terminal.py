"""A terminal with an editing line at the bottom; what comes in scrolls above it and never garbles it."""

from collections.abc import AsyncIterator, Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout


class TerminalSurface:
    """prompt_toolkit's line editing. History lives in memory only: nothing typed reaches the disk."""

    def __init__(self) -> None:
        self._session: PromptSession[str] = PromptSession(history=InMemoryHistory())

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        with patch_stdout():
            while True:
                try:
                    yield await self._session.prompt_async(prompt)
                except EOFError:
                    return

    def show(self, text: str) -> None:
        print(text)  # noqa: T201 - patch_stdout draws it above the line being edited

    def tell(self, text: str) -> None:
        print(text)  # noqa: T201

    def draw(self, rows: list[str]) -> None:
        print("\n".join(rows))  # noqa: T201

    async def aside(self, work: Callable[[], None]) -> None:
        await run_in_terminal(work, in_executor=True)
