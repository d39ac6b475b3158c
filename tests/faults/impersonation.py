"""A-07: somebody who is logged in tries, over and over, to be somebody else.

Every request that names a user, a device, a group, a blob or a place is made of others' names, by one
who has no part in any of it. ``python -m tests.faults.impersonation --steps 1000000 --seed 1`` is the
long form; it prints what was tried and what was said.
"""

import argparse
import asyncio
import hashlib
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw

from securechat.membership.login import Purpose
from securechat.membership.room import Kind
from securechat.membership.signing import public_of
from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.app import App
from tests.server.peer import Peer, Person, WasRefused, commit_request, create_request, open_room, registered
from tests.server.running import UNLIMITED, running_server

NO: Final = frozenset(
    {
        *("no_group", "forbidden", "refused_commit", "refused_message", "exists", "no_blob", "gone"),
        *("bad_request", "wrong_credentials", "quota", "stale_epoch"),
    }
)
"""What may be said to eve about what is not hers."""

_VICTIMS: Final = """
SELECT (SELECT group_concat(hex(e.conversation || ':' || e.sequence || ':' || e.client || ':' ||
                                coalesce(hex(e.body), '')), ',') FROM entry e),
       (SELECT group_concat(m.conversation || ':' || m.client || ':' || m.start || ':' ||
                            coalesce(m."end", 0) || ':' || m.cursor, ',') FROM member m),
       (SELECT group_concat(c.id || ':' || c.high_water || ':' || c.inbox_head || ':' || c.inbox_cursor, ',')
        FROM client c JOIN account a ON a.id = c.account WHERE a.user != 'eve'),
       (SELECT group_concat(u.client || ':' || hex(u.upload) || ':' || u.received, ',')
        FROM upload u JOIN client c ON c.id = u.client JOIN account a ON a.id = c.account
        WHERE a.user != 'eve'),
       (SELECT group_concat(epoch || ':' || head, ',') FROM conversation)
"""


@dataclass
class Scene:
    """What alice and bob have, and eve, who wants it."""

    app: App
    keys: dict[str, Person]
    eve: Peer
    groups: list[bytes]
    bodies: list[Callable[[Random], m.RequestBody]]
    said: Counter[str] = field(default_factory=Counter)

    async def step(self, source: Random) -> None:
        if source.random() < 0.02:
            await self._log_in_as_another(source)
            return
        if source.random() < 0.1:
            acks = [m.Acknowledged(source.choice([*self.groups, b""]), source.randrange(9))]
            self.eve.connection.acknowledge(acks)
            self.eve.flush()
            self.said["acknowledged"] += 1
            return
        body = source.choice(self.bodies)(source)
        answer = await said_to(self.eve, body)
        assert answer in NO if isinstance(answer, str) else harmless(answer), (body, answer)
        told = answer if isinstance(answer, str) else "nothing of theirs"
        self.said[f"{type(body).__name__}: {told}"] += 1

    async def _log_in_as_another(self, source: Random) -> None:
        """With her own keys in another's name, on a new connection."""
        eve, victim = self.keys["eve"], source.choice([self.keys["alice"], self.keys["bob"]])
        peer, nonce = await Peer.connect(self.app.port), secrets.token_bytes(32)
        if source.random() < 0.5:
            client = source.choice([eve.client, victim.client])
            signed = peer.challenge(replace(eve, user=victim.user), Purpose.DEVICE, nonce, client)
            body: m.RequestBody = m.LogIn(victim.user, client, nonce, eve.device_key.sign(signed))
        else:
            signed = peer.challenge(replace(eve, user=victim.user), Purpose.PASSWORD, nonce, "")
            body = m.LogInWithPassword(
                victim.user, public_of(eve.login_key), nonce, eve.login_key.sign(signed)
            )
        answer = await said_to(peer, body)
        assert answer == "wrong_credentials", (body, answer)
        self.said[f"{type(body).__name__}: {answer}"] += 1
        await peer.close()

    async def state(self) -> Any:
        """All that is alice's and bob's, once what eve acknowledged has been written."""
        await self.eve.ask(m.Ping())
        self.app._riders.leave()

        def read(db: apsw.Connection) -> Any:
            return db.execute(_VICTIMS).fetchone()

        return await self.app._writer.find(read)

    def callers(self) -> list[str]:
        return sorted(session.caller.user for session in self.app._desk.sessions if session.caller)


