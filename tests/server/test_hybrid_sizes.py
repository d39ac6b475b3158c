"""The hybrid suite is some seven times as large: what holds for suite 3 holds for it, over the wire.

At 1,000 leaves, measured: a key package 2.9 kB, 256 Adds with a Welcome of 0.34 MB each and a commit of
1.6 MB, a cold path 1.2 MB, the tree 1.6 MB cold and 2.8 MB warm.
"""

import hashlib
from pathlib import Path

import pytest

from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.codec import decode, encode
from securechat.mls.examining import ExaminedCommit
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.limits import (
    MAX_ADDS,
    MAX_BODY,
    MAX_CARRIED,
    MAX_CHUNK,
    MAX_GROUP_CLIENTS,
    MAX_KEY_PACKAGE,
    MAX_LEAF,
)
from securechat.server.login_hash import LoginHasher
from tests.server.peer import Peer, Person, create_request, publish, read_tree, registered
from tests.server.running import UNLIMITED, running_server

PEOPLE = 56
"""So many that a commit, a Welcome and a tree are each more than a frame carries."""

LARGEST_CREDENTIAL = 2048
HYBRID_CIPHERTEXT = 1120 + 64 + 16 + 8
"""A KEM output, a path secret of SHA-512, a tag and the lengths."""


def test_the_largest_that_the_rules_allow_stays_within_the_limits() -> None:
    person = Person("alice", "chat.example", suite=SUITE_HYBRID)
    package = person.key_package().key_package
    more = LARGEST_CREDENTIAL - len(person.credential)
    largest, leaf = len(encode(package)) + more, len(encode(package.leaf_node)) + more

    assert largest <= MAX_KEY_PACKAGE
    assert leaf <= MAX_LEAF
    cold_path = MAX_GROUP_CLIENTS * HYBRID_CIPHERTEXT + leaf
    assert MAX_ADDS * largest + cold_path <= MAX_CARRIED


async def carried(peer: Peer, data: bytes) -> m.Carried:
    """Bytes as a request carries them: a blob where they are more than a frame takes."""
    if len(data) <= MAX_BODY:
        return m.Carried(data)
    upload = hashlib.sha256(data).digest()[:16]
    for start in range(0, len(data), MAX_CHUNK):
        await peer.ask(m.PutChunk(upload, start, len(data), data[start : start + MAX_CHUNK]))
    return m.Carried(blob=hashlib.sha256(data).digest(), size=len(data))


async def read(peer: Peer, body: bytes, blob: bytes, size: int) -> bytes:
    data = body
    while len(data) < size:
        chunk = await peer.ask(m.GetBlob(blob, len(data)))
        assert isinstance(chunk, m.Chunk)
        data += chunk.data
    return data


async def commit(peer: Peer, group: Group, plan: CommitPlan, head: int) -> m.CommitGroup:
    staged = group.stage_commit(plan)
    welcome = None if staged.welcome is None else await carried(peer, staged.welcome)
    info = await carried(peer, staged.group_info)
    body = m.CommitGroup(
        group.group_id, group.epoch, head, await carried(peer, staged.message), info, welcome
    )
    assert await peer.ask(body) == m.Appended(head + 1)
    group.merge(staged)
    return body


async def test_a_large_hybrid_room_is_made_joined_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = LoginHasher(passes=1, memory_kib=8)  # passwords are not the matter here, and they are many
    monkeypatch.setattr("securechat.server.app.LoginHasher", lambda: quick)
    users = [f"user{number}" for number in range(PEOPLE)]
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice", *users, suite=SUITE_HYBRID) as people,
    ):
        (alice_is, alice), *others = people
        bundles = [(await publish(peer, person))[0] for person, peer in others]
        packages = []
        for person, _ in others:
            answer = await alice.ask(m.ClaimKeyPackages(person.user, SUITE_HYBRID.number))
            assert isinstance(answer, m.ClaimedKeyPackages)
            packages.append(decode(KeyPackage, answer.packages[0].key_package))
        group = alice_is.group()
        await alice.ask(create_request(group))
        added = await commit(alice, group, CommitPlan(add=tuple(packages), force_path=True), 0)
        assert added.commit.blob
        assert added.welcome is not None
        assert added.welcome.blob

        bob_is, bob = others[-1]
        (invited,) = await bob.invitations(1)
        welcome = await read(bob, invited.welcome.body, invited.welcome.blob, invited.welcome.size)
        tree = await read_tree(bob, group.group_id, 1)
        assert len(tree) > MAX_CHUNK
        at_bob = Group.join(welcome, bundles[-1], bob_is.identity, tree=tree).group

        renewed = await commit(alice, group, CommitPlan(update=True), 1)
        assert renewed.commit.blob
        entry = await bob.entry(2)
        examined = at_bob.examine(await read(bob, entry.body, entry.blob, entry.size))
        assert isinstance(examined, ExaminedCommit)
        at_bob.merge(at_bob.process(examined))
        assert at_bob.epoch_authenticator == group.epoch_authenticator
