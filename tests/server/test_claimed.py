"""A client is added by a key package that this server handed out for it, and by each once (M-14)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from securechat.mls.codec import decode, encode
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import LeafIndex
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.app import App
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    claim,
    commit_request,
    create_request,
    open_room,
    publish,
    registered,
)
from tests.server.running import running_server

People = list[tuple[Person, Peer]]


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with running_server(tmp_path) as running:
        yield running


@pytest.fixture
async def people(app: App) -> AsyncIterator[People]:
    async with registered(app, "alice", "bob", "carol") as found:
        yield found


async def add_to_a_room(peer: Peer, person: Person, *packages: KeyPackage) -> m.Answer:
    """Open a room of one's own and add somebody with its first commit."""
    group = person.group()
    return await peer.ask(create_request(group, group.stage_commit(CommitPlan(add=packages))))


async def test_m_14_a_claimed_package_adds_once(people: People) -> None:
    (alice, at_alice), (bob, at_bob), (carol, at_carol) = people
    await publish(at_bob, bob, 2)
    package = await claim(at_alice, "bob")

    assert await add_to_a_room(at_alice, alice, package) == m.Appended(1)
    for person, peer in ((alice, at_alice), (carol, at_carol)):
        with pytest.raises(WasRefused, match="not claimed here"):
            await add_to_a_room(peer, person, package)


async def test_m_14_a_package_that_was_not_handed_out_adds_nobody(people: People) -> None:
    (alice, at_alice), (bob, at_bob), _ = people
    (published,) = await publish(at_bob, bob)

    for bundle in (published, bob.key_package()):
        with pytest.raises(WasRefused, match="not claimed here"):
            await add_to_a_room(at_alice, alice, bundle.key_package)


async def test_m_14_a_last_resort_adds_again_also_once_it_is_replaced(people: People) -> None:
    (alice, at_alice), (bob, at_bob), (carol, at_carol) = people
    await publish(at_bob, bob, 0, last_resort=True)
    package = await claim(at_alice, "bob")
    await publish(at_bob, bob, 0, last_resort=True)

    assert await add_to_a_room(at_alice, alice, package) == m.Appended(1)
    assert await add_to_a_room(at_carol, carol, package) == m.Appended(1)


async def test_m_14_a_refused_commit_uses_nothing_up(people: People) -> None:
    (_, at_alice), (_, _), (carol, at_carol) = people
    (group, _) = await open_room(people[0], people[1])
    await publish(at_carol, carol)
    package = await claim(at_alice, "carol")
    staged = group.stage_commit(CommitPlan(add=(package,), remove=(LeafIndex(1),)))
    with pytest.raises(WasRefused, match="behind"):
        await at_alice.ask(commit_request(group, staged, 0))

    assert await at_alice.ask(commit_request(group, staged, 1)) == m.Appended(2)


async def test_m_14_one_of_several_that_was_not_handed_out_undoes_the_whole_commit(people: People) -> None:
    (_, at_alice), (_, _), (carol, at_carol) = people
    (group, _) = await open_room(people[0], people[1])
    await publish(at_carol, carol)
    package = await claim(at_alice, "carol")
    elsewhere = decode(KeyPackage, encode(Person("dave", carol.domain).key_package().key_package))
    with pytest.raises(WasRefused):
        await at_alice.ask(commit_request(group, group.stage_commit(CommitPlan(add=(package, elsewhere))), 1))

    staged = group.stage_commit(CommitPlan(add=(package,)))
    assert await at_alice.ask(commit_request(group, staged, 1)) == m.Appended(2)
