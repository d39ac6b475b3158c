"""The server gives out devices that no account signed (D-03), or a contact's keys that are new (D-04)."""

import asyncio

import pytest

from securechat.client import handshakes, planner
from securechat.client.change import Change
from securechat.client.claims import Claims
from securechat.client.errors import IdentityChanged, UntrustedKeys
from securechat.client.events import Held, Invited, Notice
from securechat.client.reconciling import Reconciler
from securechat.client.records import ConversationRecord
from securechat.mls.codec import decode
from securechat.mls.key_package import KeyPackage
from securechat.protocol.messages import ClaimedKeyPackage, ClaimKeyPackages
from securechat.server import judging, logbook, ordering
from tests.scenarios.evil import LyingDirectory, forged_key_package, known_by_name
from tests.scenarios.world import PATIENCE, Person, World


def device_of(person: Person, *, client: str = "", claims: bytes | None = None) -> ClaimedKeyPackage:
    """A device of somebody that the server made up."""
    keys = person.client._engine.keys
    name = client or keys.client
    return ClaimedKeyPackage(name, forged_key_package(keys.domain, person.name, name, claims=claims))


@pytest.mark.parametrize("claims_bobs_key", [False, True])
async def test_nothing_is_sealed_to_a_device_the_account_did_not_sign(
    world: World, monkeypatch: pytest.MonkeyPatch, *, claims_bobs_key: bool
) -> None:
    """D-03."""
    alice, bob = await world.join("alice", "bob")
    lying = LyingDirectory(monkeypatch)
    account_key = bob.client._engine.keys.account_key
    forged = device_of(bob, client="x" * 26, claims=account_key if claims_bobs_key else None)
    lying.added["bob"] = [forged]

    message = await alice.client.send("@bob", "for bob alone")
    with pytest.raises(UntrustedKeys):
        await alice.client.acknowledged(message.local_id, PATIENCE)

    held = await alice.sees(Held)
    assert (held.conversation, held.code) == ("@bob", "untrusted_keys")
    assert alice.client.status().queued == 1
    lying.added.clear()
    await alice.client.send("@bob", "once more")
    await bob.hears("for bob alone")
    await bob.hears("once more")


async def test_an_invitation_to_a_forged_device_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-03."""
    alice, bob = await world.join("alice", "bob")
    lying = LyingDirectory(monkeypatch)
    lying.added["bob"] = [device_of(bob, client="x" * 26)]
    await alice.client.create_room("#team")

    with pytest.raises(UntrustedKeys):
        await alice.client.invite("#team", "bob")

    assert [member.user for member in alice.client.conversation("#team").members] == ["alice"]


async def test_a_contacts_new_account_key_holds_sending_until_it_is_accepted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-04."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await alice.client.create_room("#team")
    lying = LyingDirectory(monkeypatch)
    lying.instead["bob"] = [device_of(bob)]

    with pytest.raises(IdentityChanged):
        await alice.client.invite("#team", "bob")
    assert [member.user for member in alice.client.conversation("#team").members] == ["alice"]

    codes = alice.client.fingerprint("@bob")
    assert codes.changed_number not in {None, codes.safety_number}
    for wrong in (codes.safety_number, "", "1234"):
        with pytest.raises(IdentityChanged):
            await alice.client.accept_identity("bob", wrong or "")
    await alice.client.accept_identity("@bob", str(codes.changed_number))
    after = alice.client.fingerprint("@bob")
    assert (after.safety_number, after.changed_number) == (codes.changed_number, None)


def corrupt(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a client, and the server, judge nothing: together they may write what they like."""
    honest = Claims.judge_packages

    def judge_nothing(
        claims: Claims, change: Change, asked: ClaimKeyPackages, packages: list[bytes]
    ) -> tuple[KeyPackage, ...]:
        if claims.device.user == person.name:
            return tuple(decode(KeyPackage, each) for each in packages)
        return honest(claims, change, asked, packages)

    look = Reconciler.look

    def look_away(
        reconciler: Reconciler, change: Change, record: ConversationRecord
    ) -> tuple[ConversationRecord, frozenset[str]]:
        if reconciler.device.user == person.name:
            return record, frozenset()
        return look(reconciler, change, record)

    monkeypatch.setattr(Claims, "judge_packages", judge_nothing)
    monkeypatch.setattr(Reconciler, "look", look_away)
    monkeypatch.setattr(planner, "judge", lambda *_, **__: None)
    monkeypatch.setattr(judging, "judge", lambda *_, **__: None)
    monkeypatch.setattr(logbook, "registered_client", known_by_name)
    monkeypatch.setattr(ordering, "take_claimed", lambda *_: True)


async def test_a_commit_with_a_forged_device_is_not_applied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-03, M-13: whatever a member and the server agreed on."""
    mallory, bob, carol = await world.join("mallory", "bob", "carol")
    await mallory.client.create_room("#team")
    await mallory.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    epoch = bob.client.conversation("#team").epoch
    corrupt(mallory, monkeypatch)
    lying = LyingDirectory(monkeypatch)
    lying.instead["carol"] = [device_of(carol, claims=carol.client._engine.keys.account_key)]

    inviting = asyncio.create_task(mallory.client.invite("#team", "carol"))
    held = await bob.sees(Held)
    inviting.cancel()

    assert held.code == "invalid_entry"
    assert bob.client.conversation("#team").epoch == epoch
    assert [member.user for member in bob.client.conversation("#team").members] == ["bob", "mallory"]
    message = await bob.client.send("#team", "is anybody there?")
    with pytest.raises(UntrustedKeys):
        await bob.client.acknowledged(message.local_id, PATIENCE)


async def test_a_tree_with_a_forged_leaf_is_not_joined(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-03, M-06."""
    mallory, bob, carol = await world.join("mallory", "bob", "carol")
    await mallory.client.create_room("#team")
    corrupt(mallory, monkeypatch)
    lying = LyingDirectory(monkeypatch)
    lying.instead["carol"] = [device_of(carol, claims=carol.client._engine.keys.account_key)]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(handshakes, "judge", lambda *_, **__: None)
        await mallory.client.invite("#team", "carol")

    await mallory.client.invite("#team", "bob")
    refused = await bob.sees(Notice, lambda event: event.code == "welcome_refused")

    assert "not signed by its user's account" in refused.text
    assert bob.client.conversations() == []
