"""The socket of a profile, with a holder that keeps its messages in a list."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from securechat import local_rpc
from securechat.cli.held_desk import HeldDesk
from securechat.client.config import Home, ProfileFolder
from securechat.client.errors import (
    Forbidden,
    HolderLeft,
    HolderRefused,
    NoHolder,
    UnknownConversation,
    UnsafeFile,
)
from securechat.client.events import (
    Conversation,
    Explanation,
    Kind,
    Message,
    MessageState,
    Standing,
    Status,
)
from securechat.client.forwarding import Line, connected, forward
from securechat.client.local_socket import MAX_CONNECTIONS, MAX_LINE, serving
from securechat.local_rpc import peer_uid


def a_message(number: int, text: str = "hello", state: MessageState = MessageState.RECEIVED) -> Message:
    return Message(
        id=f"{number:064x}",
        local_id=number,
        conversation="@bob",
        sender="bob",
        own=False,
        text=text,
        timestamp=1_700_000_000,
        sequence=number,
        epoch=1,
        state=state,
        verified="known",
    )


def an_explanation(name: str, text: str = "") -> Explanation:
    return Explanation(
        conversation=name,
        state=Standing.HELD,
        epoch=1,
        code="log_altered",
        text=text,
        advice="compare",
        since=0,
        troubles=(),
    )


class ListHolder:
    """A holder whose server acknowledges when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.sent: list[tuple[str, str, str | None]] = []
        self.acknowledges = True
        self.explanations: list[Explanation] = []
        self._news = asyncio.Event()

    def arrive(self, *messages: Message) -> None:
        self.waiting.extend(messages)
        self._news.set()

    async def send(self, to: str, text: str, *, key: str | None = None) -> Message:
        if to == "#nowhere":
            raise UnknownConversation(to)
        if to == "#silent":
            raise Forbidden("forbidden", "only some may speak here")
        if to == "#broken":
            raise ZeroDivisionError
        self.sent.append((to, text, key))
        return a_message(len(self.sent), text, MessageState.QUEUED)

    async def acknowledged(self, local_id: int, timeout: float) -> Message:  # noqa: ASYNC109 - Client's
        if not self.acknowledges:
            raise TimeoutError(timeout)
        return a_message(local_id, self.sent[local_id - 1][1], MessageState.SENT)

    async def caught_up(self) -> None:
        """A list has everything from the start."""

    async def changed(self) -> None:
        self._news.clear()
        await self._news.wait()

    def conversations(self) -> list[Conversation]:
        return []

    def why(self, name: str | None = None) -> list[Explanation]:
        return [each for each in self.explanations if name in (None, each.conversation)]

    async def upgrade(self, name: str) -> Conversation:
        if name == "#nowhere":
            raise UnknownConversation(name)
        return Conversation(
            name=name,
            kind=Kind.ROOM,
            state=Standing.JOINED,
            epoch=1,
            suite="the better one",
            members=(),
            title="",
            topic="",
            invited_by="",
            may_speak=True,
        )

    def unprinted(self, limit: int) -> list[Message]:
        return self.waiting[:limit]

    def mark_printed(self, local_ids: list[int]) -> None:
        self.waiting = [message for message in self.waiting if message.local_id not in local_ids]
        self._news.set()

    def status(self) -> Status:
        return Status(
            user="alice",
            server="localhost:7443",
            domain="example.org",
            fingerprint="",
            connected=False,
            encryption="MLS",
            conversations=0,
            queued=0,
            undecryptable=0,
            unprinted=len(self.waiting),
        )


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    # pytest's own folders may be too deep for a socket; then the short name is what is tested.
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    return profile


@pytest.fixture
async def holder(profile: ProfileFolder) -> AsyncIterator[ListHolder]:
    holder = ListHolder()
    async with serving(profile, holder):
        yield holder


