"""The socket in the profile's folder: how other processes of the user reach the one that owns it.

JSON-RPC 2.0, one object per line, UTF-8. Methods (their results are the values of `events.py`):

    send      {to, text, key?, timeout?}   the message, acknowledged or still ``queued``
    receive   {limit?}                     {messages: [...], more}, nothing is marked
    receive   {follow: true}               {}; then notifications ``receive`` {message} as they come
    printed   {ids}                        {}; these will not come again
    caught_up {}                           {}, once what the server had is stored
    rooms     {}                           {conversations: [...]}
    status    {}                           the status

An error's ``data`` has the ``exit_code`` a command ends with. Whoever connects must be the same
user of the machine: the folder is 0700, the socket 0600, and the kernel names the peer.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct

from securechat.client.config import ProfileFolder
from securechat.client.errors import ClientError, ExitCode, StoreFailed, UnsafeFile
from securechat.client.events import Conversation, Message, Status
from securechat.client.private_files import check_private_folder, make_folder
from securechat.errors import SecureChatError

MAX_LINE: Final = 1024 * 1024
"""A message of 64 KiB in its longest spelling fits, and an answer with several of them."""

MAX_CONNECTIONS: Final = 32
"""One-shots at once; more wait in the kernel's queue for the few milliseconds each takes."""

MAX_MESSAGES: Final = 100
MAX_TIMEOUT: Final = 3600.0
DEFAULT_TIMEOUT: Final = 30.0

RESULT_BYTES: Final = MAX_LINE // 2
"""An answer takes another message only while it is shorter than this."""

_PARSE_ERROR: Final = -32700
_INVALID_REQUEST: Final = -32600
_UNKNOWN_METHOD: Final = -32601
_INVALID_PARAMS: Final = -32602
_INTERNAL: Final = -32603
_OURS: Final = -32000

log = logging.getLogger("securechat.client.local_socket")


class Holder(Protocol):
    """What the owner of the profile can do for others: the part of `Client` that is served."""

    async def send(self, to: str, text: str, *, key: str | None = None) -> Message: ...
    async def acknowledged(self, local_id: int, timeout: float) -> Message: ...  # noqa: ASYNC109 - Client's
    async def changed(self) -> None: ...
    async def caught_up(self) -> None: ...
    def conversations(self) -> list[Conversation]: ...
    def unprinted(self, limit: int) -> list[Message]: ...
    def mark_printed(self, local_ids: list[int]) -> None: ...
    def status(self) -> Status: ...


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, or a notification if it has no id."""

    method: str
    params: dict[str, Any] = {}
    id: int | str | None = None
    jsonrpc: str = "2.0"


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


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


PARAMETERS: Final[dict[str, type[Send] | type[Receive] | type[Printed] | type[Nothing]]] = {
    "send": Send,
    "receive": Receive,
    "printed": Printed,
    "caught_up": Nothing,
    "rooms": Nothing,
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


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a Unix socket, as the kernel says."""
    credentials = getattr(socket, "SO_PEERCRED", None)
    if credentials is not None:
        _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, credentials, 12))
        return int(uid)
    # macOS and the BSDs: LOCAL_PEERCRED (1) at level SOL_LOCAL (0) gives a struct xucred.
    _version, uid = struct.unpack_from("=II", connection.getsockopt(0, 1, 128))
    return int(uid)