async def said_to(peer: Peer, body: m.RequestBody) -> m.Answer | str:
    """The answer, or the code of a refusal."""
    try:
        return await peer.ask(body)
    except WasRefused as refused:
        return refused.code


def harmless(answer: m.Answer) -> bool:
    """Whether it tells or gives nothing that is others' alone."""
    match answer:
        case m.Synced(groups=groups):
            return not groups
        case m.InboxEntries(entries=entries):
            return not entries
        case m.Account() | m.Uploaded() | m.KeyPackageCount() | m.ClaimedKeyPackages() | m.Done():
            return True  # public, or of her own uploads and key packages
        case _:
            return False


async def make_scene(app: App, people: list[tuple[Person, Peer]]) -> Scene:
    alice, bob, (eves_keys, eve) = people
    room, at_bob = await open_room(alice, bob)
    direct, _ = await open_room(alice, bob, kind=Kind.DIRECT)
    groups = [room.group_id, direct.group_id]
    sealed = room.encrypt(b"for bob")
    upload, data = secrets.token_bytes(16), secrets.token_bytes(100)
    await alice[1].ask(m.SendMessage(room.group_id, 1, sealed))
    await alice[1].ask(m.PutChunk(upload, 0, 100, data))
    await alice[1].ask(m.PutChunk(b"open" * 4, 0, 100, data[:50]))
    blob = hashlib.sha256(data).digest()
    carried = m.Carried(blob=blob, size=100)
    commit = commit_request(room, room.stage_commit(CommitPlan(update=True)), 1)
    leave = at_bob.propose_self_remove()
    package = encode(bob[0].key_package().key_package)
    opened = create_request(eves_keys.group())
    bodies: list[Callable[[Random], m.RequestBody]] = [
        lambda r: m.SendMessage(r.choice(groups), r.randrange(3), sealed),
        lambda r: m.Propose(r.choice(groups), r.randrange(3), r.choice([leave, sealed])),
        lambda r: _replaced(commit, group=r.choice(groups), epoch=r.randrange(3)),
        lambda _: create_request(alice[0].group()),
        lambda r: _replaced(opened, group=r.choice(groups)),
        lambda _: m.CreateGroup(secrets.token_bytes(32), carried, carried),
        lambda r: m.Fetch(r.choice(groups), r.randrange(5)),
        lambda r: m.GetGroupInfo(r.choice(groups)),
        lambda r: m.GetTree(r.choice(groups), r.randrange(3), 0),
        lambda r: m.GetBlob(blob, r.randrange(3)),
        lambda r: m.PutChunk(r.choice([b"open" * 4, upload]), r.choice([0, 50]), 100, b"e" * 50),
        lambda _: m.PublishKeyPackages([package]),
        lambda r: m.Sync(r.choice([b"", *groups])),
        lambda r: m.FetchInbox(r.randrange(3)),
        lambda r: m.GetAccount(r.choice(["alice", "bob"])),
    ]
    keys = {person.user: person for person, _ in people}
    return Scene(app, keys, eve, groups, bodies)


def _replaced(body: Any, **changes: object) -> Any:
    return type(body)(**({name: getattr(body, name) for name in body.__struct_fields__} | changes))


async def impersonate(folder: Path, *, steps: int, seed: int) -> Counter[str]:
    """Try so often; fail at the first success."""
    async with (
        running_server(folder, rates=UNLIMITED) as app,
        registered(app, "alice", "bob", "eve") as people,
    ):
        scene, source = await make_scene(app, people), Random(seed)
        before, callers = await scene.state(), scene.callers()
        for number in range(steps):
            await scene.step(source)
            if number % 1_000 == 0:
                assert await scene.state() == before
        assert await scene.state() == before
        assert scene.callers() == callers
        return scene.said


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as folder:
        said = asyncio.run(impersonate(Path(folder), steps=asked.steps, seed=asked.seed))
    for what, count in sorted(said.items()):
        print(f"{count:>9}  {what}")
    print(f"{said.total():>9}  attempts, 0 of them successful")


if __name__ == "__main__":
    main()