@pytest.fixture
def careless_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@asynccontextmanager
async def raw(profile: ProfileFolder) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(profile.socket), limit=MAX_LINE)
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes; a reset is an end too, where the other side left bytes of ours unread."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_message_goes_through_the_holder(profile: ProfileFolder, holder: ListHolder) -> None:
    result = await forward(profile, "send", {"to": "@bob", "text": "héllo\n", "key": "k1"})

    assert holder.sent == [("@bob", "héllo\n", "k1")]
    assert msgspec.convert(result, Message).state is MessageState.SENT


async def test_without_an_acknowledgement_in_time_the_message_is_said_to_be_queued(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    holder.acknowledges = False

    result = await forward(profile, "send", {"to": "@bob", "text": "x", "timeout": 0.5})

    assert msgspec.convert(result, Message).state is MessageState.QUEUED


async def test_what_the_holder_refuses_comes_with_its_exit_code(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    for to, code, text in (("#nowhere", 1, "#nowhere"), ("#silent", 6, "may speak"), ("#broken", 2, "log")):
        with pytest.raises(HolderRefused, match=text) as refused:
            await forward(profile, "send", {"to": to, "text": "x"})
        assert refused.value.exit_code == code
    assert await forward(profile, "status", {})


async def test_messages_come_until_they_are_printed(profile: ProfileFolder, holder: ListHolder) -> None:
    holder.arrive(a_message(1), a_message(2), a_message(3))

    async with connected(profile) as line:
        first = await line.call("receive", {"limit": 2})
        assert [message["local_id"] for message in first["messages"]] == [1, 2]
        assert first["more"]
        assert (await line.call("receive", {"limit": 2}))["messages"] == first["messages"]
        await line.printed([1, 2])
        rest = await line.call("receive", {})
        assert [message["local_id"] for message in rest["messages"]] == [3]
        assert not rest["more"]


async def test_a_follower_hears_what_waits_and_what_comes_once_each(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    holder.arrive(a_message(1))
    async with connected(profile) as line:
        messages = line.messages()
        assert (await anext(messages)).local_id == 1
        holder.arrive(a_message(2, "\N{SNOWMAN}"))
        second = await anext(messages)
        assert (second.local_id, second.text) == (2, "\N{SNOWMAN}")
        await line.printed([1, 2])
        holder.arrive(a_message(3))
        assert (await anext(messages)).local_id == 3

    async with connected(profile) as line:
        assert (await anext(line.messages())).local_id == 3


async def test_large_answers_are_cut_to_the_line(profile: ProfileFolder, holder: ListHolder) -> None:
    holder.arrive(*(a_message(number, "\N{SNOWMAN}" * 60_000) for number in range(1, 11)))
    seen: list[int] = []

    async with connected(profile) as line:
        while (answer := await line.call("receive", {}))["messages"]:
            ids = [message["local_id"] for message in answer["messages"]]
            seen += ids
            assert answer["more"] == (ids[-1] != 10)
            await line.printed(ids)

    assert seen == list(range(1, 11))


async def test_rooms_and_status_are_answered(profile: ProfileFolder, holder: ListHolder) -> None:
    assert await forward(profile, "rooms", {}) == {"conversations": []}
    assert (await forward(profile, "status", {}))["user"] == "alice"


async def test_why_is_answered_for_one_or_for_all(profile: ProfileFolder, holder: ListHolder) -> None:
    holder.explanations = [an_explanation("@bob"), an_explanation("#team")]

    one = await forward(profile, "why", {"conversation": "#team"})
    everything = await forward(profile, "why", {})

    assert msgspec.convert(one["explanations"], list[Explanation]) == [an_explanation("#team")]
    assert msgspec.convert(everything["explanations"], list[Explanation]) == holder.explanations
    assert not everything["more"]


async def test_more_explanations_than_a_line_carries_are_cut(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    holder.explanations = [an_explanation(f"#room-{number:02}", "x" * 100_000) for number in range(20)]

    answer = await forward(profile, "why", {})
    async with connected(profile) as line:
        everything = await HeldDesk(line, profile).why(None)

    assert 0 < len(answer["explanations"]) < 20
    assert answer["more"]
    assert everything == holder.explanations


async def test_a_conversation_is_upgraded_by_who_holds_it(profile: ProfileFolder, holder: ListHolder) -> None:
    async with connected(profile) as line:
        upgraded = await HeldDesk(line, profile).upgrade("#team")
        with pytest.raises(HolderRefused, match="#nowhere"):
            await HeldDesk(line, profile).upgrade("#nowhere")
    assert (upgraded.name, upgraded.suite) == ("#team", "the better one")


BAD_LINES = [
    (b"", -32700),
    (b"nonsense", -32700),
    (b"\xff\xfe", -32700),
    (b"[" * 100_000, -32600),
    (b'{"params":' + b'{"a":' * 100_000, -32700),
    (b"[]", -32600),
    (b"42", -32600),
    (b'{"method": 1}', -32600),
    (b'{"method": "status", "more": 1}', -32600),
    (b'{"jsonrpc": "1.0", "id": 1, "method": "status"}', -32600),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "quit"}', -32601),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "send"}', -32602),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "send", "params": {"to": 1, "text": "x"}}', -32602),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "send", "params": {"to":"a","text":"b","timeout":-1}}', -32602),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "receive", "params": {"limit": 0}}', -32602),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"x": 1}}', -32602),
]