def is_our_peer(connection: socket.socket) -> bool:
    """Whether the process at the other end belongs to the same user."""
    try:
        return peer_uid(connection) == os.geteuid()
    except (OSError, struct.error):
        return False


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
            await self._write(_error(None, _INVALID_REQUEST, "the line is too long"))
            return b""

    async def _write(self, message: dict[str, Any]) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")
        await self._writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any] | None:
        call: Call | None = None
        try:
            call = _decoded_call(line)
            result = await self._do(call)
        except _Refusal as refusal:
            return _error(call.id if call else None, refusal.code, str(refusal))
        except SecureChatError as problem:
            code = int(getattr(problem, "exit_code", ExitCode.USAGE))
            return _error(call.id if call else None, _OURS, str(problem), exit_code=code)
        except ConnectionError:
            raise
        except Exception:  # a connection's root: what failed here must not end the holder
            log.exception("a call of a one-shot failed")
            text = "the holder failed; it is in its log"
            return _error(call.id if call else None, _INTERNAL, text, exit_code=ExitCode.INTERNAL)
        return None if call.id is None else {"jsonrpc": "2.0", "id": call.id, "result": result}

    async def _do(self, call: Call) -> Any:  # noqa: ANN401 - JSON
        match _decoded_params(call):
            case Send() as send:
                return await self._send(send)
            case Receive(follow=True):
                if self._following is None:
                    self._following = asyncio.create_task(self._follow(), name="follower")
                return {}
            case Receive() as receive:
                messages, more = _fitting(self._holder.unprinted(receive.limit + 1), receive.limit)
                return {"messages": messages, "more": more}
            case Printed() as printed:
                self._holder.mark_printed(printed.ids)
                return {}
            case _:
                return await self._look(call.method)

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
        # Where the session has ended for good nothing more comes; the owner of the profile is told why.
        with contextlib.suppress(ConnectionError, ClientError):
            while True:
                waiting = self._holder.unprinted(MAX_MESSAGES)
                news = [message for message in waiting if message.local_id not in told]
                told = {message.local_id for message in waiting}
                for message in news:
                    params = {"message": msgspec.to_builtins(message)}
                    await self._write({"jsonrpc": "2.0", "method": "receive", "params": params})
                if not news:
                    await self._holder.changed()


class _Refusal(Exception):
    """A call that is not one of ours."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _decoded_call(line: bytes) -> Call:
    try:
        call = msgspec.json.decode(line, type=Call)
    except msgspec.ValidationError as problem:
        raise _Refusal(_INVALID_REQUEST, f"not a call: {problem}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _Refusal(_PARSE_ERROR, "not JSON") from None
    if call.jsonrpc != "2.0":
        raise _Refusal(_INVALID_REQUEST, "this is JSON-RPC 2.0")
    return call


def _decoded_params(call: Call) -> Send | Receive | Printed | Nothing:
    kind = PARAMETERS.get(call.method)
    if kind is None:
        raise _Refusal(_UNKNOWN_METHOD, f"there is no method of this name; there are {', '.join(PARAMETERS)}")
    try:
        return msgspec.convert(call.params, kind)
    except msgspec.ValidationError as problem:
        raise _Refusal(_INVALID_PARAMS, f"{call.method}: {problem}") from None


def _fitting(messages: list[Message], limit: int) -> tuple[list[Any], bool]:
    """Cut a list to what one line carries; say whether there is more."""
    taken: list[Any] = []
    size = 0
    for message in messages[:limit]:
        size += len(msgspec.json.encode(message))
        if taken and size > RESULT_BYTES:
            return taken, True
        taken.append(msgspec.to_builtins(message))
    return taken, len(messages) > limit


def _error(
    call_id: int | str | None, code: int, text: str, *, exit_code: int = ExitCode.USAGE
) -> dict[str, Any]:
    error = {"code": code, "message": text, "data": {"exit_code": int(exit_code)}}
    return {"jsonrpc": "2.0", "id": call_id, "error": error}


def _bind(path: Path) -> socket.socket:
    """Bind a socket that is private from the moment it exists (L-01)."""
    make_folder(path.parent)
    check_private_folder(path.parent)
    _remove_old(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _private_umask():
            listening.bind(str(path))
    except OSError as problem:
        listening.close()
        raise StoreFailed(f"cannot serve {path}: {problem.strerror or problem}") from problem
    return listening


def _remove_old(path: Path) -> None:
    """Remove what a holder that was killed left behind; anything else is not ours to remove."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or (sys.platform != "win32" and found.st_uid != os.geteuid()):
        raise UnsafeFile(f"{path} is in the place of our socket and is none; remove it")
    path.unlink()


@contextlib.contextmanager
def _private_umask() -> Iterator[None]:
    # bind() knows no mode. No other code runs in between: the loop does not turn, and no thread makes files.
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
