"""Key packages: each once, else the last resort (M-14)."""

import asyncio
import time
from pathlib import Path

import msgspec

from securechat.mls.codec import encode, encode_before
from securechat.mls.extensions import Extension
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_KEY_PACKAGES
from tests.server.peer import DAY, Person, claim, publish, refusal, registered
from tests.server.running import UNLIMITED, running_server


async def test_m_14_each_is_handed_out_once_and_then_the_last_resort(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (bobs_keys, bob), (_, alice) = people[1], people[0]
        bundles = await publish(bob, bobs_keys, 3, last_resort=True)
        handed = [encode(await claim(alice, "bob")) for _ in range(6)]
        published = [encode(bundle.key_package) for bundle in bundles]
        assert handed[:3] == published[:3]
        assert handed[3:] == [published[3]] * 3
        assert await bob.ask(m.CountKeyPackages()) == m.KeyPackageCount(0, last_resort=True)


async def test_m_14_many_at_once_get_different_ones(tmp_path: Path) -> None:
    users = [f"user{number}" for number in range(10)]
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "bob", *users) as people,
    ):
        (bobs_keys, bob), *others = people
        await publish(bob, bobs_keys, MAX_KEY_PACKAGES)
        asked = [claim(peer, "bob") for _, peer in others for _ in range(MAX_KEY_PACKAGES // len(users))]
        handed = [encode(package) for package in await asyncio.gather(*asked)]
        assert len(set(handed)) == MAX_KEY_PACKAGES
        assert await others[0][1].ask(m.ClaimKeyPackages("bob", 3)) == m.ClaimedKeyPackages("bob", [])


async def test_m_14_a_claim_sent_twice_takes_one(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        await publish(bob, bobs_keys, 2)
        first = await alice.ask(m.ClaimKeyPackages("bob", 3))
        assert await alice.ask(m.ClaimKeyPackages("bob", 3), alice.name) == first
        assert await bob.ask(m.CountKeyPackages()) == m.KeyPackageCount(1, last_resort=False)


async def test_m_14_what_was_handed_out_is_not_taken_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        (bundle,) = await publish(bob, bobs_keys)
        await claim(alice, "bob")
        assert (await refusal(bob, m.PublishKeyPackages([encode(bundle.key_package)]))).code == "exists"


async def test_a_new_last_resort_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        await publish(bob, bobs_keys, 0, last_resort=True)
        (new,) = await publish(bob, bobs_keys, 0, last_resort=True)
        assert await claim(alice, "bob") == new.key_package


async def test_ones_own_client_is_not_handed_to_itself(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, alice)]:
        await publish(alice, keys)
        assert await alice.ask(m.ClaimKeyPackages("alice", 3)) == m.ClaimedKeyPackages("alice", [])


async def test_another_suite_has_none(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        await publish(people[1][1], people[1][0], last_resort=True)
        assert await people[0][1].ask(m.ClaimKeyPackages("bob", 1)) == m.ClaimedKeyPackages("bob", [])


async def test_the_store_is_bounded(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "bob") as [(keys, bob)]:
        await publish(bob, keys, MAX_KEY_PACKAGES)
        one_more = m.PublishKeyPackages([encode(keys.key_package().key_package)])
        assert (await refusal(bob, one_more)).code == "quota"


async def test_m_07_only_valid_packages_of_ones_own_are_taken(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, at_alice), (bob, _) = people
        now = int(time.time())
        good = encode(alice.key_package().key_package)
        wrong = {
            "another's": (encode(bob.key_package().key_package), "forbidden"),
            "expired": (encode(alice.key_package(now=now - 40 * DAY).key_package), "bad_request"),
            "not yet": (encode(alice.key_package(now=now + 3 * DAY).key_package), "bad_request"),
            "unsigned": (good[:-1] + bytes([good[-1] ^ 1]), "bad_request"),
            "cut": (good[:-1], "bad_request"),
            "longer": (good + b"\0", "bad_request"),
            "a last resort among the others": (
                encode(alice.key_package(last_resort=True).key_package),
                "bad_request",
            ),
            "marked with what is no mark": (extended(alice, Extension(6, b"\xff")), "bad_request"),
            "of another domain": (
                encode(Person("alice", "example.net", client=alice.client).key_package().key_package),
                "bad_request",
            ),
        }
        for name, (package, code) in wrong.items():
            assert (await refusal(at_alice, m.PublishKeyPackages([package]))).code == code, name
        assert (await refusal(at_alice, m.PublishKeyPackages([], good))).code == "bad_request"
        assert await at_alice.ask(m.CountKeyPackages()) == m.KeyPackageCount(0, last_resort=False)


def extended(person: Person, extension: Extension) -> bytes:
    """A key package with this extension, signed."""
    package = msgspec.structs.replace(
        person.key_package().key_package, extensions=(extension,), signature=b""
    )
    tbs = encode_before(package, "signature")
    signature = person.identity.signature_key.sign_with_label("KeyPackageTBS", tbs)
    return encode(msgspec.structs.replace(package, signature=signature))


async def test_the_account_of_an_unknown_user(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, alice)]:
        assert (await refusal(alice, m.GetAccount("nobody"))).code == "unknown_user"
        assert (await refusal(alice, m.ClaimKeyPackages("nobody", 3))).code == "unknown_user"
        assert await alice.ask(m.GetAccount("alice")) == m.Account("alice", keys.statement)


async def test_of_who_has_none_of_a_suite_comes_the_next_one_asked_for(tmp_path: Path) -> None:
    """What it is not is in its certificate; who asks without an alternative gets nothing."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        (bundle,) = await publish(bob, bobs_keys)
        assert await alice.ask(m.ClaimKeyPackages("bob", 0xF00E)) == m.ClaimedKeyPackages("bob", [])
        answer = await alice.ask(m.ClaimKeyPackages("bob", 0xF00E, [1, 3]))
        assert isinstance(answer, m.ClaimedKeyPackages)
        assert [each.key_package for each in answer.packages] == [encode(bundle.key_package)]


async def test_a_client_is_told_what_waits_of_one_suite(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "bob") as [(keys, bob)]:
        await publish(bob, keys, 2, last_resort=True)
        assert await bob.ask(m.CountKeyPackages(3)) == m.KeyPackageCount(2, last_resort=True)
        assert await bob.ask(m.CountKeyPackages(0xF00E)) == m.KeyPackageCount(0, last_resort=False)
