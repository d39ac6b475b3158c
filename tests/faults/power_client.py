"""python -m tests.faults.power_client --count N --minutes M --seed S: power losses of a client.

Whatever a client has said, to its server or its user, its store knows after the power failed: what
it asked lies there byte for byte, what it acknowledged or told is there, and its ratchets are not
older than what they sealed (C-03, D-06). Server and clients are real and in this process; the
store of one of them lies on a `Disk`. Pictures are judged one by one; again and again a loss is
real, and the client goes on from what is left. At the end everybody has heard everything once, and
no key was used twice.
"""

import asyncio
import contextlib
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import apsw
import msgspec

from securechat.client import intents, records
from securechat.client.client import Client
from securechat.client.device import device_of
from securechat.client.errors import ClientError, StoreFailed
from securechat.client.events import Event, Invited, MessageReceived
from securechat.client.groups import Groups
from securechat.client.intents import What
from securechat.client.keystore import load_keys, unlock
from securechat.client.store import ClientStore
from securechat.membership import passwords
from securechat.mls.errors import MLSError
from securechat.protocol.messages import Changing, SendMessage
from tests.faults.camera import LOSSES, Camera, Picture, small_logs
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.disk import faulty_disk, write_files
from tests.faults.generations import Oracle, watching_generations
from tests.faults.ledger import Ledger, settle
from tests.faults.member import cheap
from tests.faults.patient_world import PatientWorld
from tests.scenarios.world import PATIENCE, Person, World, in_one_epoch

EACH: Final = 60
A_LIFE: Final = 12
"""Pictures until a loss is real."""

NAMES: Final = {"alice": {"direct": "@bob", "room": "#team"}, "bob": {"direct": "@alice", "room": "#team"}}
"""What each of the two calls their two conversations."""

ROWS: Final = (
    "SELECT m.id, c.name, m.own, m.sender, m.text, m.state FROM message m"
    " JOIN conversation c ON c.id = m.conversation"
    " WHERE m.id > ? AND (m.mimi_id IS NOT NULL OR m.state <> 'not_shown')"
    " AND (m.own = 0 OR m.hidden = 0) ORDER BY m.id"
)
"""All but notes, which nobody said, and our own receipts, which are formed at any time and may still wait."""

_CHANGING: Final[msgspec.msgpack.Decoder[Changing]] = msgspec.msgpack.Decoder(Changing)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request left for the server."""

    name: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The server was told that a log is stored up to here."""

    group: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class Told:
    """The user was shown a message, or was told that theirs is safe."""

    text: str


Word = Asked | Acknowledged | Told


def world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    """Two people; the disk of one of them forgets."""
    asyncio.run(_world(where, chance, report, at_most))


async def _world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    with watching_generations() as oracle, cheap_passwords(), small_logs(chance):
        people = PatientWorld(where)
        await people.start_server()
        try:
            alice, bob = await people.join("alice", "bob")
            tale = Tale(people, alice, bob, chance, oracle)
            await tale.begin()
            while at_most > 0:
                number = min(at_most, A_LIFE)
                await tale.life(number)
                report.counts[LOSSES] += number
                report.counts["real restarts"] += 1
                at_most -= number
            await tale.end()
        finally:
            await people.close()
        oracle.judge()
        report.counts["messages"] += tale.ledger.counts["said"]
        report.counts["sealed"] += len(oracle.sealed)


