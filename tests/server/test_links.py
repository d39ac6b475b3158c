"""New and old devices of an account find each other at the server, for five minutes (D-05)."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from securechat.protocol import messages as m
from securechat.protocol.client_connection import LinksEvent
from securechat.protocol.limits import LINK_SECONDS, LOGIN_SECONDS, MAX_LINK
from securechat.server.app import App
from securechat.server.config import Rate
from securechat.server.links import GRACE_SECONDS, MAX_OPEN
from tests.server.own_devices import linked
from tests.server.peer import Peer, Person, WasRefused, client_id, registered, tried
from tests.server.running import UNLIMITED, running_server

COMMITMENT, KEY, NONCE = b"c" * 32, b"k" * 32, b"n" * 32


def new_device() -> m.NewDevice:
    return m.NewDevice(client_id(), KEY, "laptop", [3], b"a" * 16, KEY, NONCE)


class Clock:
    """The server's, for what ends."""

    def __init__(self, app: App) -> None:
        self.now = 1_000.0
        app._desk.rendezvous._clock = lambda: self.now


@asynccontextmanager
async def by_password(app: App, person: Person) -> AsyncIterator[Peer]:
    """A new device: it knows the password, and is no client."""
    peer = await Peer.connect(app.port)
    try:
        await peer.log_in_with_password(person)
        yield peer
    finally:
        await peer.close()


@dataclass
class Place:
    """A server, alice's device and a new one."""

    app: App
    alice: Person
    old: Peer
    new: Peer


@asynccontextmanager
async def meeting(folder: Path, **options: object) -> AsyncIterator[Place]:
    async with (
        running_server(folder, **options) as app,
        registered(app, "alice") as [(alice, old)],
        by_password(app, alice) as new,
    ):
        yield Place(app, alice, old, new)


async def opened(peer: Peer) -> bytes:
    answer = await peer.ask(m.OpenLink(COMMITMENT))
    assert isinstance(answer, m.LinkStanding)
    return answer.link


async def standing(peer: Peer, link: bytes) -> m.LinkStanding:
    answer = await peer.ask(m.GetLink(link))
    assert isinstance(answer, m.LinkStanding)
    return answer


async def listed(peer: Peer) -> list[m.OpenedLink]:
    answer = await peer.ask(m.GetLinks())
    assert isinstance(answer, m.Links)
    return answer.links


async def told(peer: Peer, times: int) -> None:
    await peer.until(lambda: sum(isinstance(event, LinksEvent) for event in peer.events) >= times)


async def test_d_05_a_request_goes_its_way(tmp_path: Path) -> None:
    async with meeting(tmp_path) as here:
        app, alice, old, new = here.app, here.alice, here.old, here.new
        link = await opened(new)
        await told(old, 1)
        [seen] = await listed(old)
        assert (seen.link, seen.commitment, seen.device) == (link, COMMITMENT, None)
        assert seen.address == "127.0.0.1"

        await old.ask(m.AnswerLink(link, "desk", KEY))
        assert (await standing(new, link)).answers == [m.LinkAnswer(alice.client, "desk", KEY)]

        device = new_device()
        await new.ask(m.RevealLink(link, device))
        await told(old, 2)
        assert [each.device for each in await listed(old)] == [device]

        await old.ask(m.FinishLink(link, b"sealed"))
        done = await standing(new, link)
        assert (done.sealed, done.sealed_by) == (b"sealed", alice.client)
        await new.ask(m.CloseLink(link))
        assert await listed(old) == []
        assert len(app._desk.rendezvous) == 0


async def test_d_05_every_step_may_be_repeated_and_none_taken_back(tmp_path: Path) -> None:
    async with meeting(tmp_path) as here:
        old, new = here.old, here.new
        link, device = await opened(new), new_device()
        assert await tried(new, m.RevealLink(link, device)) == "forbidden", "nobody has answered"
        assert await tried(old, m.FinishLink(link, b"sealed")) == "forbidden", "nothing is revealed"
        for _ in range(2):
            assert await tried(old, m.AnswerLink(link, "desk", KEY)) == "taken"
        assert await tried(old, m.AnswerLink(link, "desk", b"x" * 32)) == "forbidden"
        for _ in range(2):
            assert await tried(new, m.RevealLink(link, device)) == "taken"
        assert await tried(new, m.RevealLink(link, new_device())) == "forbidden"
        for _ in range(2):
            assert await tried(old, m.FinishLink(link, b"sealed")) == "taken"
        assert await tried(old, m.FinishLink(link, b"other")) == "forbidden"


async def test_d_05_nobody_answers_after_the_promise_was_kept(tmp_path: Path) -> None:
    """Who knows what was revealed could choose its answer by it."""
    async with meeting(tmp_path) as here:
        other, _ = await linked(here.alice, here.old)
        late = await Peer.connect(here.app.port)
        await late.log_in(other)
        link = await opened(here.new)
        await here.old.ask(m.AnswerLink(link, "desk", KEY))
        await here.new.ask(m.RevealLink(link, new_device()))
        assert await tried(late, m.AnswerLink(link, "late", KEY)) == "forbidden"
        assert await tried(late, m.FinishLink(link, b"sealed")) == "forbidden"
        await late.close()


