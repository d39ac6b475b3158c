"""A profile restored from a copy uses no key twice, whatever was under way when it was copied (D-06)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from securechat.client import intents
from securechat.client.events import Held
from securechat.client.session import Session
from securechat.protocol.messages import Changing, CommitGroup, CreateGroup
from tests.faults.generations import watching_generations
from tests.faults.power_client import renew
from tests.scenarios.world import PATIENCE, Person, World

CHANGING: msgspec.msgpack.Decoder[Changing] = msgspec.msgpack.Decoder(Changing)
NOT_COPIED = shutil.ignore_patterns("socket", "lock")


@contextmanager
def copied_at(person: Person, kind: type[CreateGroup | CommitGroup], copy: Path) -> Iterator[None]:
    """Copy a profile in the moment in which it is about to send its first such request."""
    folder = person.home.profile(person.name).folder
    send = Session.send_named

    def watched(session: Session, name: int, body: bytes) -> object:
        if isinstance(CHANGING.decode(body), kind) and not copy.exists():
            shutil.copytree(folder, copy, ignore=NOT_COPIED)
        return send(session, name, body)

    with mock.patch.object(Session, "send_named", watched):
        yield
    assert copy.exists()


async def restored(person: Person, copy: Path) -> None:
    folder = person.home.profile(person.name).folder
    await person.close()
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    person.events.clear()
    await person.open()


async def goes_on(alice: Person, bob: Person) -> None:
    assert await alice.client.drained(PATIENCE)
    await alice.says("@bob", "after")
    await bob.hears("after")


@pytest.mark.parametrize("kind", [CreateGroup, CommitGroup])
async def test_a_copy_made_while_a_group_or_epoch_began_uses_none_of_its_keys_again(
    world: World, tmp_path: Path, kind: type[CreateGroup | CommitGroup]
) -> None:
    """The request lies in the copy and is answered as before; what was sealed after it is not known there."""
    copy = tmp_path / "copy"
    with watching_generations() as oracle:
        alice, bob = await world.join("alice", "bob")
        if kind is CommitGroup:
            await alice.says("@bob", "before")
        with copied_at(alice, kind, copy):
            await alice.client.send("@bob", "first")
            if kind is CommitGroup:
                renew(alice.client, "@bob")
            assert await alice.client.drained(PATIENCE)
            await alice.client.caught_up()
        for number in range(3):
            await alice.says("@bob", f"message {number}")
        await bob.hears("message 2")

        await restored(alice, copy)
        await goes_on(alice, bob)
        oracle.judge()


async def test_a_copy_made_while_it_joined_anew_uses_none_of_the_new_keys_again(
    world: World, tmp_path: Path
) -> None:
    """Restored twice: the first time it replaces its leaf, and is copied in the middle of that."""
    first, second = tmp_path / "first", tmp_path / "second"
    with watching_generations() as oracle:
        alice, bob = await world.join("alice", "bob")
        await alice.says("@bob", "before")
        await alice.close()
        shutil.copytree(alice.home.profile("alice").folder, first, ignore=NOT_COPIED)
        await alice.open()
        await alice.says("@bob", "not in the first copy")

        with copied_at(alice, CommitGroup, second):
            await restored(alice, first)
            await goes_on(alice, bob)
        await alice.says("@bob", "not in the second copy")
        await restored(alice, second)
        bob.events.clear()
        await goes_on(alice, bob)
        oracle.judge()


@pytest.mark.parametrize("swapped", [False, True])
async def test_d_06_a_conversation_that_a_copy_has_opened_is_entered_and_not_opened_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, swapped: bool
) -> None:
    """No Welcome comes for what one has opened oneself: the leaf in it is replaced."""
    monkeypatch.setattr(intents, "WELCOME_WAIT", 0.05)
    alice, bob = await world.join("alice", "bob")
    await alice.close()
    folder, before = alice.home.profile("alice").folder, tmp_path / "before"
    shutil.copytree(folder, before, ignore=NOT_COPIED)
    await alice.open()
    await alice.says("@bob", "by the copy")
    await bob.hears("by the copy")
    if swapped:
        await bob.says("@alice", "read by the copy alone")

    await restored(alice, before)
    await alice.says("@bob", "by the one that knows of nothing")

    await bob.hears("by the one that knows of nothing")
    await goes_on(alice, bob)
    await bob.says("@alice", "to both")
    await alice.hears("to both")
    assert not [each for each in bob.events if isinstance(each, Held)]
    (why,) = alice.client.why("@bob")
    assert [each.code for each in why.troubles if each.code != "no_secrets"] == ["conflict", "rejoined"]
