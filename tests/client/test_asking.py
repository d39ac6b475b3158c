"""What a one-shot asks on a blocking socket: the same answers as on an event loop, and the same ends."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from securechat import unix_socket
from securechat.client import asking as asking_module
from securechat.client import calls
from securechat.client.asking import Asking, asking
from securechat.client.config import ProfileFolder
from securechat.client.errors import HolderLeft, HolderRefused, NoHolder, UnsafeFile
from securechat.client.events import MessageState
from securechat.client.face import Face
from securechat.client.local_socket import serving
from securechat.client.straight import driven, straight_face
from securechat.unix_socket import bind_private
from tests.client.holder import ListHolder, a_conversation, a_message, an_explanation
from tests.client.holder import profile as profile  # noqa: PLC0414 - a fixture
from tests.client.test_local_socket import fake_holder


async def with_line(profile: ProfileFolder, work: Callable[[Asking], Any]) -> Any:
    """Do blocking work on a line, beside the loop that answers."""

    def ask() -> Any:
        with asking(profile) as line:
            return work(line)

    return await asyncio.to_thread(ask)


async def test_calls_are_answered_one_after_the_other(profile: ProfileFolder) -> None:
    holder = ListHolder()

    def work(line: Asking) -> Any:
        sent = line.ask("send", {"to": "@bob", "text": "héllo"})
        return line.ask("acknowledged", {"local_id": sent["local_id"], "timeout": 1.0})

    async with serving(profile, holder):
        acknowledged = await with_line(profile, work)
    assert (acknowledged["text"], acknowledged["state"]) == ("héllo", "sent")


async def test_a_long_list_comes_whole_and_in_order(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PART_BYTES", 1)
    holder = ListHolder()
    holder.names = ["#a", "#b", "#c"]
    async with serving(profile, holder):
        found = await with_line(profile, lambda line: line.ask("conversations", {}))
    assert [each["name"] for each in found] == holder.names


async def test_a_no_has_its_exit_code_and_the_line_goes_on(profile: ProfileFolder) -> None:
    def work(line: Asking) -> Any:
        with pytest.raises(HolderRefused) as refused:
            line.ask("send", {"to": "#silent", "text": "x"})
        return refused.value, line.ask("status", {})

    async with serving(profile, ListHolder()):
        refusal, status = await with_line(profile, work)
    assert (refusal.exit_code, refusal.kind) == (6, "Forbidden")
    assert status["user"] == "alice"


async def test_what_did_not_come_about_in_time_is_a_timeout(profile: ProfileFolder) -> None:
    holder = ListHolder()
    holder.acknowledges = False

    def work(line: Asking) -> Any:
        sent = line.ask("send", {"to": "@bob", "text": "x"})
        return line.ask("acknowledged", {"local_id": sent["local_id"], "timeout": 0.0})

    async with serving(profile, holder):
        with pytest.raises(TimeoutError):
            await with_line(profile, work)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"id":1}',
        b'{"id":7,"result":1}\n',
        b'{"method":"part","params":{"id":1,"items":5}}\n',
        b'{"a":' + b"[" * 100_000 + b"\n",
        b"",
    ],
)
async def test_a_holder_that_talks_nonsense_is_one_error(profile: ProfileFolder, nonsense: bytes) -> None:
    async with fake_holder(profile, nonsense):
        with pytest.raises(HolderLeft):
            await with_line(profile, lambda line: line.ask("status", {}))


async def test_what_a_holder_says_of_the_whole_line_is_heard(profile: ProfileFolder) -> None:
    said = b'{"id":null,"error":{"code":1,"message":"\\u001b[2J","data":{"exit_code":75}}}\n'
    async with fake_holder(profile, said):
        with pytest.raises(HolderRefused, match=r"\\x1b") as refused:
            await with_line(profile, lambda line: line.ask("status", {}))
    assert refused.value.exit_code == 75


def test_a_stopped_holder_is_not_waited_for(profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_module, "CONNECT_SECONDS", 0.05)
    with bind_private(profile.socket) as stopped:
        stopped.listen()
        with pytest.raises(HolderRefused, match="does not answer"), asking(profile):
            raise AssertionError


def test_without_a_holder_there_is_none(profile: ProfileFolder) -> None:
    with pytest.raises(NoHolder), asking(profile):
        raise AssertionError
    bind_private(profile.socket).close()  # of one that was killed: nobody listens
    with pytest.raises(NoHolder), asking(profile):
        raise AssertionError


async def test_what_another_user_of_the_machine_serves_is_not_asked(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L-01."""
    async with serving(profile, ListHolder()):
        monkeypatch.setattr(unix_socket, "peer_uid", lambda _connection: os.geteuid() + 1)
        with pytest.raises(UnsafeFile, match="served by another user"):
            await with_line(profile, lambda line: line.ask("status", {}))


async def test_work_on_a_face_runs_without_a_loop(profile: ProfileFolder) -> None:
    holder = ListHolder()
    holder.names, holder.explanations = ["#a"], [an_explanation("#a")]
    holder.arrive(a_message(1))

    async def work(face: Face) -> Any:
        sent = await face.send("@bob", "hello", key="k1")
        return sent, await face.conversations(), await face.why("#a"), await face.said_since(0, limit=5)

    async with serving(profile, holder):
        sent, rooms, why, said = await with_line(
            profile, lambda line: driven(work(straight_face("alice", line)))
        )
    assert sent == a_message(1, "hello", MessageState.QUEUED)
    assert (rooms, why, said) == ([a_conversation("#a")], [an_explanation("#a")], [a_message(1)])


async def test_a_result_of_another_shape_is_no_holder_of_ours(profile: ProfileFolder) -> None:
    async def work(face: Face) -> Any:
        return await face.status()

    async with fake_holder(profile, b'{"id":1,"result":{"user":7}}\n'):
        with pytest.raises(HolderLeft):
            await with_line(profile, lambda line: driven(work(straight_face("alice", line))))


def test_what_waits_for_a_loop_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="event loop"):
        driven(asyncio.sleep(0))
