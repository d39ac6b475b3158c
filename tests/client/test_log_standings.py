"""What was shown of a label is held against the distinguished sizes after it, and none is withheld (D-03)."""

import asyncio
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from securechat.client import key_log, log_watch, statements
from securechat.client.change import Changes
from securechat.client.dates import Dates
from securechat.client.errors import RefusedByServer
from securechat.client.log_answers import Caught, Judge
from securechat.client.log_watch import LogWatch
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement, verify_statement
from securechat.mls.codec import encode
from securechat.names import client_uri, user_uri
from securechat.protocol.messages import (
    Answer,
    GetStatements,
    LogSearched,
    LogStanding,
    MonitorLog,
    RequestBody,
    SearchLog,
    Statements,
)
from securechat.transparency.distinguished import prove_standing
from securechat.transparency.heads import offer_head
from tests.client.parts import DOMAIN, NOW, a_device, a_moment, a_store, changes_of
from tests.transparency.world import SERVER, Directory, label_of

OTHER = "mimi://chat.example/u/dave"


class Server:
    """Answers from a directory, in which ``user`` is by the name of ``uri``; ``busy`` refusals come first."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.directory.now = NOW
        self.statements: dict[str, list[bytes]] = {}
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.busy = 0

    def changes(self, user: str) -> None:
        """Somebody signs their next statement."""
        key = self.keys.setdefault(user, new_key())
        made = self.statements.setdefault(user, [])
        uri, before = user_uri(DOMAIN, user), made[-1] if made else None
        devices = () if before is None else verify_statement(before).devices
        one_more = Device(client_uri(DOMAIN, f"{len(made):a>26}").encode(), public_of(new_key()))
        made.append(
            make_statement(key, user=uri, devices=(*devices, one_more), issued_at=NOW, previous=before)
        )
        self.directory.publish(uri, made[-1])

    def grows(self, size: int) -> None:
        """Others change until the log has this size."""
        while self.directory.state.frontier.size < size:
            self.directory.publish(OTHER, b"dave %d" % self.directory.state.frontier.size)

    def takes_back(self, size: int) -> None:
        """The log reaches a size with the prefix tree of an earlier one, and goes on with the true one."""
        true = self.directory.state.prefix_root
        last = self.directory.entries[-1].change
        self.directory.force(
            replace(last, revision=last.revision + 1), root=self.directory.entries[size - 1].prefix_root
        )
        self.directory.force(replace(last, revision=last.revision + 2), root=true)

    async def request(self, body: RequestBody) -> Answer:
        if self.busy:
            self.busy -= 1
            raise RefusedByServer("busy", retry_after=1)
        directory, head = self.directory, self.directory.head()
        match body:
            case SearchLog():
                known = body.size or None
                offer = offer_head(directory.log, head, directory.entries[-1], known)
                answer = directory.answer(user_uri(DOMAIN, body.user), after=body.after, head=head)
                return LogSearched(encode(offer), encode(answer), self.statements[body.user][-1])
            case MonitorLog():
                label, _ = label_of(user_uri(DOMAIN, body.user))
                return LogStanding(encode(prove_standing(directory, head, body.at, label)))
            case GetStatements():
                return Statements(body.user, self.statements[body.user][body.after :], more=False)
            case _:
                raise AssertionError(body)


class Client:
    """Alice's, which looks bob up."""

    def __init__(self, folder: Path) -> None:
        self.server = Server()
        self.changes: Changes = changes_of(a_store(folder))
        self.watch = LogWatch(
            self.changes,
            cast(Session, self.server),
            Tasks(lambda _: None),
            device=a_device("alice"),
            clock=lambda: float(NOW),
            dates=Dates(lambda: float(NOW)),
            looked=lambda _change, _user: None,
        )
        self.watch._pause = lambda _: a_moment()
        self.judge = Judge(SERVER, lambda: NOW)

    async def looks_up(self) -> None:
        assert await self.watch._held_to(lambda: self.watch._look_up(self.judge, "bob"), about="bob")

    async def looks_back(self) -> None:
        """At all that is due."""
        for user in self.watch._due():
            assert await self.watch._held_to(lambda: self.watch._stands(self.judge, "bob"), about=user)

    async def looks_at_itself(self) -> bool:
        return await self.watch._held_to(lambda: self.watch._own(self.judge))

    def told(self) -> list[str]:
        return [each.rule for each in key_log.lies(self.changes.db)]

    def due_at(self) -> int:
        seen = key_log.seen(self.changes.db, "bob")
        assert seen is not None
        return seen.due_at


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


