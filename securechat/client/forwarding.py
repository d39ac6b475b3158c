"""Front ends that go through the process that holds the profile, without a password.

The other end of `local_socket`: the same verbs and events as in the holder itself (`face.py`), so a
front end does not know which of the two it has.
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast
from weakref import WeakSet

import msgspec
from msgspec import Raw

from securechat.client.calls import NO_VALUE, SUBSCRIBE, Answer, Part, signature, verb
from securechat.client.config import ProfileFolder
from securechat.client.errors import HolderLeft, HolderRefused, NoHolder
from securechat.client.events import Event
from securechat.client.face import VERBS, Face
from securechat.client.holder import (
    CONNECT_SECONDS,
    MAX_LINE,
    READY,
    place_of,
    refused,
    served_by_another,
    silent,
    too_busy,
)
from securechat.client.listener import Listener
from securechat.unix_socket import is_peer_of, reachable

_NONSENSE: Final = (ConnectionError, ValueError, msgspec.MsgspecError, RecursionError)
"""What reading or writing raises when the holder ends, or is none of ours."""


class Remote:
    """A connection to the holder. Calls may be made side by side."""

    def __init__(self, user: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._user = user
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._asked: dict[int, tuple[asyncio.Future[Raw], list[Raw]]] = {}
        self._listeners: WeakSet[Listener] = WeakSet()
        self._end: HolderLeft | HolderRefused | None = None
        self._greeted = asyncio.Event()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Every verb of `Face`."""
        if name not in VERBS:
            raise AttributeError(name)

        async def asked(*arguments: object, **named: object) -> Any:  # noqa: ANN401 - any verb's
            given = signature(name).bind(*arguments, **named).arguments
            return self._read_as(verb(name).result, await self._ask(name, given))

        return asked

    async def greeted(self) -> None:
        """Return once the holder has said that it is there; nothing is asked before.

        :raises HolderLeft: it ended instead
        """
        await self._greeted.wait()
        if self._end is not None:
            raise self._end

    async def call(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Make one call by its name; the result as JSON has it.

        :raises HolderRefused: it said no; the error has the exit code it gave
        :raises HolderLeft: it ended; whether it was done is not known
        """
        return self._read_as(Any, await self._ask(method, params))

    async def events(self) -> AsyncIterator[Event]:
        """Subscribe. The iterator raises `HolderLeft` at the holder's end."""
        listener = Listener()
        self._listeners.add(listener)
        await self._ask(SUBSCRIBE, {})
        return listener

    async def listen(self) -> None:
        """Take what the holder says, until it ends; then tell all who wait."""
        try:
            while True:
                line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    break
                self._take(msgspec.json.decode(line, type=Answer))
        except _NONSENSE:
            pass  # what cannot be read is no holder of ours: to us it has ended
        finally:
            self._end = self._end or HolderLeft(self._user)
            self._greeted.set()
            for future, _parts in self._asked.values():
                if not future.done():
                    future.set_exception(self._end)
            for listener in tuple(self._listeners):
                listener.fail(self._end)

    async def _ask(self, method: str, params: dict[str, Any]) -> list[Raw]:
        """Return the parts of the result, the last one at the end."""
        if self._end is not None:
            raise self._end
        number = next(self._ids)
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        future: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        parts: list[Raw] = []
        self._asked[number] = future, parts
        try:
            self._writer.write(msgspec.json.encode(call) + b"\n")
            with self._leaving():
                await self._writer.drain()
            last = await future
            return [*parts, last]
        finally:
            del self._asked[number]
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen, also where we could not even ask

    def _take(self, answer: Answer) -> None:
        match answer:
            case Answer(method=method) if method == READY:
                self._greeted.set()
            case Answer(method="event"):
                with contextlib.suppress(msgspec.ValidationError):  # of a newer holder: not for us
                    event = msgspec.json.decode(answer.params, type=Event)
                    for listener in tuple(self._listeners):
                        listener.put(event)
            case Answer(method="part"):
                part = msgspec.json.decode(answer.params, type=Part)
                if part.id in self._asked:
                    self._asked[part.id][1].append(part.items)
            case Answer(id=int(number)) if number in self._asked:
                future, _parts = self._asked[number]
                if not future.done():
                    _settle(future, answer)
            case Answer(id=None, method="") if answer.error != NO_VALUE:
                self._end = _refused(answer.error)  # said of the whole connection: it ends here

    def _read_as(self, kind: Any, parts: list[Raw]) -> Any:  # noqa: ANN401 - any verb's
        with self._leaving():
            *more, last = (msgspec.json.decode(part, type=kind) for part in parts)
        if not more:
            return last
        return [item for part in (*more, last) for item in part]

    @contextlib.contextmanager
    def _leaving(self) -> Iterator[None]:
        try:
            yield
        except _NONSENSE as problem:
            raise HolderLeft(self._user) from problem


@asynccontextmanager
async def attached(profile: ProfileFolder) -> AsyncIterator[Remote]:
    """Connect to the process that holds the profile.

    :raises NoHolder: nobody does
    :raises UnsafeFile: what is there is not ours
    :raises HolderRefused: it does not answer
    """
    reader, writer = await _connect(profile)
    remote = Remote(profile.user, reader, writer)
    listening = asyncio.create_task(remote.listen(), name="holder")
    try:
        async with _in_time():
            await remote.greeted()
        yield remote
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def connected(profile: ProfileFolder) -> AsyncIterator[Face]:
    """The account of a profile as its holder has it; raises as `attached`."""
    async with attached(profile) as remote:
        yield cast(Face, remote)


async def forward(profile: ProfileFolder, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Make one call. Raises as `attached` and `Remote.call`."""
    async with attached(profile) as remote:
        return await remote.call(method, params)


async def _connect(profile: ProfileFolder) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    path = place_of(profile)
    try:
        with reachable(path) as address:
            async with _in_time():
                reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE)
    except OSError as problem:
        # The socket of a holder that was killed: nobody listens.
        raise NoHolder(profile.user) from problem
    if writer.get_extra_info("peername") is None:
        # asyncio takes a Unix socket whose queue is full for one that is connected.
        writer.close()
        raise too_busy()
    if not is_peer_of(writer.get_extra_info("socket"), os.geteuid()):
        writer.close()
        raise served_by_another(path)
    return reader, writer


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            yield
    except TimeoutError:
        raise silent() from None


def _settle(future: "asyncio.Future[Raw]", answer: Answer) -> None:
    if answer.error == NO_VALUE:
        future.set_result(answer.result)
        return
    refusal = _refused(answer.error)
    future.set_exception(TimeoutError(str(refusal)) if refusal.kind == "TimeoutError" else refusal)


def _refused(error: Raw) -> HolderRefused:
    said: Any = None
    with contextlib.suppress(msgspec.MsgspecError, RecursionError):
        said = msgspec.json.decode(error)
    return refused(said)
