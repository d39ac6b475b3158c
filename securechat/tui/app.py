"""The full screen: themes, the lock, how the terminal is left. What one does is in `chat_screen`."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import ClassVar, Final

from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver

from securechat.client.events import Event
from securechat.errors import SecureChatError
from securechat.locale.catalogue import told
from securechat.tui.answers import Answers, hear
from securechat.tui.backend import Commanded, Opened
from securechat.tui.bridge import Bridge
from securechat.tui.chat_screen import ChatScreen
from securechat.tui.composer import When, came
from securechat.tui.locked import Locked
from securechat.tui.notices import Crier
from securechat.tui.settings import Chosen
from securechat.tui.themes import THEMES

CHECK_SECONDS: Final = 5.0
"""How often it is looked whether somebody is still there."""

CLEARED: Final = "\x1b[2J\x1b[3J\x1b[H"
"""Screen and scrollback of the terminal, gone."""


class ChatApp(App[int], inherit_bindings=False):
    """One account's full screen."""

    CSS_PATH = "screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = []
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    TITLE = "securechat"

    def __init__(  # noqa: PLR0913 - what the floors above give
        self,
        bridge: Bridge,
        chosen: Chosen,
        *,
        user: str,
        profile: Path,
        opened: Opened,
        commanded: Commanded,
        words: Callable[[Event], str | None],
        first: str = "",
        zone: tzinfo | None = None,
        clock: Callable[[], float] = time.monotonic,
        when: When = came,
    ) -> None:
        self.answers = Answers()
        super().__init__()
        self.bridge = bridge
        self.failure: BaseException | None = None
        self._chosen = chosen
        self._user = user
        self._profile = profile
        self._opened = opened
        self._commanded = commanded
        self._words = words
        self._first = first
        self._zone = zone
        self._clock = clock
        self._when = when
        self._touched = clock()
        self.crier = Crier(chosen.settings, self.written, later=self.set_timer, clock=clock)
        self._is_away = False
        """Whether the terminal is another program's."""
        self._locked = False
        self._opening = False
        """Whether a password is being tried."""

    def on_mount(self) -> None:
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self._chosen.settings.theme].name
        if not self.is_headless:
            self.answers.ask(self.written)
        self._show_chat(self._first)
        if self._chosen.settings.lock_after > 0:
            self.set_interval(CHECK_SECONDS, self.lock_if_idle)
        loop = asyncio.get_running_loop()
        for ended in (signal.SIGTERM, signal.SIGHUP):
            try:
                loop.add_signal_handler(ended, self.ended, 128 + ended)
            except (NotImplementedError, RuntimeError, ValueError):  # another system, or not the main thread
                break

    def get_driver_class(self) -> type[Driver]:
        driver = super().get_driver_class()
        hear(self.answers)
        return driver

    def ended(self, code: int) -> None:
        """Go as when somebody leaves: the terminal was closed, or somebody else wants us gone."""

        async def parted() -> None:
            if (chat := self._chat()) is not None:
                await chat.part()
            self.exit(code)

        self.run_worker(parted())

    def _chat(self) -> ChatScreen | None:
        return next((one for one in reversed(self.screen_stack) if isinstance(one, ChatScreen)), None)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent):
            self._touched = self._clock()
        await super().on_event(event)

    def on_app_focus(self) -> None:
        if isinstance(self.screen, ChatScreen):
            self.screen.look()

    def on_chat_screen_program(self, event: ChatScreen.Program) -> None:
        match event.what:
            case "theme":
                names = [theme.name for theme in THEMES.values()]
                self.theme = names[(names.index(self.theme) + 1) % len(names)]
            case "redraw":
                self.refresh(repaint=True, layout=True)
            case "lock":
                self.run_worker(self.lock())

    # --- the lock --------------------------------------------------------------------------------

    def lock_if_idle(self) -> None:
        """Lock when nobody has touched a key for as long as the settings say."""
        if self._is_away:  # what is in the editor has nowhere else to come back to
            return
        idle = self._clock() - self._touched
        if not self._locked and idle >= self._chosen.settings.lock_after * 60:
            self.run_worker(self.lock())

    async def lock(self) -> None:
        """Close the account and forget what was on the screen (L-04); the password opens it again."""
        if self._locked:
            return
        self._locked = True
        if (chat := self._chat()) is not None:
            self._first = chat.talk.current
            await chat.part()
            while self.screen is not chat:  # what stands over it: a switch takes the topmost screen alone
                await self.screen.dismiss(None)
        await self.switch_screen(Locked(self._user))
        self._clipboard = ""  # Textual's own, for Ctrl+V
        self.crier.forget()
        self.written(CLEARED)
        self.refresh(repaint=True, layout=True)
        await self.bridge.close()

    async def on_locked_unlocked(self, event: Locked.Unlocked) -> None:
        if not self._opening:
            self._opening = True
            self.run_worker(self._unlock(event.password))

    async def _unlock(self, password: str) -> None:
        bridge = Bridge(self._opened, self._commanded, password)
        bridge.start()
        try:
            await bridge.ready()
        except SecureChatError as problem:
            if isinstance(self.screen, Locked):
                self.screen.say(told(str(problem)))
            return
        finally:
            self._opening = False
        self.bridge, self._locked = bridge, False
        self._show_chat(self._first, instead=True)

    def _show_chat(self, first: str, *, instead: bool = False) -> None:
        screen = ChatScreen(
            self.bridge,
            self._chosen,
            user=self._user,
            profile=self._profile,
            words=self._words,
            hear=self.crier.hear,
            write=self.written,
            drawing=self.answers.drawing,
            away=self.away,
            first=first,
            zone=self._zone,
            when=self._when,
        )
        self.switch_screen(screen) if instead else self.push_screen(screen)

    # --- the terminal ----------------------------------------------------------------------------

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave the terminal to another program; however that ends, the screen comes back.

        Meanwhile nothing is drawn or sent: nobody takes what is written then, and the thirty-first would wait
        for ever.
        """
        suspended = self.suspend()  # it comes back by itself only where nothing was raised
        suspended.__enter__()
        self._is_away = True
        try:
            with self.batch_update():
                yield
        finally:
            self._is_away, self._touched = False, self._clock()
            suspended.__exit__(None, None, None)
            self.refresh(layout=True)

    def written(self, sent: str) -> None:
        """Send the terminal a sequence of ours, unless another program has it."""
        if self._driver is not None and sent and not self._is_away:
            self._driver.write(sent)
            self._driver.flush()

    def _fatal_error(self) -> None:
        """End without Textual's traceback: it prints the values of variables, words and keys among them."""
        self._close_messages_no_wait()

    def _handle_exception(self, error: Exception) -> None:
        self.failure = self.failure or error
        super()._handle_exception(error)
