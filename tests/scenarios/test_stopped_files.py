"""Files that a person stops on their way: nothing of them goes on, and nothing of them stays."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.client import transfers
from securechat.client.client import Client
from securechat.client.errors import FileCancelled, NoTransfer
from securechat.client.events import FileMoved, Message, MessageReceived
from securechat.content.sealed_file import PIECE, SEALED_PIECE
from securechat.protocol.messages import FilePiece, FileStored
from tests.scenarios.world import PATIENCE, Person, World


class Stuck:
    """A server that keeps its ``number``-th answer of a kind to itself."""

    def __init__(self, client: Client, kind: type, number: int) -> None:
        self.reached = asyncio.Event()
        self._kind, self._left = kind, number
        self._honest = client._engine._session.request
        client._engine._session.request = self.request  # type: ignore[method-assign, assignment]

    async def request(self, body: object) -> object:
        answer = await self._honest(body)  # type: ignore[arg-type]
        if type(answer) is self._kind:
            self._left -= 1
            if not self._left:
                self.reached.set()
                await asyncio.Event().wait()
        return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(secrets.token_bytes(9 * PIECE))
    return path


async def nothing(found: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while found():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def at_the_server(world: World) -> list[Path]:
    return [path for path in (world.folder / "server" / "files").rglob("*") if path.is_file()]


async def offered(alice: Person, bob: Person, path: Path) -> Message:
    sent = await alice.client.send_file("@bob", str(path))
    await alice.client.acknowledged(sent.local_id, PATIENCE)
    return (await bob.sees(MessageReceived, lambda event: event.message.file is not None)).message


async def test_a_file_of_ours_that_is_stopped_is_gone_here_and_at_the_server(
    world: World, path: Path
) -> None:
    alice, _ = await world.join("alice", "bob")
    stuck = Stuck(alice.client, FileStored, 4)
    sending = asyncio.create_task(alice.client.send_file("@bob", str(path)))
    await stuck.reached.wait()
    assert at_the_server(world)

    (moving,) = alice.client.transfers()
    assert (moving.name, moving.conversation, moving.sending) == ("data.bin", "@bob", True)
    stopped = await alice.client.cancel_transfer(moving.number)

    assert stopped.total == 9 * SEALED_PIECE
    with pytest.raises(FileCancelled, match="was stopped"):
        await sending
    last = await alice.sees(FileMoved, lambda event: event.stopped)
    assert (last.number, last.done) == (moving.number, stopped.done)
    assert alice.client.transfers() == []
    assert transfers.all_sending(alice.client._engine.store.db) == []
    assert alice.client.messages("@bob") == []
    await nothing(lambda: at_the_server(world))


async def test_a_file_that_would_go_on_after_a_restart_can_be_stopped_then(world: World, path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    stuck = Stuck(alice.client, FileStored, 4)
    sending = asyncio.create_task(alice.client.send_file("@bob", str(path)))
    await stuck.reached.wait()
    await alice.close()
    await asyncio.gather(sending, return_exceptions=True)
    await world.stop_server()
    await alice.open()

    (moving,) = alice.client.transfers()
    assert (moving.name, moving.conversation) == ("data.bin", "@bob")
    await alice.client.cancel_transfer(moving.number)
    assert alice.client.transfers() == []
    assert transfers.all_sending(alice.client._engine.store.db) == []


async def test_a_file_that_was_being_fetched_leaves_nothing_and_can_be_fetched_again(
    world: World, path: Path, tmp_path: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    message = await offered(alice, bob, path)
    stuck = Stuck(bob.client, FilePiece, 4)
    fetching = asyncio.create_task(bob.client.fetch_file(message.id, to=str(tmp_path / "got")))
    await stuck.reached.wait()

    (moving,) = bob.client.transfers()
    assert (moving.name, moving.conversation, moving.sending) == ("data.bin", "@alice", False)
    await bob.client.cancel_transfer(moving.number)

    with pytest.raises(FileCancelled):
        await fetching
    await nothing(lambda: list((tmp_path / "got").iterdir()))
    (now,) = (one.file for one in bob.client.messages("@alice") if one.file)
    assert now.state == "offered"
    again = await bob.client.fetch_file(message.id, to=str(tmp_path / "got"))
    assert Path(again).read_bytes() == path.read_bytes()  # noqa: ASYNC240 - a test's own


async def test_what_is_not_on_its_way_cannot_be_stopped(world: World, path: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    message = await offered(alice, bob, path)

    assert alice.client.transfers() == []
    with pytest.raises(NoTransfer):
        await alice.client.cancel_transfer(1)
    assert message.file is not None
