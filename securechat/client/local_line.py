"""One connection to the holder's socket: its calls run side by side, notifications go on meanwhile.

Nothing here waits for a peer but this connection itself: who does not read is not written to, and
whose calls are many waits for its own. What happens on its events is bounded by `listener.py`.
"""

import asyncio
import contextlib
import inspect
import logging
import select
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from securechat.client.calls import (
    FOLLOW,
    PARAMETERS,
    SUBSCRIBE,
    Since,
    answer_to,
    in_parts,
    notification,
    part_of,
    verb,
)
from securechat.client.errors import ExitCode, HolderFull
from securechat.client.face import VERBS, Host, own_face
from securechat.client.follow import Follower, following
from securechat.client.resuming import events_since
from securechat.errors import SecureChatError
from securechat.local_rpc import (
    INTERNAL,
    INVALID_REQUEST,
    OURS,
    Call,
    NoCall,
    decode_call,
    decode_params,
    error_of,
)

MAX_CALLS: Final = 16
"""Calls of one connection at once; it is read on when one of them is answered."""

MAX_STREAMS: Final = 32
"""Front ends that are told events at once: each costs a queue and a part of every event's time."""

LAST_CALLS_SECONDS: Final = 60.0
"""How long calls of a peer that will ask no more may take: it may still read, or have gone."""

IDLE_SECONDS: Final = 10.0
"""A connection that asked nothing for so long may have to make room for another."""

log = logging.getLogger("securechat.client.local_line")


