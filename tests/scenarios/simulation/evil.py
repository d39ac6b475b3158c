"""What else a server that lies can do, and a member that lies: each is a story within a run.

A story ends with an honest server: the main face, as it is then. It returns how often it was lied;
nothing, if it did not come to it.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from unittest import mock

import apsw

from securechat.client import log_chain, planner
from securechat.client.change import Change
from securechat.client.intents import Intent, What
from securechat.client.planner import Planner
from securechat.client.records import ConversationRecord
from securechat.membership.chain import VALUE_BYTES, LogEnd, LogMark
from securechat.mls import update_path
from securechat.mls.commit import UpdatePathNode
from securechat.mls.hpke import HPKECiphertext
from securechat.protocol.frames import encode_frame
from securechat.protocol.messages import (
    ClaimedKeyPackage,
    ClaimedKeyPackages,
    ClaimKeyPackages,
    Delivered,
    Entry,
    GetGroupInfo,
)
from securechat.server import judging
from securechat.server.services import Named
from securechat.server.values import Caller, Decision
from tests.scenarios.evil import forged_key_package
from tests.scenarios.simulation import two_faced
from tests.scenarios.simulation.acts import acts
from tests.scenarios.simulation.face import now
from tests.scenarios.simulation.world import ROOM, World, say_restored

MALLORY: Final = "mallory"
"""Who lies, in a run with a member that does."""


async def roll_back(world: World) -> int:
    """The server goes back and does not say so; in the end its operator does."""
    old = world.face.snapshot()
    await acts(world, world.random.randint(2, 6))
    world.note("the server goes back to an older copy, unsaid")
    world.replace_face(_face_of(world, old))
    await acts(world, world.random.randint(1, 4))
    say_restored(world)
    return 1


async def restore(world: World) -> int:
    """The server goes back and says so: it is honest, and has lost something."""
    old = world.face.snapshot()
    await acts(world, world.random.randint(2, 6))
    world.replace_face(_face_of(world, old))
    say_restored(world)
    await acts(world, world.random.randint(1, 4))
    return 1


async def insert_devices(world: World) -> int:
    """The directory hands out devices that no account signed, alone or beside the true ones."""
    face, lies = world.face, []
    honest = face.services.named[ClaimKeyPackages]
    assert isinstance(honest, Named)
    alone = world.random.random() < 0.5

    def claim(db: apsw.Connection, caller: Caller, body: ClaimKeyPackages) -> Decision:
        decision = honest.decide(db, caller, body)
        answer = decision.answer
        assert isinstance(answer, ClaimedKeyPackages)
        keys = world.people[body.user].keys if body.user in world.people else None
        if keys is None:
            return decision
        claims = keys.account_key if world.random.random() < 0.5 else None
        client = keys.client if alone else "x" * 26
        forged = forged_key_package(keys.domain, body.user, client, claims=claims, now=now())
        lies.append(body.user)
        world.note(f"the server makes up a device of {body.user} for {caller.user}")
        made_up = ClaimedKeyPackage(client, forged)
        return Decision(ClaimedKeyPackages(body.user, [made_up] if alone else [*answer.packages, made_up]))

    face.services.named[ClaimKeyPackages] = Named(claim)
    outside = [each for each in world.honest() if each not in world.members()]
    for other in outside or world.honest()[1:2]:
        alice = world.people["alice"].client
        if alice is not None:
            world.do(alice.invite(ROOM, other.name))
    await acts(world, world.random.randint(2, 6))
    face.services.named[ClaimKeyPackages] = honest
    return len(lies)


async def push_again(world: World) -> int:
    """What was pushed is pushed again, in any order and with holes."""
    lies = 0
    for _ in range(3):
        await acts(world, 2)
        record = world.record(world.people["alice"], ROOM)
        if record is None or record.group_id is None:
            continue
        log = world.face.log(record.group_id)
        chosen = sorted(world.random.sample(log, min(len(log), 3)))
        entries = [
            Entry(sequence, kind, epoch, world.face.caller(client).name, now(), body)
            for sequence, kind, epoch, client, body in chosen
        ]
        for receiver in list(world.face.hub._receivers.values()):
            receiver.deliver(encode_frame(Delivered(record.group_id, entries)))
            lies += 1
    world.note("the server pushed old entries again")
    return lies


async def withhold_pushes(world: World) -> int:
    """Somebody is pushed nothing any more, and sees the log only when their line breaks."""
    person = world.random.choice(world.honest())
    world.note(f"the server pushes nothing to {person.name}")
    for client, receiver in list(world.face.hub._receivers.items()):
        if world.face.caller(client).user == person.name:
            world.face.hub.leave(client, receiver)
    await acts(world, world.random.randint(3, 6))
    world.cut(person.name)
    return 1


async def clone(world: World) -> int:
    """A profile is copied and put back later, and then the first one again (D-06)."""
    person = world.random.choice(world.honest())
    old = person.store.snapshot()
    await acts(world, world.random.randint(2, 6))
    newer = person.store.snapshot()
    world.note(f"{person.name} goes on with an older copy of the profile")
    await world.restart(person, old)
    await acts(world, world.random.randint(2, 5))
    if world.random.random() < 0.3:
        world.note(f"{person.name} goes back to the profile of before the copy")
        await world.restart(person, newer)
        await acts(world, 2)
    return 1


async def bad_path(world: World, *, stale: bool = False) -> int:
    """Mallory commits a path that some members can't open (M-15); perhaps with an old GroupInfo at hand."""
    with _bad_paths(world) as lies, _stale_infos(world) if stale else _nothing():
        for _ in range(world.random.randint(1, 2)):
            world.want(MALLORY, What.UPDATE)
            await world.go(world.random.uniform(0.2, 3))
            await acts(world, 2)
        await world.go(3)
    return len(lies)


