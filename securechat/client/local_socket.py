"""The socket in the profile's folder: how other processes of the user reach the one that owns it.

JSON-RPC 2.0, one object per line, UTF-8. Methods (their results are the values of `events.py`):

    send      {to, text, key?, timeout?}   the message, acknowledged or still ``queued``
    receive   {limit?}                     {messages: [...], more}, nothing is marked
    receive   {follow: true}               {}; then notifications ``receive`` {message} as they come
    printed   {ids}                        {}; these will not come again
    caught_up {}                           {}, once what the server had is stored
    rooms     {}                           {conversations: [...]}
    why       {conversation?, after?}      {explanations: [...], more}, by name, those after one of it
    upgrade   {conversation}               the conversation, in a better cipher suite
    status    {}                           the status

An error's ``data`` has the ``exit_code`` a command ends with. Whoever connects must be the same
user of the machine: the folder is 0700, the socket 0600, and the kernel names the peer.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from securechat.client.config import ProfileFolder
from securechat.client.errors import ClientError, ExitCode, StoreError, StoreFailed, UnsafeFile
from securechat.client.events import Conversation, Explanation, Message, Status
from securechat.client.private_files import check_private_folder, make_folder
from securechat.errors import SecureChatError
from securechat.local_rpc import (
    INTERNAL,
    INVALID_REQUEST,
    OURS,
    Call,
    NoCall,
    Nothing,
    PlaceTaken,
    bind_private,
    decode_call,
    decode_params,
    error_of,
    is_peer_of,
    result_of,
)

MAX_LINE: Final = 1024 * 1024
"""A message of 64 KiB in its longest spelling fits, and an answer with several of them."""

MAX_CONNECTIONS: Final = 32
"""One-shots at once; more wait in the kernel's queue for the few milliseconds each takes."""

MAX_MESSAGES: Final = 100
MAX_EXPLANATIONS: Final = 1000
MAX_TIMEOUT: Final = 3600.0
DEFAULT_TIMEOUT: Final = 30.0

RESULT_BYTES: Final = MAX_LINE // 2
"""An answer takes another message only while it is shorter than this."""

log = logging.getLogger("securechat.client.local_socket")


class Holder(Protocol):
    """What the owner of the profile can do for others: the part of `Client` that is served."""

    async def send(self, to: str, text: str, *, key: str | None = None) -> Message: ...
    async def acknowledged(self, local_id: int, timeout: float) -> Message: ...  # noqa: ASYNC109 - Client's
    async def changed(self) -> None: ...
    async def caught_up(self) -> None: ...
    async def upgrade(self, name: str) -> Conversation: ...
    def conversations(self) -> list[Conversation]: ...
    def unprinted(self, limit: int) -> list[Message]: ...
    def mark_printed(self, local_ids: list[int]) -> None: ...
    def status(self) -> Status: ...
    def why(self, name: str | None = None) -> list[Explanation]: ...


class Send(Struct, frozen=True, forbid_unknown_fields=True):
    to: str
    text: str
    key: str | None = None
    timeout: Annotated[float, Meta(ge=0, le=MAX_TIMEOUT)] = DEFAULT_TIMEOUT


class Receive(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=MAX_MESSAGES)] = MAX_MESSAGES
    follow: bool = False


class Printed(Struct, frozen=True, forbid_unknown_fields=True):
    ids: Annotated[list[int], Meta(max_length=1000)]


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    conversation: str | None = None
    after: str = ""


class Upgrade(Struct, frozen=True, forbid_unknown_fields=True):
    conversation: str


Parameters = type[Send] | type[Receive] | type[Printed] | type[Why] | type[Upgrade] | type[Nothing]

PARAMETERS: Final[dict[str, Parameters]] = {
    "send": Send,
    "receive": Receive,
    "printed": Printed,
    "caught_up": Nothing,
    "rooms": Nothing,
    "why": Why,
    "upgrade": Upgrade,
    "status": Nothing,
}
"""Every method, with its parameters."""


@asynccontextmanager
async def serving(profile: ProfileFolder, holder: Holder) -> AsyncIterator[None]:
    """Serve the profile's socket while the block runs. Only the owner of the lock may do so.

    Where the system has no such sockets (Windows) nothing is served.

    :raises UnsafeFile: something that is not our old socket is in its place
    """
    if not hasattr(socket, "AF_UNIX"):
        yield
        return
    listening = _bind(profile.socket)
    switchboard = _Switchboard(holder)
    try:
        server = await asyncio.start_unix_server(switchboard.serve, sock=listening, limit=MAX_LINE)
    except BaseException:
        listening.close()
        raise
    try:
        yield
    finally:
        server.close()
        await switchboard.close()
        profile.socket.unlink(missing_ok=True)


