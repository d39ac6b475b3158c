"""The screen on one side, the client on the other: in a thread of its own, with its own event loop.

Sealing, opening and the database never run on the screen's loop. Calls go over as functions of the client
and come back as values or as the errors they raised; events come over in batches, at most one waiting
hand-over at a time, however fast they fall. The database's connection belongs to the worker's thread.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from inspect import isawaitable
from typing import Any, Final, TypeVar

from securechat.client.errors import ClientError, HolderLeft
from securechat.client.events import Disconnected, Notice
from securechat.errors import SecureChatError
from securechat.tui.backend import Asked, Backend, Commanded, Commander, Maybe, News, Opened, Told

Answer = TypeVar("Answer")

MAX_WAITING: Final = 10_000
"""Events that wait for the screen; the store has every message that is dropped here."""


class Closed(ClientError):
    """The client behind the screen has ended."""


class Bridge:
    """Owns the worker's thread. Made and used on the screen's loop."""

    def __init__(self, opened: Opened, commanded: Commanded, password: str) -> None:
        self._opened = opened
        self._commanded = commanded
        self._password = password
        self._ready: Future[None] = Future()
        self._news: deque[News] = deque()
        self._dropped = False
        self._lock = threading.Lock()
        self._receive: Callable[[list[News]], None] | None = None
        self._screen: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None
        self._worker: asyncio.AbstractEventLoop | None = None
        self._client: Backend | None = None
        self._commander: Commander | None = None
        self._stop: asyncio.Event | None = None
        self._answer: asyncio.Future[bool] | None = None
        self._thread = threading.Thread(target=self._run, name="client", daemon=True)

    def start(self) -> None:
        """Begin to open the account; `ready` says how that went."""
        self._thread.start()

    def wait_ready(self, seconds: float | None = None) -> None:
        """Block until the store is open; raises what `Client.open` raised."""
        self._ready.result(seconds)

    async def ready(self) -> None:
        """Wait until the store is open; raises what `Client.open` raised."""
        await asyncio.shield(asyncio.wrap_future(self._ready))

    def listen(self, receive: Callable[[list[News]], None]) -> None:
        """Have news delivered on the loop of the caller, what came before first."""
        self._screen = asyncio.get_running_loop()
        self._context = copy_context()
        with self._lock:
            self._receive = receive
            waiting = bool(self._news)
        if waiting:
            self._hand_over()

    async def ask(self, work: Callable[[Backend], Maybe[Answer]]) -> Answer:
        """Do something with the client in its thread; raises what it raised.

        :raises Closed: there is no client any more
        """

        async def done() -> Answer:
            client = self._client
            if client is None:
                raise Closed("the account is closed")
            found = work(client)
            if isawaitable(found):
                found = await found
            return found

        return await self._over(done())

    async def command(self, line: str, target: str) -> str:
        """Have a slash command done; return the conversation to go on in."""

        async def done() -> str:
            if self._commander is None:
                raise Closed("the account is closed")
            return await self._commander.take(line, target)

        return await self._over(done())

    def answer(self, *, yes: bool) -> None:
        """Answer the question that an `Asked` put."""
        loop = self._worker
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._answered, yes)

    async def close(self) -> None:
        """Close the account and end the thread; returns when its profile is free."""
        self._end()
        await asyncio.to_thread(self._thread.join)

    def close_now(self) -> None:
        """The same without a loop: the screen has ended."""
        self._end()
        self._thread.join()

    def _end(self) -> None:
        self._receive = None
        loop, stop = self._worker, self._stop
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stop.set)

    async def _over(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        loop = self._worker
        if loop is None or loop.is_closed():
            work.close()
            raise Closed("the account is closed")
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError:  # it was closed just now
            work.close()
            raise Closed("the account is closed") from None
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.cancelled() and loop.is_closed():
                raise Closed("the account is closed") from None
            raise

    # --- in the worker's thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as problem:  # noqa: BLE001 - a thread's root: the screen is told
            if not self._ready.done():
                self._ready.set_exception(problem)
            else:
                told = str(problem) if isinstance(problem, SecureChatError) else type(problem).__name__
                self._post(Disconnected(told, None))
                code = "holder_left" if isinstance(problem, HolderLeft) else "internal"
                self._post(Notice(code, f"{told}; /lock, then the password, opens the account again"))

    async def _serve(self) -> None:
        self._worker = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        password, self._password = self._password, ""
        async with self._opened(password, self._confirm) as client:
            self._client = client
            self._commander = self._commanded(client, lambda text: self._post(Told(text)))
            self._ready.set_result(None)
            following = asyncio.create_task(self._follow(client))
            stopping = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait([following, stopping], return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()  # what ended the events ends the account, and is told
                    await stopping  # no more events come; what is stored can still be read
            finally:
                await self._commander.close()
                self._client = self._commander = None
                for task in (stopping, following):
                    task.cancel()
                await asyncio.gather(stopping, following, return_exceptions=True)

    async def _follow(self, client: Backend) -> None:
        events = client.events()
        if isawaitable(events):
            events = await events
        async for event in events:
            self._post(event)

    async def _confirm(self, question: str) -> bool:
        """Ask the person, on the screen."""
        self._answer = asyncio.get_running_loop().create_future()
        self._post(Asked(question))
        return await self._answer

    def _answered(self, yes: bool) -> None:  # noqa: FBT001 - called by the loop
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(yes)

    def _post(self, news: News) -> None:
        with self._lock:
            first = not self._news
            if len(self._news) >= MAX_WAITING:
                self._news.popleft()
                self._dropped = True
            self._news.append(news)
            receive, screen = self._receive, self._screen
        if first and receive is not None and screen is not None:
            with suppress(RuntimeError):  # the screen's loop has ended
                screen.call_soon_threadsafe(self._hand_over, context=self._context)

    # --- on the screen's loop --------------------------------------------------------------------

    def _hand_over(self) -> None:
        with self._lock:
            batch, self._news = list(self._news), deque()
            dropped, self._dropped = self._dropped, False
            receive = self._receive
        if dropped:
            batch.append(
                Notice("events_dropped", "some events were dropped here; the messages are in the store")
            )
        if receive is not None and batch:
            receive(batch)
