"""The end of a run: the server is honest again, people look at what they were told, and all is compared."""

from typing import Final

from securechat.client import history, holds, intents, outbox, records
from securechat.client.events import MessageState, Standing
from securechat.client.intents import What
from securechat.client.records import ConversationRecord
from securechat.client.sentences import HOLDS, RESTORED
from tests.scenarios.simulation.people import Person
from tests.scenarios.simulation.world import World

SETTLE: Final = 60.0
"""Seconds that everything has to come to rest in, with an honest server."""

PARTED: Final = frozenset({"log_altered", "group_forked"})
"""Holds that nobody ends whose epoch nobody else has."""

Stay = tuple[Person, ConversationRecord]


async def end(world: World) -> None:
    """Let things come to rest, let the users do their part, and compare."""
    world.unite()
    for person in world.people.values():
        if person.engine is None:
            person.start()
    world.note("-- the server is honest from here on")
    await world.go(SETTLE)
    await _probe(world)
    for group, stays in _groups(world).items():
        world.note(f"-- {_told(world, stays)}")
        await _settle(world, group)
    await world.go(SETTLE / 4)
    await _probe(world)
    _compare(world)


def _groups(world: World) -> dict[bytes, list[Stay]]:
    found: dict[bytes, list[Stay]] = {}
    for person in world.honest():
        for record in records.every(person.store.db):
            if record.group_id is not None and record.state in {Standing.JOINED, Standing.INVITED}:
                found.setdefault(record.group_id, []).append((person, record))
    return found


def _told(world: World, stays: list[Stay]) -> str:
    return ", ".join(f"{p.name} {_place(world, p, r)} {r.held_code or 'well'}" for p, r in stays)


def _place(world: World, person: Person, record: ConversationRecord) -> str:
    """The epoch, and its authenticator: what people compare by the code of /fingerprint.

    Authenticators are called by number: not all of their randomness is ours to repeat.
    """
    assert person.engine is not None
    group = person.engine.groups.group(person.store.db, record.id)
    if group is None:
        return f"{record.epoch} without secrets"
    return f"{record.epoch} {world.codes.setdefault(group.epoch_authenticator, str(len(world.codes)))}"


async def _settle(world: World, group: bytes) -> None:
    """Whoever was told to compare codes does; where they are the same, they go on."""
    _release(world, group)
    await world.go(5)
    well = [each for each in _groups(world).get(group, []) if not each[1].held]
    if well:
        person, record = well[0]
        world.want(person.name, What.UPDATE, record.name)
        await world.go(10)
    _release(world, group)


def _release(world: World, group: bytes) -> None:
    stays = _groups(world).get(group, [])
    places = [_place(world, *each) for each in stays]
    for (person, record), place in zip(stays, places, strict=True):
        alike = places.count(place) > 1 or len(places) == 1
        for each in holds.of(person.store.db, record.id):
            if each.code in RESTORED or (each.code in PARTED and not alike):
                break
            assert person.client is not None
            world.note(f"{person.name} has seen why {record.name} is held ({each.code}), and goes on")
            world.oracle.released(person.name, group)
            world.do(person.client.release(record.name))


async def _probe(world: World) -> None:
    """Everybody who may says one thing more: a fork that was not seen shows now."""
    world.note("-- everybody says one thing more")
    for stays in _groups(world).values():
        for person, record in stays:
            if record.may_send:
                world.send(person.name, record.name)
                await world.go(0.3)
    await world.go(SETTLE / 4)


def _compare(world: World) -> None:
    wrong = world.oracle.complain
    for group, stays in _groups(world).items():
        for person, record in stays:
            _check_stay(world, person, record)
        well = [each for each in stays if not each[1].held]
        places = {person.name: _place(world, person, record) for person, record in well}
        if len(set(places.values())) > 1:
            wrong(f"they do not agree in {stays[0][1].room}, and nobody says why: {places}")
        _check_messages(world, group, well)


def _check_stay(world: World, person: Person, record: ConversationRecord) -> None:
    wrong, db = world.oracle.complain, person.store.db
    if record.held:
        if record.held_code not in HOLDS or not record.held_text:
            wrong(f"{person.name} is held in {record.name} without a reason")
        return
    if record.state is not Standing.JOINED:
        return
    assert person.engine is not None
    if person.engine.groups.follows(db, record.id):
        wrong(f"{person.name} has not come back into {record.name}")
    wanted = [each for each in intents.of(db, record.id) if each.what is not What.ADD]
    if wanted:
        wrong(f"{person.name} still wants in {record.name}: {[(w.what, w.step) for w in wanted]}")
    if history.queued(db) and not any(each.held for each in records.every(db)):
        wrong(f"{person.name} has unsent messages: {outbox.unanswered(db)} requests")


def _check_messages(world: World, group: bytes, well: list[Stay]) -> None:
    """What one had of their stay, all have; who has not was told that something is not as it should be."""
    have = {person.name: _texts(person, record) for person, record in well}
    everything = {text: epoch for texts in have.values() for text, epoch in texts.items()}
    for person, record in well:
        since = world.oracle.stays.get((person.name, group), 0)
        for text, epoch in everything.items():
            if epoch <= since or text in have[person.name] or world.oracle.told.get(person.name):
                continue
            if world.lied and (person.name, text) not in world.oracle.read:
                world.oracle.hidden += 1
                world.note(f"-- {person.name} never learnt that {text!r} was withheld")
            else:
                world.oracle.complain(f"{person.name} lacks {text!r} of epoch {epoch} in {record.name}")


def _texts(person: Person, record: ConversationRecord) -> dict[str, int]:
    return dict(
        person.store.db.execute(
            "SELECT text, epoch FROM message WHERE conversation = ? AND state IN (?, ?) AND text <> ''",
            (record.id, MessageState.SENT, MessageState.RECEIVED),
        )
    )
