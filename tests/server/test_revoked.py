"""What a revocation leaves of a device at the server, and of the keys of those that stay (D-02, D-03)."""

from pathlib import Path
from typing import Any

from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server import overview
from securechat.server.account_rows import EVERYTHING
from tests.server.own_devices import change_of, linked, revoking, with_laptop
from tests.server.peer import (
    Peer,
    Person,
    commit_request,
    open_room,
    publish,
    read_tree,
    registered,
)
from tests.server.running import running_server


async def test_d_03_keys_with_a_certificate_of_before_are_handed_out_no_more(tmp_path: Path) -> None:
    """Of who stays: the receivers would refuse them, and new ones come."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        other, previous = await linked(alice, phone)
        await publish(phone, alice, 2, last_resort=True)

        await phone.ask(change_of(revoking(alice, other, previous)))

        assert await bob.ask(m.ClaimKeyPackages("alice", 3)) == m.ClaimedKeyPackages("alice", [])
        assert await phone.ask(m.CountKeyPackages()) == m.KeyPackageCount(0, last_resort=False)


async def test_m_14_who_names_devices_uses_up_keys_of_no_other(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (_, bob) = people
        async with with_laptop(app, alice, phone) as (other, laptop, _):
            await publish(phone, alice, 2)
            await publish(laptop, other, 2)

            answer = await bob.ask(m.ClaimKeyPackages("alice", 3, clients=[other.client]))

            assert isinstance(answer, m.ClaimedKeyPackages)
            assert [each.client for each in answer.packages] == [other.client]
            counted = await phone.ask(m.CountKeyPackages())
            assert isinstance(counted, m.KeyPackageCount)
            assert counted.fresh == 2


async def joined_by_laptop(alice: Person, phone: Peer, other: Person, laptop: Peer, group: Group) -> Group:
    """Alice's second device, in a group of hers."""
    (bundle,) = await publish(laptop, other)
    answer = await phone.ask(m.ClaimKeyPackages("alice", 3, clients=[other.client]))
    assert isinstance(answer, m.ClaimedKeyPackages)
    staged = group.stage_commit(CommitPlan(add=(bundle.key_package,)))
    await phone.ask(commit_request(group, staged, group.epoch))
    group.merge(staged)
    tree = await read_tree(laptop, group.group_id, group.epoch)
    return Group.join(staged.welcome or b"", bundle, other.identity, tree=tree).group


async def test_d_02_what_a_revoked_device_has_not_read_keeps_nothing(tmp_path: Path) -> None:
    """Nor is it counted among the devices of the server."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, phone), (bobs, _) = people
        (group, _) = await open_room(*people)
        async with with_laptop(app, alice, phone) as (other, laptop, previous):
            await joined_by_laptop(alice, phone, other, laptop, group)

            await phone.ask(change_of(revoking(alice, other, previous)))

            await laptop.until(lambda: laptop.closed is not None)
            asked = "SELECT c.name, m.cursor FROM member m JOIN client c ON c.id = m.client"
            rows: list[Any] = await app._readers.run(lambda db: db.execute(asked).fetchall())
            cursors = dict(rows)
            assert cursors[other.client] == EVERYTHING
            assert max(cursors[alice.client], cursors[bobs.client]) < 10
            counted = await app._readers.run(lambda db: db.execute(overview._COUNTS).fetchone())
            assert counted is not None
            assert counted[2] == 2