async def shown_just_after(client: Client) -> None:
    """Bob changes after a distinguished size, and is looked at when the log has passed it."""
    server = client.server
    server.changes("bob")
    server.grows(10)
    await client.looks_up()
    server.grows(17)
    server.changes("bob")
    server.grows(20)
    await client.looks_up()
    await client.looks_back()


async def test_d_03_what_comes_just_after_a_distinguished_size_is_due_at_the_next(client: Client) -> None:
    await shown_just_after(client)
    assert client.due_at() == 32

    client.server.grows(33)
    await client.looks_up()
    await client.looks_back()

    assert (client.told(), client.due_at()) == ([], 0)


async def test_d_03_what_is_taken_back_at_that_next_one_is_told_once(client: Client) -> None:
    await shown_just_after(client)
    client.server.grows(31)
    client.server.takes_back(17)
    for _ in range(2):
        await client.looks_up()
        await client.looks_back()

    (kept,) = key_log.lies(client.changes.db)
    assert (kept.rule, kept.about) == ("standing-withdrawn", "bob")


async def test_d_03_what_was_shown_meanwhile_must_stand_too(client: Client) -> None:
    """Within the second in which all this is, no time says what came first."""
    server = client.server
    server.changes("bob")
    server.grows(10)
    await client.looks_up()
    server.changes("bob")
    await client.looks_up()
    server.grows(15)
    server.takes_back(10)
    await client.looks_up()
    await client.looks_back()

    assert client.told() == ["standing-withdrawn"]


async def test_d_03_a_new_device_asks_no_more_of_the_past_than_there_was(client: Client) -> None:
    """Its account has changed after the log had passed a distinguished size."""
    server = client.server
    server.grows(3)
    server.changes("alice")
    server.grows(20)
    server.changes("alice")
    server.grows(40)
    with client.changes.change() as change:
        statements.keep_statement(change.db, "alice", server.statements["alice"][-1])

    assert await client.looks_at_itself()

    assert client.told() == []
    seen = key_log.seen(client.changes.db, "alice")
    assert seen is not None
    assert (key_log.own_at(client.changes.db), seen.reached) == (32, 2)


async def test_d_03_a_server_that_never_has_time_for_our_own_label_is_told_of_until_it_has(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.server.changes("alice")
    client.server.busy = 3
    with client.changes.change() as change:
        statements.keep_statement(change.db, "alice", client.server.statements["alice"][-1])
    assert not await client.looks_at_itself()
    assert client.told() == []
    monkeypatch.setattr(log_watch, "WITHHELD_SECONDS", 0)

    for _ in range(2):
        assert not await client.looks_at_itself()
        assert client.told() == ["withheld"]

    assert await client.looks_at_itself()
    assert client.told() == []


async def test_who_asks_for_more_people_than_a_server_takes_in_an_hour_is_not_lied_to(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WITHHELD_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(log_watch, name, 0)

    async def limited() -> None:
        raise RefusedByServer("limited", retry_after=60)

    for about, told in (("bob", []), ("@bob", ["withheld"])):
        assert not await client.watch._held_to(limited, about=about)
        assert client.told() == told


async def test_d_03_a_server_that_does_not_answer_is_told_of(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = asyncio.Event()
    accuse = LogWatch._accuse

    async def silence(_: RequestBody) -> Answer:
        return await asyncio.Future()

    def noting(watch: LogWatch, caught: Caught, about: str) -> None:
        accuse(watch, caught, about)
        told.set()

    monkeypatch.setattr(log_watch, "WITHHELD_SECONDS", 0)
    monkeypatch.setattr(LogWatch, "_accuse", noting)
    monkeypatch.setattr(client.server, "request", silence)
    looking = asyncio.create_task(client.looks_at_itself())
    async with asyncio.timeout(10):
        await told.wait()
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)

    assert client.told() == ["withheld"]
