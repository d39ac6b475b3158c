"""One connection to the holder: calls side by side, notifications, and peers that behave badly."""

import asyncio
from typing import Any

import msgspec
import pytest

from securechat.client import local_line, local_socket
from securechat.client.calls import Answer
from securechat.client.config import ProfileFolder
from securechat.client.errors import HolderRefused
from securechat.client.events import Held, Message, MessageReceived, MessageState, Notice
from securechat.client.forwarding import attached, connected, forward
from securechat.client.holder import MAX_LINE
from securechat.client.listener import MAX_EVENTS
from securechat.client.local_line import MAX_CALLS, MAX_STREAMS
from securechat.client.local_socket import serving
from securechat.local_rpc import INVALID_PARAMS
from securechat.unix_socket import reachable
from tests.client.holder import CONNECTED, ListHolder, a_message, raw
from tests.client.holder import profile as profile  # noqa: PLC0414 - a fixture


def a_call(number: int, method: str, **params: object) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n"


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(await reader.readline())
    return found


async def test_two_front_ends_hear_the_same_events_and_first_how_it_stands(profile: ProfileFolder) -> None:
    holder = ListHolder()
    async with serving(profile, holder), connected(profile) as one, connected(profile) as other:
        heard = [await one.events(), await other.events()]
        held = Held("#team", "log_altered", "compare")
        holder.arrive(a_message(1, "\N{SNOWMAN}\n"))
        holder.tell(held)

        for events in heard:
            assert [await anext(events) for _ in range(3)] == [
                CONNECTED,
                MessageReceived(a_message(1, "\N{SNOWMAN}\n")),
                held,
            ]


async def test_a_call_that_waits_holds_up_no_other(profile: ProfileFolder) -> None:
    holder = ListHolder()
    holder.acknowledges = False
    async with serving(profile, holder), connected(profile) as face:
        message = await face.send("@bob", "x")
        waiting = asyncio.ensure_future(face.acknowledged(message.local_id, 60))
        assert (await face.status()).user == "alice"
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_messages_are_followed_and_acknowledged_by_plain_lines(profile: ProfileFolder) -> None:
    holder = ListHolder()
    holder.arrive(*map(a_message, range(1, 102)))
    async with serving(profile, holder), raw(profile) as (reader, writer):
        writer.write(a_call(1, "follow"))
        assert await read(reader) == {"jsonrpc": "2.0", "id": 1, "result": None}
        told = [(await read(reader))["params"]["local_id"] for _ in range(100)]
        writer.write(a_call(2, "mark_printed", local_ids=[1]))
        said = [await read(reader), await read(reader)]

    assert told == [*range(1, 101)]
    assert [one.get("method") or one.get("id") for one in said] in ([2, "message"], ["message", 2])


async def test_who_was_away_hears_what_was_said_meanwhile_and_then_what_happens(
    profile: ProfileFolder,
) -> None:
    holder = ListHolder()
    holder.arrive(a_message(1), a_message(2), a_message(3, state=MessageState.UNREADABLE))
    async with serving(profile, holder), raw(profile) as (reader, writer):
        writer.write(a_call(1, "subscribe", since=1))
        answers = [await read(reader) for _ in range(4)]
        holder.arrive(a_message(4))
        told = [*answers, await read(reader)]

    events = [each["params"] for each in told if each.get("method") == "event"]
    assert [each["type"] for each in events] == ["connected", "message", "undecryptable", "message"]
    assert [each["message"]["local_id"] for each in events if "message" in each] == [2, 4]


@pytest.mark.parametrize("since", [-1, "1", 1.5, 1 << 63])
async def test_a_place_that_is_none_is_refused(profile: ProfileFolder, since: object) -> None:
    async with serving(profile, ListHolder()), raw(profile) as (reader, writer):
        writer.write(a_call(1, "subscribe", since=since))
        assert (await read(reader))["error"]["code"] == INVALID_PARAMS


async def test_calls_without_end_are_taken_a_few_at_a_time(profile: ProfileFolder) -> None:
    """Of 100,000 calls in one write another front end notices nothing: they wait in their own connection."""
    holder = ListHolder()
    async with serving(profile, holder), raw(profile) as (_reader, writer):
        writer.write(b"".join(a_call(number, "status") for number in range(100_000)))
        answered = 0
        while holder.calls < 1000:
            before = holder.calls
            await forward(profile, "conversations", {})
            answered += 1
            assert holder.calls - before < 100 * MAX_CALLS
        assert answered
        writer.transport.abort()


async def test_who_asks_much_and_reads_nothing_costs_what_one_line_does(profile: ProfileFolder) -> None:
    holder = ListHolder()
    holder.arrive(*(a_message(number, "x" * 60_000) for number in range(1, 9)))
    async with serving(profile, holder), raw(profile) as (_reader, writer):
        writer.write(b"".join(a_call(number, "unprinted", limit=8) for number in range(1000)))
        for _ in range(50):
            await forward(profile, "status", {})
        writer.transport.abort()


async def test_lists_are_looked_up_when_they_can_be_written(profile: ProfileFolder) -> None:
    """Of 16 that nobody reads, one is in memory."""

    class Counting(ListHolder):
        looked = 0

        def unprinted(self, limit: int) -> list[Message]:
            self.looked += 1
            return super().unprinted(limit)

    holder = Counting()
    holder.waiting = [a_message(number, "x" * 60_000) for number in range(1, 101)]
    async with serving(profile, holder), raw(profile) as (_reader, writer):
        writer.write(b"".join(a_call(number, "unprinted", limit=100) for number in range(MAX_CALLS)))
        while not holder.looked:
            await forward(profile, "conversations", {})
        await forward(profile, "conversations", {})
        assert holder.looked == 1
        writer.transport.abort()