class Streams:
    """The places of those that are told events, over all connections."""

    def __init__(self) -> None:
        self.count = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take a place while the block runs.

        :raises HolderFull: all are taken
        """
        if self.count >= MAX_STREAMS:
            raise HolderFull
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class LocalLine:
    """One connection. Run it once."""

    def __init__(
        self,
        host: Host,
        streams: Streams,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._host = host
        self._face = own_face(host, late=True)
        self._all_streams = streams
        self._reader = reader
        self._writer = writer
        self._writing = asyncio.Lock()
        self._slots = asyncio.Semaphore(MAX_CALLS)
        self._calls: set[asyncio.Task[None]] = set()
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._follower: Follower | None = None
        self.heard_at = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for nothing from us, and has not just come."""
        quiet = time.monotonic() - self.heard_at > IDLE_SECONDS
        return quiet and not self._calls and not self._streams

    async def run(self) -> None:
        """Answer until the peer has ended and its last calls are done."""
        try:
            while line := await self._read():
                self.heard_at = time.monotonic()
                if not await self._slot():
                    return
                task = asyncio.create_task(self._take(line), name="call")
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
            if self._calls:
                await asyncio.wait(self._calls, timeout=LAST_CALLS_SECONDS)
        finally:
            tasks = [*self._calls, *self._streams.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _slot(self) -> bool:
        """Wait until another call may run; False if the peer has gone and its calls do not end.

        While we wait here nothing is read, so its end is not heard but looked for.
        """
        while True:
            try:
                async with asyncio.timeout(LAST_CALLS_SECONDS):
                    return await self._slots.acquire()
            except TimeoutError:
                if _has_gone(self._writer):
                    return False

    async def _read(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:
            text = "the line is too long"
            await self._write(_error(None, INVALID_REQUEST, text, ExitCode.USAGE))
            return b""

    async def _write(self, data: bytes) -> None:
        async with self._writing:  # one at a time: of who does not read, one answer is in our memory
            await self._write_now(data)

    async def _write_now(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def _take(self, line: bytes) -> None:
        try:
            refusal = await self._answer(line)
            if refusal is not None:
                await self._write(refusal)
        except ConnectionError:
            self._writer.close()  # nobody reads any more: what it asked for is done all the same
        finally:
            self._slots.release()

    async def _answer(self, line: bytes) -> bytes | None:
        """Do what a line asks, and answer; what is returned is a refusal."""
        call: Call | None = None
        try:
            call = decode_call(line)
            await self._do(call)
        except NoCall as problem:
            return _refusal(call, problem.code, str(problem), ExitCode.USAGE)
        except SecureChatError as problem:
            code = int(getattr(problem, "exit_code", ExitCode.USAGE))
            return _refusal(call, OURS, str(problem), code, type(problem).__name__)
        except TimeoutError:
            text = "it did not come about in the time that was given"
            return _refusal(call, OURS, text, ExitCode.TIMEOUT, "TimeoutError")
        except ConnectionError:
            raise
        except Exception:  # a call's root: what failed here must not end the holder
            log.exception("a call of a front end failed")
            text = "the holder failed; it is in its log"
            return _refusal(call, INTERNAL, text, ExitCode.INTERNAL)
        return None

    async def _do(self, call: Call) -> None:
        parameters = decode_params(call, PARAMETERS)
        if call.method in VERBS:
            if verb(call.method).is_list:
                await self._list(call, parameters)
                return
            result = await self._done(call, parameters)
        else:
            self._begin(call.method, parameters)
            result = None
        if call.id is not None:
            await self._write(answer_to(call.id, msgspec.json.encode(result)))

    async def _done(self, call: Call, parameters: msgspec.Struct) -> Any:  # noqa: ANN401 - any verb's
        result = getattr(self._host, call.method)(**msgspec.structs.asdict(parameters))
        if inspect.isawaitable(result):
            result = await result
        if self._follower is not None:
            self._follower.stir()  # perhaps it was an acknowledgement
        return result

    async def _list(self, call: Call, parameters: msgspec.Struct) -> None:
        """Look up what may be large only once it can be written: of who does not read, one list waits."""
        async with self._writing:
            before: bytes | None = None
            for part in in_parts(await self._done(call, parameters)):
                if before is not None and call.id is not None:
                    await self._write_now(part_of(call.id, before))
                before = part
            if call.id is not None:
                await self._write_now(answer_to(call.id, before or b"[]"))

    def _begin(self, stream: str, parameters: Struct) -> None:
        """Let notifications come, until the connection ends."""
        if stream in self._streams:
            return
        place = contextlib.ExitStack()
        place.enter_context(self._all_streams.place())
        task = asyncio.create_task(self._tell(_STREAMS[stream](self, parameters)), name=stream)
        task.add_done_callback(lambda _task: place.close())
        self._streams[stream] = task

    async def _tell(self, stream: Awaitable[None]) -> None:
        try:
            await stream
        except ConnectionError:
            return
        except SecureChatError as problem:
            # Who follows must not wait in vain: it is told why nothing more comes.
            code = int(getattr(problem, "exit_code", ExitCode.USAGE))
            with contextlib.suppress(ConnectionError):
                await self._write(_error(None, OURS, str(problem), code, type(problem).__name__))
        except Exception:  # a task's root: as in `_answer`
            log.exception("telling a front end failed")
        self._writer.close()

    async def _tell_events(self, parameters: Struct) -> None:
        since = parameters.since if isinstance(parameters, Since) else None
        events = await self._face.events() if since is None else events_since(self._face, since)
        async for event in events:
            await self._write(notification("event", event))

    async def _tell_messages(self, _parameters: Struct) -> None:
        async with following(self._face) as self._follower:
            async for message in self._follower:
                await self._write(notification("message", message))


_STREAMS: Final[dict[str, Callable[[LocalLine, Struct], Awaitable[None]]]] = {
    SUBSCRIBE: LocalLine._tell_events,  # noqa: SLF001 - the class's own table
    FOLLOW: LocalLine._tell_messages,  # noqa: SLF001
}


def _has_gone(writer: asyncio.StreamWriter) -> bool:
    """Whether the other end is closed both ways: who only says no more may still read."""
    if writer.is_closing():
        return True
    looking = select.poll()
    looking.register(writer.get_extra_info("socket").fileno(), 0)  # hang-ups and errors are told unasked
    return bool(looking.poll(0))


def _refusal(call: Call | None, code: int, text: str, exit_code: int, kind: str = "") -> bytes | None:
    """The error that a call is answered with; none if it wanted no answer (JSON-RPC 2.0, 4.1)."""
    if call is not None and call.id is None:
        log.warning("a call that wanted no answer failed: %s", kind or code)
        return None
    return _error(call, code, text, exit_code, kind)


def _error(call: Call | None, code: int, text: str, exit_code: int, kind: str = "") -> bytes:
    return msgspec.json.encode(error_of(call, code, text, exit_code=exit_code, kind=kind)) + b"\n"
