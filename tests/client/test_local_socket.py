"""The socket of a profile, with a holder that keeps its messages in a list."""

import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from securechat import unix_socket
from securechat.client import forwarding, local_socket
from securechat.client.calls import notification
from securechat.client.config import Home, ProfileFolder
from securechat.client.errors import HolderLeft, HolderRefused, NoHolder, UnsafeFile
from securechat.client.events import MessageState
from securechat.client.forwarding import connected, forward
from securechat.client.holder import MAX_LINE, READY
from securechat.client.local_socket import serving
from securechat.unix_socket import bind_private, peer_uid
from tests.client.holder import CONNECTED, ListHolder, a_message, an_explanation, raw
from tests.client.holder import profile as profile  # noqa: PLC0414 - a fixture


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


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes; a reset is an end too, where the other side left bytes of ours unread."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_message_goes_through_the_holder(profile: ProfileFolder, holder: ListHolder) -> None:
    async with connected(profile) as face:
        message = await face.send("@bob", "héllo\n", key="k1")
        acknowledged = await face.acknowledged(message.local_id, 5)

    assert holder.sent == [("@bob", "héllo\n", "k1")]
    assert (message.state, acknowledged.state) == (MessageState.QUEUED, MessageState.SENT)


async def test_without_an_acknowledgement_in_time_the_caller_is_told_as_in_the_holder_itself(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    holder.acknowledges = False

    async with connected(profile) as face:
        message = await face.send("@bob", "x")
        with pytest.raises(TimeoutError):
            await face.acknowledged(message.local_id, 0.01)


async def test_what_the_holder_refuses_comes_with_its_exit_code(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    for to, code, text in (("#nowhere", 1, "#nowhere"), ("#silent", 6, "may speak"), ("#broken", 2, "log")):
        with pytest.raises(HolderRefused, match=text) as refused:
            await forward(profile, "send", {"to": to, "text": "x"})
        assert refused.value.exit_code == code
    assert await forward(profile, "status", {})


async def test_more_than_a_line_carries_comes_in_parts_and_is_one_list(
    profile: ProfileFolder, holder: ListHolder
) -> None:
    holder.arrive(*(a_message(number, "\N{SNOWMAN}" * 60_000) for number in range(1, 11)))

    async with connected(profile) as face:
        messages = await face.unprinted(100)

    assert messages == holder.waiting
    assert [each["local_id"] for each in await forward(profile, "unprinted", {"limit": 100})] == [
        *range(1, 11)
    ]


async def test_an_empty_list_is_one(profile: ProfileFolder, holder: ListHolder) -> None:
    assert await forward(profile, "conversations", {}) == []


async def test_why_is_answered_for_one_or_for_all(profile: ProfileFolder, holder: ListHolder) -> None:
    holder.explanations = [an_explanation("@bob"), an_explanation("#team")]

    async with connected(profile) as face:
        assert await face.why("#team") == holder.explanations[1:]
        assert await face.why() == holder.explanations


async def test_a_conversation_is_upgraded_by_who_holds_it(profile: ProfileFolder, holder: ListHolder) -> None:
    async with connected(profile) as face:
        upgraded = await face.upgrade("#team")
        with pytest.raises(HolderRefused, match="#nowhere") as refused:
            await face.upgrade("#nowhere")
    assert (upgraded.name, upgraded.suite) == ("#team", "the better one")
    assert refused.value.kind == "UnknownConversation"


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
    (b'{"jsonrpc": "2.0", "id": 1, "method": "send", "params": {"to":"a","text":"b","more":-1}}', -32602),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "unprinted", "params": {"limit": 0}}', -32602),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "mark_printed", "params": {"local_ids": ["1"]}}', -32602),
    (
        b'{"jsonrpc": "2.0", "id": 1, "method": "acknowledged", "params": {"local_id":1,"timeout":4000}}',
        -32602,
    ),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "__init__"}', -32601),
    (b'{"jsonrpc": "2.0", "id": 1, "method": "events"}', -32601),
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
        writer.write(b'{"jsonrpc": "2.0", "method": "mark_printed", "params": {"local_ids": [1]}}\n')
        writer.write(b'{"jsonrpc": "2.0", "id": "s", "method": "status"}\n')
        answer = msgspec.json.decode(await reader.readline())

    assert answer["id"] == "s"
    assert answer["result"]["unprinted"] == 0


async def test_nor_does_it_when_it_fails(profile: ProfileFolder, holder: ListHolder) -> None:
    """An error without an id is about the connection: a program takes it for the end of it."""
    del holder
    async with raw(profile) as (reader, writer):
        for method, params in (
            ("mark_printed", "{}"),
            ("send", '{"to": "#nowhere", "text": "x"}'),
            ("x", "{}"),
        ):
            writer.write(f'{{"jsonrpc": "2.0", "method": "{method}", "params": {params}}}\n'.encode())
        writer.write(b'{"jsonrpc": "2.0", "id": "s", "method": "status"}\n')
        writer.write_eof()
        (answer,) = (await rest(reader)).splitlines()

    assert msgspec.json.decode(answer)["id"] == "s"


async def test_many_one_shots_at_once_are_all_served(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_socket, "MAX_CONNECTIONS", 8)
    holder = ListHolder()

    async with serving(profile, holder):
        await asyncio.gather(
            *(forward(profile, "send", {"to": "@bob", "text": str(number)}) for number in range(64))
        )

    assert sorted(int(text) for _, text, _ in holder.sent) == list(range(64))


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere it lies in another folder")
async def test_a_profile_is_served_however_long_its_path_is(tmp_path: Path) -> None:
    """L-01: nowhere but in its own folder, which nobody else can have made first."""
    home = Home(tmp_path / ("x" * 200))
    home.make()
    profile = home.profile("alice")
    profile.folder.mkdir(0o700)
    async with serving(profile, ListHolder()):
        assert profile.socket.is_socket()
        assert profile.socket.parent == profile.folder
        assert (await forward(profile, "status", {}))["user"] == "alice"
    assert list(profile.folder.iterdir()) == []
    with pytest.raises(NoHolder):
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
    monkeypatch.setattr(unix_socket, "peer_uid", lambda _connection: os.geteuid() + 1)
    async with raw(profile) as (reader, writer):
        writer.write(b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n')
        assert await rest(reader) == b""

    with pytest.raises(UnsafeFile, match="served by another user"):
        await forward(profile, "status", {})


def test_the_kernel_names_the_peer() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == peer_uid(other) == os.geteuid()


async def test_when_the_holder_ends_its_front_ends_are_told(profile: ProfileFolder) -> None:
    async with AsyncExitStack() as stack:
        async with serving(profile, ListHolder()):
            face = await stack.enter_async_context(connected(profile))
            events = await face.events()
            assert await anext(events) == CONNECTED
        with pytest.raises(HolderLeft) as left:
            await anext(events)
        assert left.value.exit_code == 75
        with pytest.raises(HolderLeft):
            await face.status()


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
        writer.write(notification(READY, {}))
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
    """The kernel takes the connection for it, and takes what is asked: only a greeting shows that it runs."""
    monkeypatch.setattr(forwarding, "CONNECT_SECONDS", 0.05)
    with bind_private(profile.socket) as stopped:
        stopped.listen()
        with pytest.raises(HolderRefused, match="does not answer") as refused:
            await forward(profile, "status", {})
        assert refused.value.exit_code == 8
        taken, _address = stopped.accept()
        with taken:
            assert taken.recv(100) == b""
