"""python -m tests.faults.power_server --count N --minutes M --seed S: power losses of a server.

What it has answered is on the disk, whatever else the disk forgot (C-03, Q-02).
A real server in this process serves bare clients over TLS, and its database lies on a `Disk`. At
random moments of SQLite's work a picture is taken of what a power loss would leave; each picture is
opened as a server would at its start, and must hold everything that had been answered by then. Each
world ends with a loss that is real: the server fails there and then, starts anew on what is left,
and its clients go on where they were.
"""

import asyncio
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

import apsw
from msgspec.msgpack import Decoder

from securechat.mls.examining import ExaminedCommit
from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.limits import ANSWERS_KEPT
from securechat.server.errors import StoreFailed
from securechat.server.groups import Groups
from securechat.server.named import NamedJob
from securechat.server.store.sqlite import open_for_reading, prepare_database
from tests.faults.camera import LOSSES, Camera, Picture, small_logs
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.disk import faulty_disk, well, write_files
from tests.server.peer import Peer, Person, WasRefused, commit_request, open_room, registered
from tests.server.running import UNLIMITED, running_server

PATIENCE: Final = 120
AT_ONCE: Final = 24
"""Messages that a client has under way at most."""

_ANSWER: Final[Decoder[m.Answer]] = Decoder(m.Answer)

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Promise:
    """A server has answered a client's request."""

    client: int
    name: int
    answer: bytes


@contextmanager
def promises_noted() -> Iterator[list[Promise]]:
    """Every answer to a request with a name, noted before it is handed on."""
    given: list[Promise] = []
    done = NamedJob.done

    def noted(job: NamedJob) -> None:
        if job._refused is None:
            given.append(Promise(job._caller.client, job._requested.name, job._answer))
        done(job)

    with mock.patch.object(NamedJob, "done", noted):
        yield given


def world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    """One server: pictures of its disk, and at the end a real loss."""
    asyncio.run(_world(where, chance, report, at_most))


async def _world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    home = where / "server"
    home.mkdir(mode=0o700)
    with promises_noted() as promises, small_logs(chance):
        actors = await _begin(home)
        with faulty_disk(home) as disk:
            camera = Camera(disk, chance, promises, at_most)
            disk.operation = camera
            await _live(home, actors, chance, camera)
            disk.operation = well
            log = rows_of(home / "data")
        judge = Judge(where, promises, log)
        for picture in camera.pictures:
            judge.picture(picture)
            report.counts[LOSSES] += 1
        await _go_on(where, camera, actors, promises)
    report.counts["messages promised"] += judge.messages
    report.counts["real restarts"] += 1


@dataclass
class Actor:
    """Somebody who asks; remembers what was asked and not answered."""

    person: Person
    group: Group | None = None
    asked: dict[int, m.Changing] = field(default_factory=dict)
    answered: dict[int, m.Answer] = field(default_factory=dict)


async def _begin(home: Path) -> list[Actor]:
    """A server with three people in a room; nothing can go wrong yet."""
    async with (
        running_server(home, rates=UNLIMITED) as app,
        registered(app, "alice", "bob", "carol") as people,
    ):
        groups = await open_room(*people)
    return [Actor(person, group) for (person, _), group in zip(people, groups, strict=True)]


async def _live(home: Path, actors: list[Actor], chance: random.Random, camera: Camera) -> None:
    """Talk until the power is gone."""
    async with running_server(home, rates=UNLIMITED) as app:
        peers = [await Peer.connect(app.port) for _ in actors]
        talking = asyncio.ensure_future(_go_about(actors, peers, chance))
        try:
            async with asyncio.timeout(PATIENCE):
                await app.stopped()
        except StoreFailed:
            if camera.lost is None:
                raise Wrong("the database failed before the power did") from None
        except TimeoutError:
            if not talking.done():
                raise Wrong("the server hangs") from None
            raise Wrong("nothing failed, and nobody talks") from talking.exception()
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
    for peer in peers:
        await peer.close()


async def _go_about(actors: list[Actor], peers: list[Peer], chance: random.Random) -> None:
    for actor, peer in zip(actors, peers, strict=True):
        await peer.log_in(actor.person)
    while True:
        await _talk(actors, peers, chance)
        await _renew(actors, peers)


async def _talk(actors: list[Actor], peers: list[Peer], chance: random.Random) -> None:
    """Everybody says some things at once."""

    async def says(actor: Actor, peer: Peer) -> None:
        assert actor.group is not None
        group = actor.group
        for _ in range(chance.randint(1, 4)):
            asked = []
            for _ in range(chance.randint(1, AT_ONCE)):
                text = chance.randbytes(chance.choice([10, 100, 1_000]))
                body = m.SendMessage(group.group_id, group.epoch, group.encrypt(text))
                asked.append((peer.send(body), peer.name))
                actor.asked[peer.name] = body
            for request, name in asked:
                actor.answered[name] = await peer.answer(request)

    await asyncio.gather(*(says(*each) for each in zip(actors, peers, strict=True)))


async def _renew(actors: list[Actor], peers: list[Peer]) -> None:
    """The first commits, the others follow."""
    first, group = actors[0], actors[0].group
    assert group is not None
    status = await peers[0].ask(m.Sync())
    assert isinstance(status, m.Synced)
    staged = group.stage_commit(CommitPlan(update=True))
    body = commit_request(group, staged, status.groups[0].handshake_head)
    request = peers[0].send(body)
    first.asked[peers[0].name] = body
    first.answered[peers[0].name] = await peers[0].answer(request)
    group.merge(staged)
    for actor in actors[1:]:
        assert actor.group is not None
        examined = actor.group.examine(staged.message)
        assert isinstance(examined, ExaminedCommit)
        actor.group.merge(actor.group.process(examined))