class Tale:
    """What alice and bob say to each other while alice's disk fails."""

    def __init__(
        self, people: World, alice: Person, bob: Person, chance: random.Random, oracle: Oracle
    ) -> None:
        self.people = people
        self.alice = alice
        self.bob = bob
        self.chance = chance
        self.oracle = oracle
        self.ledger = Ledger()
        self._seen = {"alice": 0, "bob": 0}

    async def begin(self) -> None:
        """Open both conversations, on a disk that is well."""
        await self.alice.client.create_room("#team")
        await self.alice.client.invite("#team", "bob")
        await self.bob.sees(Invited)
        await self.bob.client.join("#team")
        await self.says(self.alice, "direct")
        assert await self.alice.client.drained(PATIENCE)
        await self.bob.client.caught_up()
        await self.alice.close()

    async def life(self, pictures: int) -> None:
        """Alice lives until her power fails; then only what her disk kept is left."""
        profile = self.alice.home.profile("alice")
        words: list[Word] = []
        key = unlock(profile, self.alice.password)
        with faulty_disk(profile.folder) as disk:
            camera = Camera(disk, self.chance, words, pictures)
            await self.alice.open()
            listen(self.alice.client, words, self.oracle)
            disk.operation = camera
            try:
                async with asyncio.timeout(PATIENCE * 3):
                    await self._talk_until(camera)
            except TimeoutError:
                raise Wrong("the client hangs") from None
            finally:
                await crash(self.alice)
        judge = Judge(self.people.folder / "picture", key, self.oracle, words)
        for picture in camera.pictures:
            judge.picture(picture)
        assert camera.lost is not None
        for left in profile.folder.glob("store.db*"):
            left.unlink()
        write_files(profile.folder, camera.lost.files)

    async def end(self) -> None:
        """Everything is well again: all that was said comes to an end."""
        await self.alice.open()
        for _ in range(2):
            for person in (self.alice, self.bob):
                if not await person.client.drained(PATIENCE):
                    raise Wrong(f"{person.name} cannot send what is queued")
                await person.client.caught_up()
        await settle(self.ledger, self._show, PATIENCE)
        Wrong.if_any(self.ledger.verdict())
        if not await in_one_epoch(self.alice, self.bob):
            raise Wrong("the two are in different epochs")

    async def says(self, person: Person, place: str) -> None:
        """Say the next thing; what was taken in is a promise to the user."""
        other = self.bob.name if person is self.alice else self.alice.name
        text = self.ledger.says(place, person.name, [other])
        await person.client.send(NAMES[person.name][place], text)
        self.ledger.acknowledged(place, person.name, text)

    def _show(self) -> None:
        """Tell the ledger what is new on both screens."""
        for person in (self.alice, self.bob):
            places = {name: place for place, name in NAMES[person.name].items()}
            for row in person.client._engine.store.rows(ROWS, (self._seen[person.name],)):
                number, name, own, sender, text, state = row
                if own and state != "sent":
                    raise Wrong(f"{text} of {person.name} is {state}")
                if not own:
                    self.ledger.shown(places[name], person.name, sender, text)
                self._seen[person.name] = number

    async def _talk_until(self, camera: Camera) -> None:
        while camera.lost is None:
            person, place = self.chance.choice([self.alice, self.bob]), self.chance.choice(["direct", "room"])
            try:
                for _ in range(self.chance.choice([1, 1, 2, 10])):
                    await self.says(person, place)
                if self.chance.random() < 0.2:
                    renew(person.client, NAMES[person.name][place])
                if self.chance.random() < 0.3:
                    await self.alice.client.drained(1)
            except (ClientError, apsw.Error):
                if camera.lost is None:
                    raise
            await asyncio.sleep(self.chance.choice([0, 0, 0.002, 0.01]))


def renew(client: Client, name: str) -> None:
    """Let a client commit fresh keys to a conversation."""
    with client._engine.changes.change() as change:
        record = client._verbs.record(name)
        intents.add_once(change.db, record.id, What.UPDATE)
        change.wake(record.id)


def listen(client: Client, words: list[Word], oracle: Oracle) -> None:
    """Note everything that a client says from now on, before it is said."""
    session, engine = client._engine._session, client._engine
    send, acknowledge, tell = session.send_named, session.acknowledge, engine.tell

    def send_named(name: int, body: bytes) -> "asyncio.Future[object]":
        words.append(Asked(name, body))
        request = _CHANGING.decode(body)
        if isinstance(request, SendMessage):
            oracle.sent(request.message)
        return send(name, body)  # type: ignore[return-value]

    def acknowledged(group: bytes, sequence: int) -> None:
        words.append(Acknowledged(group, sequence))
        acknowledge(group, sequence)

    def told(event: Event) -> None:
        if isinstance(event, MessageReceived):
            words.append(Told(event.message.text))
        tell(event)

    session.send_named = send_named  # type: ignore[method-assign, assignment]
    session.acknowledge = acknowledged  # type: ignore[method-assign]
    engine.tell = told  # type: ignore[method-assign]