async def false_claims(world: World) -> int:
    """Mallory says of the log what is not so."""
    truth, lies = log_chain.claim, []

    def claim(db: apsw.Connection, conversation: int, ends: tuple[LogEnd, ...] = ()) -> bytes:
        if db is not world.people[MALLORY].store.db:
            return truth(db, conversation, ends)
        lies.append(conversation)
        count = world.random.randrange(4)
        return LogMark(count, world.random.randbytes(VALUE_BYTES)).to_bytes()

    with mock.patch.object(log_chain, "claim", claim):
        world.send(MALLORY, ROOM)
        await acts(world, 3)
        await world.go(2)
    return len(lies)


async def break_rules(world: World) -> int:
    """Mallory does what the room does not allow, and the server looks away (M-13)."""
    victim = world.random.choice([each for each in world.members() if each.name != MALLORY])
    with (
        mock.patch.object(planner, "judge", return_value=None),
        mock.patch.object(judging, "judge", return_value=None),
    ):
        mallory = world.people[MALLORY].client
        if mallory is not None:
            world.note(f"mallory removes {victim.name}, which only alice may")
            world.do(mallory.remove(ROOM, victim.name))
        await world.go(2)
        await acts(world, 2)
    return 1


async def nothing_evil(world: World) -> int:
    """Only what honest machines do to each other."""
    await acts(world, world.random.randint(4, 10))
    return 1


@contextmanager
def _bad_paths(world: World) -> Iterator[list[int]]:
    """Let some ciphertexts of Mallory's paths be of nothing."""
    true_nodes, commit, lies = update_path._sealed_nodes, Planner.commit, []
    by_mallory = [False]

    def sealed(*given: Any) -> tuple[UpdatePathNode, ...]:
        nodes = true_nodes(*given)
        return tuple(_spoiled(world, node) for node in nodes) if by_mallory[0] else nodes

    def committing(own: Planner, change: Change, record: ConversationRecord, intent: Intent) -> None:
        by_mallory[0] = own.device.user == MALLORY
        try:
            commit(own, change, record, intent)
        finally:
            if by_mallory[0]:
                lies.append(intent.id)
                world.note("mallory commits a path that not everybody can open")
            by_mallory[0] = False

    steps = {step: committing if verb is commit else verb for step, verb in planner.STEPS.items()}
    with mock.patch.object(update_path, "_sealed_nodes", sealed), mock.patch.dict(planner.STEPS, steps):
        yield lies


def _spoiled(world: World, node: UpdatePathNode) -> UpdatePathNode:
    sealed = [
        HPKECiphertext(each.kem_output, bytes(len(each.ciphertext))) if world.random.random() < 0.5 else each
        for each in node.encrypted_path_secret
    ]
    return UpdatePathNode(node.encryption_key, tuple(sealed))


@contextmanager
def _stale_infos(world: World) -> Iterator[None]:
    """Answer whoever asks for a GroupInfo with the first one that was asked for."""
    reading, honest = world.face.services.reading, world.face.services.reading[GetGroupInfo]
    first: dict[bytes, Any] = {}
    record = world.record(world.people["alice"], ROOM)
    alice = world.people["alice"].keys.client
    row = world.face.db.execute("SELECT id FROM client WHERE name = ?", (alice,)).fetchone()
    if record is not None and record.group_id is not None and row is not None:
        body = GetGroupInfo(record.group_id)
        first[record.group_id] = honest(world.face.db, world.face.caller(row[0]), body)

    def stale(db: apsw.Connection, caller: Caller, body: GetGroupInfo) -> Any:
        answer: Any = honest(db, caller, body)
        old = first.setdefault(body.group, answer)
        if old.epoch != answer.epoch:
            world.note(f"the server gives {caller.user} an old GroupInfo")
            return type(answer)(
                answer.group, answer.epoch, answer.head, answer.handshake_head, old.group_info
            )
        return answer

    reading[GetGroupInfo] = stale
    try:
        yield
    finally:
        reading[GetGroupInfo] = honest


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _face_of(world: World, data: bytes) -> Any:
    return type(world.face)(world.cast.shop, world.wire, data)


Story = Callable[[World], Awaitable[int]]

STORIES: Final[dict[str, Story]] = {
    "nothing": nothing_evil,
    "isolate": two_faced.isolate,
    "equivocate": partial(two_faced.lie, kind=two_faced.Equivocating),
    "withhold": partial(two_faced.lie, kind=two_faced.Withholding),
    "withhold the end": two_faced.withhold_the_end,
    "reorder": partial(two_faced.lie, kind=two_faced.Reordering),
    "replay": partial(two_faced.lie, kind=two_faced.Replaying),
    "flip": partial(two_faced.lie, kind=two_faced.Flipping),
    "break tags": partial(two_faced.lie, kind=two_faced.BadTags),
    "future": partial(two_faced.lie, kind=two_faced.Futuristic),
    "part": two_faced.part_the_room,
    "invent": partial(two_faced.lie, kind=two_faced.Inventing),
    "orphan Welcome": two_faced.orphan_welcome,
    "roll back": roll_back,
    "restore": restore,
    "devices": insert_devices,
    "push again": push_again,
    "withhold pushes": withhold_pushes,
    "clone": clone,
    "bad path": bad_path,
    "stale GroupInfo": partial(bad_path, stale=True),
    "false claims": false_claims,
    "break rules": break_rules,
}

BY_MALLORY: Final = frozenset({"bad path", "stale GroupInfo", "false claims", "break rules"})
"""Stories in which a member lies."""