@pytest.mark.parametrize(("line", "code"), BAD_LINES)
async def test_a_bad_line_gets_an_error_and_the_line_goes_on(
    profile: ProfileFolder, holder: ListHolder, line: bytes, code: int
) -> None:
    async with raw(profile) as (reader, writer):
        writer.write(line + b"\n" + b'{"jsonrpc": "2.0", "id": 7, "method": "status"}\n')
        error = msgspec.json.decode(await reader.readline())
        assert error["error"]["code"] == code
        assert "\n" not in error["error"]["message"]
        assert error["error"]["data"]["exit_code"] == 1
        assert msgspec.json.decode(await reader.readline())["id"] == 7


async def test_a_line_without_end_is_cut_off(profile: ProfileFolder, holder: ListHolder) -> None:
    async with raw(profile) as (reader, writer):
        writer.write(b"x" * (3 * MAX_LINE))
        error = msgspec.json.decode(await reader.readline())
        assert "too long" in error["error"]["message"]
        assert await rest(reader) == b""
    assert await forward(profile, "status", {})


async def test_a_call_without_an_id_gets_no_answer(profile: ProfileFolder, holder: ListHolder) -> None:
    holder.arrive(a_message(1))
    async with raw(profile) as (reader, writer):
        writer.write(b'{"jsonrpc": "2.0", "method": "printed", "params": {"ids": [1]}}\n')
        writer.write(b'{"jsonrpc": "2.0", "id": "s", "method": "status"}\n')
        answer = msgspec.json.decode(await reader.readline())

    assert answer["id"] == "s"
    assert answer["result"]["unprinted"] == 0


async def test_many_one_shots_at_once_are_all_served(profile: ProfileFolder, holder: ListHolder) -> None:
    count = 3 * MAX_CONNECTIONS

    await asyncio.gather(
        *(forward(profile, "send", {"to": "@bob", "text": str(number)}) for number in range(count))
    )

    assert sorted(int(text) for _, text, _ in holder.sent) == list(range(count))


@pytest.mark.usefixtures("careless_umask")
async def test_the_socket_is_private_whatever_the_umask_and_goes_with_its_holder(
    profile: ProfileFolder,
) -> None:
    """L-01."""
    async with serving(profile, ListHolder()):
        found = profile.socket.lstat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert stat.S_IMODE(profile.socket.parent.lstat().st_mode) == 0o700
        assert os.umask(0) == 0

    assert not profile.socket.exists()
    with pytest.raises(NoHolder, match="password is needed"):
        await forward(profile, "status", {})