async def test_d_05_several_devices_may_answer(tmp_path: Path) -> None:
    async with meeting(tmp_path) as here:
        other, _ = await linked(here.alice, here.old)
        phone = await Peer.connect(here.app.port, m.ACCOUNTS)
        await phone.log_in(other)
        link = await opened(here.new)
        await told(phone, 1)
        await here.old.ask(m.AnswerLink(link, "desk", KEY))
        await phone.ask(m.AnswerLink(link, "phone", b"x" * 32))
        assert [each.name for each in (await standing(here.new, link)).answers] == ["desk", "phone"]
        await phone.close()


async def test_d_05_only_the_account_itself_has_to_do_with_it(tmp_path: Path) -> None:
    async with (
        meeting(tmp_path) as here,
        registered(here.app, "bob") as [(bob, bobs)],
        by_password(here.app, bob) as stranger,
    ):
        link = await opened(here.new)
        await here.old.ask(m.AnswerLink(link, "desk", KEY))
        assert await listed(bobs) == []
        for peer in (bobs, stranger):
            assert await tried(peer, m.GetLink(link)) == "no_link"
            assert await tried(peer, m.CloseLink(link)) == "no_link"
        assert await tried(bobs, m.AnswerLink(link, "bob's", KEY)) == "no_link"
        assert await tried(bobs, m.FinishLink(link, b"sealed")) == "no_link"
        assert await tried(stranger, m.RevealLink(link, new_device())) == "no_link"
        assert not any(isinstance(event, LinksEvent) for event in bobs.events)
        assert len(await listed(here.old)) == 1


async def test_d_05_a_stranger_moves_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, old)]:
        peer = await Peer.connect(app.port)
        with pytest.raises(Exception, match="cannot ask OpenLink"):
            await peer.ask(m.OpenLink(COMMITMENT))
        alice.login_key = Person("alice", alice.domain).login_key
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await peer.log_in_with_password(alice)
        await peer.close()
        assert await listed(old) == []
        assert not any(isinstance(event, LinksEvent) for event in old.events)


async def test_d_05_a_device_that_is_linked_asks_for_no_link(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, old)]:
        assert await tried(old, m.OpenLink(COMMITMENT)) == "forbidden"


async def test_d_05_a_refused_request_is_over_for_everybody(tmp_path: Path) -> None:
    async with meeting(tmp_path) as here:
        old, new = here.old, here.new
        link = await opened(new)
        await old.ask(m.AnswerLink(link, "desk", KEY))
        await new.ask(m.RevealLink(link, new_device()))
        await old.ask(m.CloseLink(link))
        assert (await standing(new, link)).refused
        assert await listed(old) == []
        assert await tried(old, m.FinishLink(link, b"sealed")) == "no_link"


async def test_d_05_requests_die_after_five_minutes(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, old)]:
        clock = Clock(app)
        async with by_password(app, alice) as new:
            link = await opened(new)
            clock.now += LINK_SECONDS - 1
            assert (await standing(new, link)).seconds == 1
            clock.now += 1
            assert await tried(new, m.GetLink(link)) == "no_link"
            assert await tried(old, m.AnswerLink(link, "desk", KEY)) == "no_link"
            assert await listed(old) == []
            assert len(app._desk.rendezvous) == 0


async def test_d_05_few_are_open_at_once_and_few_in_all(tmp_path: Path) -> None:
    rates = {**UNLIMITED, "links": Rate(MAX_OPEN + 1, 1e-6)}
    async with meeting(tmp_path, rates=rates) as here:
        new = here.new
        links = [await opened(new) for _ in range(MAX_OPEN)]
        assert await tried(new, m.OpenLink(COMMITMENT)) == "quota"
        await new.ask(m.CloseLink(links[0]))
        links.append(await opened(new))
        await new.ask(m.CloseLink(links[1]))
        assert await tried(new, m.OpenLink(COMMITMENT)) == "limited"


async def test_a_new_device_waits_longer_than_a_stranger_may_and_not_for_ever(tmp_path: Path) -> None:
    async with meeting(tmp_path) as here:
        app, new = here.app, here.new
        await opened(new)
        loop = asyncio.get_running_loop()
        sessions: list[Any] = list(app._desk.sessions)
        [pump] = [each._pump for each in sessions if each.caller and not each.caller.client]
        await new.ask(m.Ping())
        assert (
            LINK_SECONDS - LOGIN_SECONDS < pump._deadline.when() - loop.time() <= LINK_SECONDS + GRACE_SECONDS
        )


async def test_d_05_nothing_of_a_request_reaches_the_disk(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, old)]:
        marks = [secrets.token_bytes(24) for _ in range(2)]
        async with by_password(app, alice) as new:
            link = await opened(new)
            await old.ask(m.AnswerLink(link, "desk of alice", marks[0].ljust(32, b".")))
            await new.ask(m.RevealLink(link, new_device()))
            await old.ask(m.FinishLink(link, marks[1].ljust(MAX_LINK, b".")))
        stored = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
        for mark in (*marks, b"desk of alice", b"laptop", link, COMMITMENT):
            assert mark not in stored
