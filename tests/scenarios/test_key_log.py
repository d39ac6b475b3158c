"""A directory that can't lie: what real clients say of a server that does (D-03, N-03)."""

import shutil

import msgspec
import pytest

from securechat.client import key_log, log_watch
from securechat.client.errors import UntrustedKeys
from securechat.client.events import Held, Notice
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.names import client_uri, user_uri
from securechat.protocol.messages import Answer, LogSearched, RequestBody, SearchLog
from securechat.server import desk
from securechat.server.app import App
from securechat.server.backup import back_up
from securechat.server.session import Session
from securechat.transparency.evidence import judge_evidence, read_evidence
from tests.scenarios.evil import LyingDirectory
from tests.scenarios.lying_log import LyingLog
from tests.scenarios.test_evil_server import device_of
from tests.scenarios.world import PATIENCE, Person, World


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_watch, "LOOK_SECONDS", 0.05)


def running(world: World) -> App:
    assert world.app is not None
    return world.app


def statement_by_the_server(world: World, user: str) -> bytes:
    """What a server can sign in somebody's name: another account, with another key."""
    domain = running(world).identity.domain
    device = Device(client_uri(domain, "x" * 26).encode(), public_of(new_key()))
    return make_statement(new_key(), user=user_uri(domain, user), devices=(device,), issued_at=1)


async def looked_up(person: Person, *users: str) -> None:
    """Wait until the key log has told who somebody is."""
    db = person.client._engine.store.db
    while not all(key_log.seen(db, user) for user in users) or key_log.wanted(db):
        await person.client._engine.stirred()


async def caught(person: Person, code: str) -> str:
    told = await person.sees(Notice, lambda event: event.code == code)
    (kept,) = [each for each in person.client.why() if not each.conversation]
    assert [each.text for each in kept.troubles if each.code == code] == [told.text]
    return told.text


def convicts(person: Person) -> str:
    """What the evidence that somebody has proves to anybody, by the rule's name."""
    (lie,) = [each for each in key_log.lies(person.client._engine.store.db) if each.evidence]
    verdict = judge_evidence(read_evidence(lie.evidence), person.client._engine.keys.server_key)
    assert verdict is not None
    return verdict.rule