def is_our_peer(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to the same user."""
    return is_peer_of(connection, os.geteuid())


class _Switchboard:
    """The connections to the socket."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        self._tasks.add(task)
        try:
            if is_our_peer(writer.get_extra_info("socket")):
                async with self._places:
                    await _Line(self._holder, reader, writer).run()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the one-shot has gone, or we are going: either way this is its end
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Line:
    """One connection: calls are answered in order, while notifications may go on."""

    def __init__(self, holder: Holder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._holder = holder
        self._reader = reader
        self._writer = writer
        self._following: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            while line := await self._read():
                answer = await self._answer(line)
                if answer is not None:
                    await self._write(answer)
        finally:
            if self._following is not None:
                self._following.cancel()
                await asyncio.wait([self._following])

    async def _read(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:
            text = "the line is too long"
            await self._write(error_of(None, INVALID_REQUEST, text, exit_code=ExitCode.USAGE))
            return b""

    async def _write(self, message: dict[str, Any]) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")
        await self._writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any] | None:
        call: Call | None = None
        try:
            call = decode_call(line)
            result = await self._do(call)
        except NoCall as problem:
            return error_of(call, problem.code, str(problem), exit_code=ExitCode.USAGE)
        except SecureChatError as problem:
            code = int(getattr(problem, "exit_code", ExitCode.USAGE))
            return error_of(call, OURS, str(problem), exit_code=code)
        except ConnectionError:
            raise
        except Exception:  # a connection's root: what failed here must not end the holder
            log.exception("a call of a one-shot failed")
            text = "the holder failed; it is in its log"
            return error_of(call, INTERNAL, text, exit_code=ExitCode.INTERNAL)
        return result_of(call, result)

    async def _do(self, call: Call) -> Any:  # noqa: ANN401 - JSON
        match decode_params(call, PARAMETERS):
            case Send() as send:
                return await self._send(send)
            case Receive(follow=True):
                if self._following is None:
                    self._following = asyncio.create_task(self._follow(), name="follower")
                return {}
            case Receive() as receive:
                messages, more = _fitting(self._holder.unprinted(receive.limit + 1), receive.limit)
                return {"messages": messages, "more": more}
            case Why() as why:
                known = [each for each in self._holder.why(why.conversation) if each.conversation > why.after]
                explanations, more = _fitting(known, MAX_EXPLANATIONS)
                return {"explanations": explanations, "more": more}
            case Printed() as printed:
                self._holder.mark_printed(printed.ids)
                return {}
            case Upgrade(conversation=name):
                result: Any = msgspec.to_builtins(await self._holder.upgrade(name))
            case _:
                result = await self._look(call.method)
        return result

    async def _look(self, method: str) -> Any:  # noqa: ANN401 - JSON
        match method:
            case "caught_up":
                await self._holder.caught_up()
                return {}
            case "rooms":
                return {"conversations": msgspec.to_builtins(self._holder.conversations())}
            case _:
                return msgspec.to_builtins(self._holder.status())

    async def _send(self, send: Send) -> Any:  # noqa: ANN401 - JSON
        message = await self._holder.send(send.to, send.text, key=send.key)
        # Not acknowledged in time: it stays queued, and the caller is told so by its state.
        with contextlib.suppress(TimeoutError):
            message = await self._holder.acknowledged(message.local_id, send.timeout)
        return msgspec.to_builtins(message)

    async def _follow(self) -> None:
        """Tell each message once on this line; until it is ``printed`` another line is told it too."""
        told: set[int] = set()
        try:
            while True:
                waiting = self._holder.unprinted(MAX_MESSAGES)
                news = [message for message in waiting if message.local_id not in told]
                told = {message.local_id for message in waiting}
                for message in news:
                    params = {"message": msgspec.to_builtins(message)}
                    await self._write({"jsonrpc": "2.0", "method": "receive", "params": params})
                if not news:
                    await self._holder.changed()
        except StoreError:
            self._writer.close()  # who follows must not wait in vain: asked again, we say what is wrong
        except (ConnectionError, ClientError):
            return  # the session has ended for good: nothing more comes, and the profile's owner is told why


def _fitting(messages: Sequence[Message | Explanation], limit: int) -> tuple[list[Any], bool]:
    """Cut a list to what one line carries; say whether there is more."""
    taken: list[Any] = []
    size = 0
    for message in messages[:limit]:
        size += len(msgspec.json.encode(message))
        if taken and size > RESULT_BYTES:
            return taken, True
        taken.append(msgspec.to_builtins(message))
    return taken, len(messages) > limit


def _bind(path: Path) -> socket.socket:
    make_folder(path.parent)
    check_private_folder(path.parent)
    try:
        return bind_private(path)
    except PlaceTaken as problem:
        raise UnsafeFile(str(problem)) from None
    except OSError as problem:
        raise StoreFailed(f"cannot serve {path}: {problem.strerror or problem}") from problem
