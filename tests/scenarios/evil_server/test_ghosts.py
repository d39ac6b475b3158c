"""The directory lies about whose devices there are, and which keys they have (D-03, D-04, M-07, M-14)."""

from collections.abc import Callable
from typing import Final

import pytest

from securechat.client.errors import IdentityChanged, UntrustedKeys
from securechat.mls.codec import decode
from securechat.mls.key_package import KeyPackage
from securechat.protocol.messages import ClaimedKeyPackage, ClaimedKeyPackages, ClaimKeyPackages
from tests.scenarios.evil_server.accomplices import a_server_that_looks_away
from tests.scenarios.evil_server.ghosts import (
    GHOSTS,
    Ghost,
    beside,
    instead,
    of_nobody,
    only_older_suite,
    published,
    twice,
)
from tests.scenarios.evil_server.liar import Retort
from tests.scenarios.evil_server.stage import Stage, on_stage

How = Callable[[Stage, str, Ghost], Retort]

TOLD: Final = [
    pytest.param(ghost, how, id=f"{name}, {how.__name__}")
    for name, ghost in GHOSTS.items()
    for how in (beside, instead)
    if (ghost, how) != (of_nobody, instead)
]
"""All but one: a whole account of the server's own, told to who has never met the true one. The key log
shows that, and this server keeps none: `tests/scenarios/test_key_log.py`."""


@pytest.mark.parametrize(("ghost", "how"), TOLD)
@on_stage("alice", "bob", "carol")
async def test_d_03_nothing_is_sealed_to_a_device_that_its_owner_did_not_make(
    stage: Stage, ghost: Ghost, how: How
) -> None:
    """D-03, M-07: somebody whom one writes to for the first time."""
    stage.liar("alice").retort(ClaimKeyPackages, how(stage, "bob", ghost))

    stage.say("alice", "for bob alone", "@bob")
    told = await stage.is_told("alice", "untrusted_keys")
    await stage.go(10)

    assert (told.conversation, "bob" in told.text) == ("@bob", True)
    assert stage.seals.messages == stage.seals.commits == 0
    stage.liar("alice").repent()
    stage.liar("alice").cut()
    await stage.hears("bob", "for bob alone")


@on_stage("alice", "bob")
async def test_d_03_a_device_that_is_handed_out_twice_is_named(stage: Stage) -> None:
    """Nobody can add it twice: it would be tried without end."""
    stage.liar("alice").retort(ClaimKeyPackages, twice(stage, "bob"))

    stage.say("alice", "for bob alone", "@bob")
    told = await stage.is_told("alice", "untrusted_keys")

    assert "twice" in told.text
    assert stage.seals.messages == stage.seals.commits == 0


@on_stage("alice", "bob", "carol")
async def test_d_03_a_ghost_is_not_invited(stage: Stage) -> None:
    await stage.room("alice", "carol")
    stage.liar("alice").retort(ClaimKeyPackages, beside(stage, "bob", of_nobody))

    with pytest.raises(UntrustedKeys):
        await stage.client("alice").invite("#team", "bob")

    assert stage.members("alice") == stage.members("carol") == ["alice", "carol"]


@on_stage("alice", "bob")
async def test_d_04_another_account_key_is_nobody_that_one_knows(stage: Stage) -> None:
    """A directory that replaces the account key of somebody known: asked to invite, and after it."""
    await stage.says("alice", "hello", "@bob")
    await stage.hears("bob", "hello")
    await stage.room("alice", name="#later")
    stage.liar("alice").retort(ClaimKeyPackages, instead(stage, "bob", of_nobody))

    with pytest.raises(IdentityChanged):
        await stage.client("alice").invite("#later", "bob")

    assert stage.members("alice", "#later") == ["alice"]
    await stage.is_told("alice", "identity_changed")


@on_stage("alice", "bob")
async def test_m_07_keys_of_the_weaker_suite_alone_are_not_used(stage: Stage) -> None:
    stage.liar("alice").retort(ClaimKeyPackages, only_older_suite(stage, "bob"))

    stage.say("alice", "for bob alone", "@bob")
    told = await stage.is_told("alice", "suite_withheld")

    assert "bob" in told.text
    assert stage.seals.messages == 0


@on_stage("alice", "bob")
async def test_keys_that_are_said_not_to_be_there_are_waited_for(stage: Stage) -> None:
    """Withheld keys of a person hold up what is written, and nothing goes out otherwise."""
    stage.liar("alice").retort(ClaimKeyPackages, lambda asked, _: ClaimedKeyPackages(asked.user, []))

    stage.say("alice", "for bob alone", "@bob")
    await stage.go()

    assert stage.seals.messages == 0
    assert stage.client("alice").status().queued == 1
    stage.liar("alice").repent()
    await stage.hears("bob", "for bob alone")


@on_stage("alice", "bob", "carol")
async def test_m_14_keys_that_were_used_before_let_nobody_in(stage: Stage) -> None:
    """The same one-time keys, handed out to two: the second time nobody can open what they open."""
    used = ClaimedKeyPackage(stage.person("bob").keys.client, published(stage, "bob"))
    for name in ("alice", "carol"):
        stage.liar(name).retort(ClaimKeyPackages, lambda asked, _: ClaimedKeyPackages(asked.user, [used]))
    with a_server_that_looks_away():
        await stage.says("alice", "the first", "@bob")
        await stage.hears("bob", "the first")

        stage.say("carol", "the second", "@bob")
        told = await stage.is_told("bob", "welcome_refused")

    assert "keys that are not here" in told.text


@on_stage("alice", "bob", "carol")
async def test_m_14_where_only_the_last_resort_is_handed_out_its_owner_has_new_keys_at_once(
    stage: Stage,
) -> None:
    last = ClaimedKeyPackage(stage.person("bob").keys.client, published(stage, "bob", last_resort=True))
    stage.liar("alice").retort(ClaimKeyPackages, lambda asked, _: ClaimedKeyPackages(asked.user, [last]))

    await stage.says("alice", "by the last resort", "@bob")
    await stage.hears("bob", "by the last resort")
    await stage.go(10)

    record, store = stage.record("alice", "@bob"), stage.person("alice").store
    public = stage.engine("alice").groups.public(store.db, record.id)
    assert public is not None
    leaves = [leaf for _, leaf in public.tree.leaves()]
    old = decode(KeyPackage, last.key_package).leaf_node.encryption_key
    assert old not in [leaf.encryption_key for leaf in leaves]
    assert published(stage, "bob", last_resort=True) != last.key_package