async def test_d_03_who_is_written_to_is_looked_up_first(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    await looked_up(alice, "alice", "bob")
    await looked_up(bob, "alice", "bob")
    assert key_log.lies(alice.client._engine.store.db) == []


async def test_d_03_keys_that_the_log_does_not_name_are_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at first sight, when there is no pin yet."""
    alice, bob = await world.join("alice", "bob")
    lying = LyingDirectory(monkeypatch)
    lying.instead["bob"] = [device_of(bob)]
    message = await alice.client.send("@bob", "for bob alone")
    with pytest.raises(UntrustedKeys):
        await alice.client.acknowledged(message.local_id, PATIENCE)
    held = await alice.sees(Held)
    assert (held.conversation, held.code) == ("@bob", "untrusted_keys")


async def test_d_03_a_statement_in_ones_own_name_is_found_by_its_owner(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody new is believed then; who was known still is."""
    alice, bob, _ = await world.join("alice", "bob", "carol")
    await alice.says("@bob", "before")
    await looked_up(alice, "alice", "bob")
    await alice.close()
    lying = LyingLog(monkeypatch, running(world), world.folder)
    lying.publish("alice", statement_by_the_server(world, "alice"))
    lying.users.add("alice")
    await alice.open()

    assert "not of your making" in await caught(alice, "key_log_stranger")
    await alice.says("@bob", "after")
    await bob.hears("after")
    message = await alice.client.send("@carol", "to somebody new")
    with pytest.raises(UntrustedKeys):
        await alice.client.acknowledged(message.local_id, PATIENCE)
    lying.close()


async def test_d_03_a_false_statement_that_was_put_back_is_found_by_its_owner(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two logins: whoever looked in between was shown the server's key."""
    (alice,) = await world.join("alice")
    await looked_up(alice, "alice")
    await alice.close()
    lying = LyingLog(monkeypatch, running(world), world.folder)
    true = lying.statement_of("alice")
    lying.publish("alice", statement_by_the_server(world, "alice"))
    lying.publish("alice", true)
    lying.users.add("alice")
    await alice.open()

    assert "entry 2 of your account is not of your making" in await caught(alice, "key_log_stranger")
    lying.close()


async def test_a_log_that_goes_back_convicts_the_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-03: so a revocation that was seen is not withheld later."""
    (alice,) = await world.join("alice")
    lying = LyingLog(monkeypatch, running(world), world.folder)
    await world.join("bob")
    await alice.says("@bob", "hello")
    await looked_up(alice, "alice", "bob")
    await alice.close()
    later = running(world)._now() + 7200
    monkeypatch.setattr(running(world), "_now", lambda: later)
    lying.users.add("alice")
    await alice.open()

    await caught(alice, "key_log_lie")
    assert convicts(alice) == "went-back"
    lying.close()


@pytest.mark.parametrize("field", ["offer", "answer", "statement"])
async def test_an_answer_that_proves_nothing_accuses_nobody_and_stops_what_is_new(
    world: World, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """D-03: it passes once the server proves what it says."""
    alice, bob = await world.join("alice", "bob")
    await looked_up(alice, "alice")
    twisted = True
    honest = Session._find_answer

    async def twist(session: Session, body: RequestBody) -> Answer:
        answer = await honest(session, body)
        if twisted and isinstance(answer, LogSearched) and isinstance(body, SearchLog) and body.user == "bob":
            data: bytes = getattr(answer, field)
            return msgspec.structs.replace(answer, **{field: data[:-1] + bytes([data[-1] ^ 1])})
        return answer

    monkeypatch.setattr(Session, "_find_answer", twist)
    message = await alice.client.send("@bob", "hello")
    with pytest.raises(UntrustedKeys):
        await alice.client.acknowledged(message.local_id, PATIENCE)
    await caught(alice, "key_log_refused")
    assert all(not each.evidence for each in key_log.lies(alice.client._engine.store.db))
    twisted = False
    while key_log.lies(alice.client._engine.store.db):
        await alice.client._engine.stirred()
    await alice.client.send("@bob", "again")
    await bob.hears("hello")


async def test_a_server_that_hides_its_log_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-03."""
    (alice,) = await world.join("alice")
    await looked_up(alice, "alice")
    await alice.close()
    monkeypatch.setattr(desk, "KEY_LOG", "none")
    await alice.open()
    assert "keeps none" in await caught(alice, "key_log_refused")


async def test_d_03_a_log_that_is_hidden_from_one_is_told_of_by_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And from then on nobody new is believed, also after the next login."""
    alice, bob, carol = [await world.register(name) for name in ("alice", "bob", "carol")]
    await bob.open()
    await carol.open()
    await looked_up(bob, "bob")
    monkeypatch.setattr(desk, "KEY_LOG", "none")
    await alice.open()
    await bob.says("@alice", "hello")
    await alice.hears("hello")

    assert "has shown bob one" in await caught(alice, "key_log_refused")
    for _ in range(2):
        message = await alice.client.send("@carol", "to somebody new")
        with pytest.raises(UntrustedKeys):
            await alice.client.acknowledged(message.local_id, PATIENCE)
        await alice.close()
        await alice.open()


async def test_a_restart_of_both_is_nothing_to_tell(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await looked_up(alice, "alice", "bob")
    await alice.close()
    await world.stop_server()
    await world.start_server()
    await world.join("carol")
    await alice.open()
    await alice.says("@carol", "hello")
    await looked_up(alice, "alice", "bob", "carol")
    codes = {event.code for event in alice.events if isinstance(event, Notice)}
    assert not {code for code in codes if code.startswith("key_log")}
    assert bob.name == "bob"


async def test_n_03_a_restored_server_begins_another_log_and_everybody_is_told_once(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    copy = world.folder / "copy.db"
    back_up(running(world).config.data / "server.db", copy)
    await world.join("carol")
    await alice.says("@carol", "hello")
    await looked_up(alice, "alice", "bob", "carol")
    for person in list(world.people.values()):
        await person.close()
    await world.stop_server()
    shutil.copy(copy, world.folder / "server" / "server.db")
    await world.start_server()
    for _ in range(2):
        await alice.open()
        await bob.open()
        await alice.says("@bob", "after")
        await looked_up(alice, "alice", "bob")
        await alice.close()
        await bob.close()
    for person in (alice, bob):
        begun = [
            event for event in person.events if isinstance(event, Notice) and event.code == "key_log_begun"
        ]
        assert len(begun) == 1
        assert not [event for event in person.events if isinstance(event, Notice) and "lie" in event.code]


@pytest.mark.parametrize(
    ("later", "rule", "bob_is_told"), [(1, "equivocation", "key_log_lie"), (3, "fork", "key_log_refused")]
)
async def test_d_03_two_logs_are_found_by_the_first_two_who_talk(
    world: World, monkeypatch: pytest.MonkeyPatch, later: int, rule: str, bob_is_told: str
) -> None:
    """Each was shown a log of its own since before they met.

    Who has the larger one gets evidence; who has the smaller one gets no proof that it grew into that.
    """
    app = running(world)
    moment = app._now()  # else, with a second in between, the smaller log may be signed after the larger one
    monkeypatch.setattr(app, "_now", lambda: moment)
    monkeypatch.setattr(app._desk.key_log, "_now", lambda: moment)
    people = [await world.register(name) for name in ("alice", "bob", "carol")]
    lying = LyingLog(monkeypatch, running(world), world.folder)
    lying.publish("carol", statement_by_the_server(world, "carol"))
    lying.users.add("bob")
    for number in range(later):
        await world.register(f"other{number}")
    alice, bob, _ = people
    for person in (alice, bob):
        await person.open()
        await looked_up(person, person.name)

    await alice.says("@bob", "hello")
    await bob.hears("hello")
    await caught(bob, bob_is_told)
    await bob.says("@alice", "your server lies to one of us")
    await alice.hears("your server lies to one of us")
    await caught(alice, "key_log_lie")
    assert convicts(alice) == rule
    lying.close()


async def test_who_was_shown_one_log_agrees(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await looked_up(alice, "alice")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    await bob.says("@alice", "hello")
    await alice.hears("hello")
    for person, other in ((alice, "bob"), (bob, "alice")):
        db = person.client._engine.store.db
        while [(user, verdict) for user, _, _, verdict in key_log.heard(db, compared=True)] != [
            (other, "agree")
        ]:
            await person.client._engine.stirred()