async def crash(person: Person) -> None:
    """End a client as a lost process would: nothing is tidied up, nothing is said."""
    client = person.client
    engine, session = client._engine, client._engine._session
    if session._link is not None and session._link._transport is not None:
        session._link._transport.abort()
    await client._served.aclose()
    engine.outbox.offline()
    engine._sync.offline()
    await session.close()
    await engine._tasks.close()
    with contextlib.suppress(StoreFailed):
        engine.store.close()
    client._lock.release()
    if person._watching is not None:
        person._watching.cancel()
    person._client = None


@dataclass
class Judge:
    """Opens pictures of a store and looks for everything that was said before they were taken."""

    folder: Path
    key: bytes
    oracle: Oracle
    words: list[Word]

    def picture(self, picture: Picture) -> None:
        """:raises Wrong: the store does not know what the client has said"""
        write_files(self.folder, picture.files)
        try:
            with ClientStore(self.folder / "store.db", self.key) as store:
                if (said := store.db.pragma("integrity_check")) != "ok":
                    raise Wrong(f"integrity_check: {said}")
                words = self.words[: picture.spoken]
                self._asked(store, [word for word in words if isinstance(word, Asked)])
                self._stored(store, words)
        except (ClientError, MLSError, apsw.Error) as error:
            raise Wrong(f"the store does not open: {error}") from error
        finally:
            shutil.rmtree(self.folder)

    def _asked(self, store: ClientStore, asked: list[Asked]) -> None:
        if not asked:
            return
        last = store.value("SELECT value FROM counter WHERE name = 'request_name'") or 0
        if last < max(word.name for word in asked):
            raise Wrong(f"a request was sent under a name that the store has not given yet: it knows {last}")
        bodies: dict[int, bytes] = dict(store.rows("SELECT name, body FROM request"))
        for word in asked:
            if bodies.get(word.name, word.body) != word.body:
                raise Wrong(f"request {word.name} was sent with other bytes than the store has")
        self._ratchets(store, asked)

    def _ratchets(self, store: ClientStore, asked: list[Asked]) -> None:
        places = self.oracle.places()
        sent = [places.get(body.message) for body in map(_decoded, asked) if isinstance(body, SendMessage)]
        groups = Groups(device_of(load_keys(store)))
        for record in records.every(store.db):
            group = groups.group(store.db, record.id)
            if group is None:
                continue
            for place in sent:
                if place is None or place[0] != group.group_id:
                    continue
                _, epoch, leaf, generation = place
                if epoch > group.epoch:
                    raise Wrong(f"something was sealed in epoch {epoch}, the store is in {group.epoch}")
                if (epoch, leaf) == (group.epoch, group.own_leaf) and generation >= group.own_generation:
                    raise Wrong(f"generation {generation} was sent, the store would give it again")

    def _stored(self, store: ClientStore, words: list[Word]) -> None:
        cursors: dict[bytes, int] = dict(store.rows("SELECT group_id, cursor FROM conversation"))
        texts = {text for (text,) in store.rows("SELECT text FROM message")}
        for word in words:
            match word:
                case Acknowledged(group, sequence):
                    if group and cursors.get(group, 0) < sequence:
                        raise Wrong(f"entry {sequence} was acknowledged and is not stored")
                case Told(text):
                    if text not in texts:
                        raise Wrong(f"{text!r} was shown and is not stored")
                case Asked():
                    pass


def _decoded(word: Asked) -> Changing:
    return _CHANGING.decode(word.body)


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Stretch passwords for nothing, in this process."""
    with mock.patch.object(passwords, "_argon2id", cheap):
        yield


def run(amount: Amount) -> list[Report]:
    return [play("power_client", LOSSES, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=1_000))
