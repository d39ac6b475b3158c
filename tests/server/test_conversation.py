"""The spine: people register, open a group, talk, and read what they missed."""

from pathlib import Path

import pytest

from securechat.membership.room import Kind
from securechat.mls.group import Group
from securechat.protocol import messages as m
from tests.server.peer import Peer, Person, WasRefused, open_room, registered
from tests.server.running import running_server


async def test_a_message_shows_at_once_and_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people, kind=Kind.DIRECT)
        sealed = at_alice.encrypt(b"hello")
        answer = await alice.ask(m.SendMessage(at_alice.group_id, 1, sealed))
        assert answer == m.Appended(2)
        (entry,) = await bob.entries(1)
        assert (entry.sequence, entry.kind, entry.epoch, entry.body) == (2, "message", 1, sealed)
        assert at_bob.decrypt(entry.body).content == b"hello"


async def test_who_was_away_reads_it_all_at_the_next_login(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        at_alice, at_bob = await open_room(*people)
        await bob.close()
        for number in range(5):
            sealed = at_alice.encrypt(b"%d" % number)
            await alice.ask(m.SendMessage(at_alice.group_id, 1, sealed))
        back = await Peer.connect(app.port)
        await back.log_in(bobs_keys)
        synced = await back.ask(m.Sync())
        assert synced == m.Synced([m.GroupStatus(at_bob.group_id, 1, 6, 1, 2, 1)])
        fetched = await back.ask(m.Fetch(at_bob.group_id, 2))
        assert isinstance(fetched, m.Entries)
        assert [read(at_bob, entry) for entry in fetched.entries] == [b"0", b"1", b"2", b"3", b"4"]
        await back.close()


async def test_a_room_begins_empty(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        (group,) = await open_room((person, alice))
        assert await alice.ask(m.Sync()) == m.Synced([m.GroupStatus(group.group_id, 0, 0, 0, 1, 0)])


async def test_a_stranger_is_told_nothing_of_a_group(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "eve") as people:
        groups = await open_room(*people[:2])
        eve = people[2][1]
        for body in (
            m.Fetch(groups[0].group_id, 1),
            m.GetGroupInfo(groups[0].group_id),
            m.GetTree(groups[0].group_id, 1),
            m.SendMessage(groups[0].group_id, 1, groups[0].encrypt(b"hi")),
        ):
            with pytest.raises(WasRefused) as refused:
                await eve.ask(body)
            assert refused.value.code == "no_group"


async def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        with pytest.raises(WasRefused) as refused:
            await peer.log_in(Person("nobody", app.identity.domain))
        assert refused.value.code == "wrong_credentials"
        await peer.close()


def read(group: Group, entry: m.Entry | m.Gap) -> bytes:
    assert isinstance(entry, m.Entry)
    return group.decrypt(entry.body).content