async def test_half_a_line_and_silence_keeps_nobody_out(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_socket, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(local_line, "IDLE_SECONDS", 0)
    async with serving(profile, ListHolder()), raw(profile) as one, raw(profile) as other:
        for _reader, writer in (one, other):
            writer.write(b'{"jsonrpc": "2.0", "id": 1, "met')
        assert (await forward(profile, "status", {}))["user"] == "alice"
        assert await one[0].read() == b""


async def test_when_all_places_are_in_use_who_comes_is_told_to_try_later(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_socket, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(local_socket, "PLACE_SECONDS", 0.01)
    async with serving(profile, ListHolder()), connected(profile) as face:
        await face.events()
        with pytest.raises(HolderRefused, match="too many") as refused:
            await forward(profile, "status", {})
    assert refused.value.exit_code == 75


async def test_who_has_gone_is_noticed_however_many_of_its_calls_wait(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_socket, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(local_socket, "PLACE_SECONDS", 30)
    monkeypatch.setattr(local_line, "LAST_CALLS_SECONDS", 0.01)
    holder = ListHolder()
    holder.acknowledges = False
    calls = b"".join(
        a_call(number, "acknowledged", local_id=1, timeout=3600) for number in range(2 * MAX_CALLS)
    )
    async with serving(profile, holder):
        async with raw(profile) as (_reader, writer):
            writer.write(calls)
            await writer.drain()
        assert (await forward(profile, "status", {}))["user"] == "alice"


async def test_who_says_no_more_and_reads_is_answered_however_long_it_takes(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_line, "MAX_CALLS", 1)
    holder, over = ListHolder(), asyncio.Event()

    async def caught_up() -> None:
        await over.wait()

    monkeypatch.setattr(holder, "caught_up", caught_up)
    async with serving(profile, holder), raw(profile) as (reader, writer):
        writer.write(a_call(1, "caught_up") + a_call(2, "status"))
        writer.write_eof()
        monkeypatch.setattr(local_line, "LAST_CALLS_SECONDS", 0.01)
        await forward(profile, "status", {})
        monkeypatch.setattr(local_line, "LAST_CALLS_SECONDS", 60)
        over.set()
        assert [(await read(reader))["id"] for _ in range(2)] == [1, 2]


async def test_only_so_many_are_told_events(profile: ProfileFolder) -> None:
    """32 who subscribe and stop reading keep no one-shot out, nor who comes when they have gone."""
    holder = ListHolder()
    async with serving(profile, holder):
        lines = [await stack_raw(profile) for _ in range(MAX_STREAMS)]
        for reader, writer in lines:
            writer.write(a_call(1, "subscribe") + a_call(2, "subscribe"))
            for _ in range(3):
                assert "error" not in await read(reader)
        async with connected(profile) as face:
            with pytest.raises(HolderRefused, match="too many") as refused:
                await face.events()
            assert refused.value.exit_code == 5
            assert (await face.status()).user == "alice"
            for _reader, writer in lines:
                writer.transport.abort()
            while True:
                try:
                    await face.events()
                except HolderRefused:
                    continue
                break


async def stack_raw(profile: ProfileFolder) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with reachable(profile.socket) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE)
    await reader.readline()
    return reader, writer


async def test_a_sleeper_is_told_that_events_were_dropped_and_goes_on(profile: ProfileFolder) -> None:
    holder = ListHolder()
    text = "x" * 500
    async with serving(profile, holder), raw(profile) as (reader, writer):
        writer.write(a_call(1, "subscribe"))
        for number in range(2):
            assert (await read(reader)).get("id", 1) == 1, number
        for number in range(1, 2 * MAX_EVENTS):
            holder.tell(Notice(str(number), text))
            if number % 1000 == 0:
                await forward(profile, "status", {})
        codes: list[str] = []
        while not codes or codes[-1] != str(2 * MAX_EVENTS - 1):
            codes.append((await read(reader))["params"]["code"])

    assert codes.count("events_dropped") == 1
    assert codes[0] == "1"
    assert len(codes) < 2 * MAX_EVENTS


async def test_what_ends_the_session_ends_who_follows(profile: ProfileFolder) -> None:
    holder = ListHolder()
    async with serving(profile, holder), raw(profile) as (reader, writer):
        writer.write(a_call(1, "subscribe"))
        assert (await read(reader))["id"] == 1
        assert (await read(reader))["params"]["type"] == "connected"
        holder.tell(None)
        assert await reader.read() == b""


async def test_calls_of_who_says_no_more_are_done(profile: ProfileFolder) -> None:
    holder = ListHolder()
    async with serving(profile, holder), raw(profile) as (reader, writer):
        writer.write(a_call(1, "send", to="@bob", text="and goodbye"))
        writer.write_eof()
        assert (await read(reader))["result"]["text"] == "and goodbye"
        assert await reader.read() == b""
    assert holder.sent == [("@bob", "and goodbye", None)]


async def test_an_event_or_part_that_was_not_asked_for_harms_nobody(profile: ProfileFolder) -> None:
    async with serving(profile, ListHolder()), attached(profile) as remote:
        for line in (
            b'{"method":"event","params":{"type":"of a newer holder"}}',
            b'{"method":"part","params":{"id":99,"items":[]}}',
            b'{"method":"unheard of"}',
            b'{"id":99,"result":1}',
        ):
            remote._take(msgspec.json.decode(line, type=Answer))
        assert (await remote.call("status", {}))["user"] == "alice"
