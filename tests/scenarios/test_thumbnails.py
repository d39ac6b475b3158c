"""Thumbnails between people: made by the sender, inside the message, asked of nobody (U-05)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from securechat.client import attachments, transfers
from securechat.client.events import FileInfo, MessageReceived
from securechat.pictures import small_png
from securechat.protocol.messages import FileStored
from tests.pictures.made import Image, a_picture
from tests.scenarios.test_files import Line, offered, sent
from tests.scenarios.world import World


async def shown(world: World, folder: Path, data: bytes, name: str, **how: Any) -> FileInfo:
    """Send a file from alice to bob; return what bob is shown of it."""
    (alice, bob) = (world.people[each] for each in ("alice", "bob"))
    await asyncio.to_thread((folder / name).write_bytes, data)
    message = await alice.client.send_file("@bob", str(folder / name), **how)
    event = await bob.sees(MessageReceived, lambda event: event.message.id == message.id)
    assert event.message.file is not None
    assert message.file is not None
    assert message.file.thumbnail == event.message.file.thumbnail
    return event.message.file


async def test_a_picture_comes_with_a_small_one_whatever_it_is_called(world: World, tmp_path: Path) -> None:
    await world.join("alice", "bob")
    file = await shown(world, tmp_path, a_picture("JPEG"), "notes.txt")
    pixels = small_png.read(file.thumbnail)
    assert pixels is not None
    assert (pixels.width, pixels.height) == (48, 32)
    assert world.app is not None
    assert world.app.counters.file_bytes_sent == 0
    assert file.thumbnail not in world.stored()
    assert (await shown(world, tmp_path, b"words " * 99, "picture.png")).thumbnail == b""


async def test_who_wants_none_sends_none(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    picture = a_picture("PNG")
    assert (await shown(world, tmp_path, picture, "a.png", thumbnail=False)).thumbnail == b""
    assert alice.client.thumbnails() is True
    assert alice.client.thumbnails(on=False) is False
    assert (await shown(world, tmp_path, picture, "b.png")).thumbnail == b""
    assert (await shown(world, tmp_path, picture, "c.png", thumbnail=True)).thumbnail != b""
    assert alice.client.receipts().keys() == {"read", "typing", "delivery"}


async def test_the_file_itself_can_be_fetched_beside_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await world.join("alice", "bob")
    monkeypatch.setattr(attachments, "downloads", lambda: tmp_path / "downloads")
    path = tmp_path / "cat.png"
    await asyncio.to_thread(path.write_bytes, a_picture("PNG"))
    await sent(alice, "@bob", path, "look")
    place = await bob.client.fetch_file(await offered(bob))
    with Image.open(place) as picture:
        assert picture.size == (300, 200)


async def test_it_waits_with_the_upload_and_is_never_made_of_another_file(
    world: World, tmp_path: Path
) -> None:
    """After a restart the message has what was made of the bytes that were sealed."""
    alice, bob = await world.join("alice", "bob")
    path = tmp_path / "cat.png"
    await asyncio.to_thread(path.write_bytes, a_picture("PNG"))
    stuck = asyncio.Event()

    def stop(answer: object) -> object:
        stuck.set()
        raise asyncio.CancelledError

    Line(alice.client, FileStored, 1, stop)
    sending = asyncio.create_task(alice.client.send_file("@bob", str(path)))
    await stuck.wait()
    (waiting,) = transfers.all_sending(alice.client._engine.store.db)
    await alice.close()
    await asyncio.gather(sending, return_exceptions=True)
    await alice.open()
    event = await bob.sees(MessageReceived, lambda event: event.message.file is not None)
    assert event.message.file is not None
    assert event.message.file.thumbnail == waiting.thumbnail != b""
