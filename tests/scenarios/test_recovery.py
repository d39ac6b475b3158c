"""A commit that members refuse in secret: the group goes on (rules.md D, row 2; M-15)."""

import pytest

from securechat.client.events import Invited, Notice
from tests.scenarios.evil import FlippedTags
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import PATIENCE, World


async def test_a_flipped_bit_in_a_commits_membership_tag_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = FlippedTags(monkeypatch)
    alice, bob, carol = await room_of_three(world)
    dave = (await world.join("dave"))[0]

    tags.on = True
    await alice.client.invite("#team", "dave")
    tags.on = False
    for person in (bob, carol):
        await person.sees(Notice, lambda event: event.code == "refused_commit")
    await alice.says("#team", "does everybody hear me?")
    await dave.sees(Invited)
    await dave.client.join("#team")
    await bob.says("#team", "bob is back")
    await carol.says("#team", "so is carol")

    assert tags.flipped == 1
    for person in (alice, bob, carol, dave):
        for text in {"bob is back", "so is carol"} - {
            "bob is back" if person is bob else "so is carol" if person is carol else ""
        }:
            await person.hears(text)
    codes = {person.client.fingerprint("#team").epoch_code for person in (alice, bob, carol, dave)}
    assert len(codes) == 1


async def test_what_was_queued_meanwhile_is_sealed_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = FlippedTags(monkeypatch)
    alice, bob, carol = await room_of_three(world)
    await bob.close()

    tags.on = True
    await alice.client.remove("#team", "carol")
    tags.on = False
    await bob.open()
    queued = await bob.client.send("#team", "written before I knew")

    await bob.client.acknowledged(queued.local_id, PATIENCE)
    await alice.hears("written before I knew")
    assert carol.heard() == []