async def test_what_a_killed_holder_left_is_replaced(profile: ProfileFolder) -> None:
    left = socket.socket(socket.AF_UNIX)
    profile.socket.parent.mkdir(0o700, exist_ok=True)
    left.bind(str(profile.socket))
    left.close()
    with pytest.raises(NoHolder):
        await forward(profile, "status", {})

    async with serving(profile, ListHolder()):
        assert await forward(profile, "status", {})


async def test_anything_else_in_its_place_is_refused(profile: ProfileFolder, tmp_path: Path) -> None:
    """L-01: a link is not followed, a file not removed."""
    (tmp_path / "victim").write_text("precious")
    profile.socket.parent.mkdir(0o700, exist_ok=True)
    profile.socket.symlink_to(tmp_path / "victim")
    try:
        with pytest.raises(UnsafeFile, match="in the place of our socket"):
            async with serving(profile, ListHolder()):
                raise AssertionError
        assert (tmp_path / "victim").read_text() == "precious"
        with pytest.raises(NoHolder):
            await forward(profile, "status", {})
    finally:
        profile.socket.unlink(missing_ok=True)


async def test_another_user_of_the_machine_is_told_nothing(
    profile: ProfileFolder, holder: ListHolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_rpc, "peer_uid", lambda _connection: os.geteuid() + 1)
    async with raw(profile) as (reader, writer):
        writer.write(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n')
        assert await rest(reader) == b""

    with pytest.raises(UnsafeFile, match="served by another user"):
        await forward(profile, "status", {})


def test_the_kernel_names_the_peer() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == peer_uid(other) == os.geteuid()


async def test_when_the_holder_ends_its_followers_are_told(profile: ProfileFolder) -> None:
    async with connected_to_ending_holder(profile) as line:
        with pytest.raises(HolderLeft) as left:
            await anext(line.messages())
        assert left.value.exit_code == 75
        with pytest.raises(HolderLeft):
            await line.call("status", {})


@asynccontextmanager
async def connected_to_ending_holder(profile: ProfileFolder) -> AsyncIterator[Line]:
    async with serving(profile, ListHolder()):
        manager = connected(profile)
        line = await manager.__aenter__()
        await line.call("receive", {"follow": True})
    yield line
    await manager.__aexit__(None, None, None)


async def test_a_holder_that_talks_nonsense_is_one_error(profile: ProfileFolder) -> None:
    deep = b'{"a":' + b"[" * 5_000 + b"\n"
    for nonsense in (b"nonsense\n", deep, b"[]\n", b'{"method":"receive","params":{}}\n', b'{"id":1}', b""):
        async with fake_holder(profile, nonsense):
            with pytest.raises(HolderLeft):
                await forward(profile, "status", {})
    async with fake_holder(profile, b'{"id":1,"error":{"code":1,"message":"\\u001b[2J","data":7}}\n'):
        with pytest.raises(HolderRefused, match=r"\\x1b") as refused:
            await forward(profile, "status", {})
        assert refused.value.exit_code == 2


@asynccontextmanager
async def fake_holder(profile: ProfileFolder, answer: bytes) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    profile.socket.parent.mkdir(0o700, exist_ok=True)
    server = await asyncio.start_unix_server(serve, str(profile.socket))
    try:
        yield
    finally:
        server.close()
        profile.socket.unlink(missing_ok=True)


async def test_a_stopped_holder_is_not_waited_for(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_arguments: object, **_named: object) -> None:
        raise TimeoutError

    async with serving(profile, ListHolder()):
        monkeypatch.setattr(asyncio, "open_unix_connection", never)
        with pytest.raises(HolderRefused) as refused:
            await forward(profile, "status", {})
        assert refused.value.exit_code == 8