async def _go_on(where: Path, camera: Camera, actors: list[Actor], promises: list[Promise]) -> None:
    """Start on what the real loss left; everything asked again is answered as it was."""
    if camera.lost is None:
        raise Wrong("the power did not fail")
    home = where / "after"
    write_files(home, camera.lost.files)
    kept = {(each.client, each.name): each.answer for each in promises[: camera.lost.spoken]}
    async with running_server(home, rates=UNLIMITED) as app:
        clients = clients_of(home / "data")
        for actor in actors:
            peer = await Peer.connect(app.port)
            await peer.log_in(actor.person)
            for name, body in sorted(actor.asked.items()):
                await _ask_again(peer, name, body, kept.get((clients[actor.person.client], name)))
            await peer.close()


async def _ask_again(peer: Peer, name: int, body: m.Changing, promised: bytes | None) -> None:
    try:
        answer: m.Answer | None = await peer.ask(body, name)
    except WasRefused as no:
        if promised is not None:
            raise Wrong(
                f"request {name} was answered before the loss and is refused after it: {no}"
            ) from None
        return
    if promised is not None and _ANSWER.decode(promised) != answer:
        raise Wrong(f"request {name} is answered differently after the loss: {answer}")


@dataclass
class Judge:
    """Opens pictures and compares them with what was promised, and with the log as it went on."""

    where: Path
    promises: list[Promise]
    log: list[Row]
    messages: int = 0

    def __post_init__(self) -> None:
        self.messages = sum(isinstance(_ANSWER.decode(each.answer), m.Appended) for each in self.promises)

    def picture(self, picture: Picture) -> None:
        """:raises Wrong: something that was answered is not there, or something is not as it was"""
        folder = self.where / "picture"
        write_files(folder, picture.files)
        try:
            self._judge(folder / "data", self.promises[: picture.spoken])
        except (StoreFailed, apsw.Error) as error:
            raise Wrong(f"lost: the database cannot be read: {error}") from error
        finally:
            shutil.rmtree(folder)

    def _judge(self, data: Path, promises: list[Promise]) -> None:
        db = open_for_reading(prepare_database(data))
        try:
            check_whole(db)
            rows = db.execute(ROWS).fetchall()
            if rows != self.log[: len(rows)]:
                raise Wrong("an entry is not the one that was written")
            marks: dict[int, int] = dict(_pairs(db, "SELECT id, high_water FROM client"))
            answers = {
                (client, name): body
                for client, name, body in db.execute("SELECT client, name, body FROM answer")
            }
            for promise in promises:
                self._kept(promise, marks, answers, len(rows))
        finally:
            db.close()

    def _kept(
        self, promise: Promise, marks: dict[int, int], answers: dict[tuple[int, int], bytes], head: int
    ) -> None:
        client, name = promise.client, promise.name
        if marks.get(client, 0) < name:
            raise Wrong(
                f"lost: request {name} of client {client} was answered, the disk knows {marks.get(client)}"
            )
        if name > marks[client] - ANSWERS_KEPT and answers.get((client, name)) != promise.answer:
            raise Wrong(f"the answer to request {name} of client {client} is another")
        answer = _ANSWER.decode(promise.answer)
        if isinstance(answer, m.Appended) and answer.sequence > head:
            raise Wrong(f"lost: entry {answer.sequence} was answered, the log ends at {head}")


ROWS: Final = "SELECT sequence, kind, epoch, client, body FROM entry ORDER BY conversation, sequence"


def rows_of(data: Path) -> list[Row]:
    """The whole log, as it came to be in the end."""
    db = apsw.Connection(str(data / "server.db"))
    try:
        return db.execute(ROWS).fetchall()
    finally:
        db.close()


def _pairs(db: apsw.Connection, query: str) -> list[Any]:
    return db.execute(query).fetchall()


def clients_of(data: Path) -> dict[str, int]:
    db = apsw.Connection(str(data / "server.db"))
    try:
        return dict(_pairs(db, "SELECT name, id FROM client"))
    finally:
        db.close()


def check_whole(db: apsw.Connection) -> None:
    """:raises Wrong: the database is not whole, or its tables contradict each other"""
    if (said := db.pragma("integrity_check")) != "ok":
        raise Wrong(f"integrity_check: {said}")
    if db.execute("PRAGMA foreign_key_check").fetchall():
        raise Wrong("a row refers to one that is not there")
    logs = _pairs(db, "SELECT id, epoch, head, expired FROM conversation")
    for conversation, epoch, head, expired in logs:  # what everybody has read goes, even in a short world
        count, last = db.execute(
            "SELECT count(*), coalesce(max(sequence), ?2) FROM entry "
            "WHERE conversation = ?1 AND sequence > ?2",
            (conversation, expired),
        ).fetchall()[0]
        if (count, last) != (head - expired, head):
            raise Wrong(f"a log of {head} entries has {count} after {expired}, the last is {last}")
        group = Groups().load(db, conversation)
        if group.context.epoch != epoch or group.tree.tree_hash() != group.context.tree_hash:
            raise Wrong("the public state is not that of the epoch")


EACH: Final = 40
"""Losses in one world: the pictures taken of it, the last of them a real one."""


def run(amount: Amount) -> list[Report]:
    return [play("power_server", LOSSES, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=1_000))
