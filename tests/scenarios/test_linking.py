"""A new device comes to an account through an old one; nobody else does (D-05)."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from securechat.client import approving, new_profile, statements
from securechat.client.client import Client
from securechat.client.config import Home
from securechat.client.device_name import own_name
from securechat.client.errors import (
    ClientError,
    Disconnected,
    LinkExpired,
    LinkOver,
    LinkUntrusted,
    RefusedByServer,
    WrongPassword,
)
from securechat.client.events import Invited, LinkOffer, Notice
from securechat.client.keystore import Keys, seal_account_key
from securechat.client.letting_in import Opened
from securechat.client.linking import Compare, Linked, Progress, Waiting, link_device
from securechat.membership.account import next_statement
from securechat.membership.invite import new_invite
from securechat.membership.linking import (
    LIFETIME,
    CodeRefused,
    LinkPayload,
    Meeting,
    Newcomer,
    OldSide,
    answer_link,
    ask_to_link,
)
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.names import client_uri, user_uri
from securechat.protocol import messages as m
from tests.scenarios.world import PATIENCE, Person, World


@dataclass
class NewDevice:
    """A machine that asks to be linked."""

    person: Person
    home: Home
    asking: "asyncio.Task[Linked]"
    told: "asyncio.Queue[Progress]" = field(default_factory=asyncio.Queue)
    clock: float = 0.0

    async def code(self) -> str:
        """Wait for the one code that it shows."""
        ((_, code),) = await self.codes()
        return code

    async def codes(self) -> tuple[tuple[str, str], ...]:
        """Wait for the codes that it shows, each with the name of a device."""
        while True:
            async with asyncio.timeout(PATIENCE):
                said = await self.told.get()
            if isinstance(said, Compare):
                return said.codes


async def a_moment(_seconds: float) -> None:
    await asyncio.sleep(0.01)


@asynccontextmanager
async def asking(person: Person, *, password: str = "", name: str = "laptop") -> AsyncIterator[NewDevice]:
    home = Home(person.world.folder / f"home-{person.name}-{name}")
    told: asyncio.Queue[Progress] = asyncio.Queue()
    device: NewDevice

    async def ask() -> Linked:
        return await link_device(
            home,
            person.address,
            person.name,
            password or person.password,
            person.world.trust,
            name=name,
            tell=told.put_nowait,
            pause=a_moment,
            clock=lambda: device.clock,
        )

    device = NewDevice(person, home, asyncio.create_task(ask()), told)
    try:
        yield device
    finally:
        device.asking.cancel()
        await asyncio.gather(device.asking, return_exceptions=True)


async def approved(person: Person, code: str) -> LinkOffer:
    offer = await person.client.link_offer(code)
    return await person.client.approve_link(offer.number, person.password)


@asynccontextmanager
async def opened(person: Person, home: Home) -> AsyncIterator[Client]:
    client = await Client.open(
        home, person.name, person.password, trust=person.world.trust, server=person.address
    )
    try:
        yield client
    finally:
        await client.close()


def told_of_devices(person: Person) -> list[str]:
    """What a person was told of new devices."""
    notices = [event for event in person.events if isinstance(event, Notice)]
    return [event.text for event in notices if event.code == "device_added"]


def devices_of(person: Person) -> int:
    """How many the account has, as the person's own device knows."""
    statement = statements.newest(person.client._engine.store.db, person.name)
    assert statement is not None
    return len(statement.devices)


async def nothing_came_of(device: NewDevice, error: type[BaseException]) -> None:
    """The request ended like this, and no trace of an account is on that machine."""
    with pytest.raises(error):
        await asyncio.wait_for(device.asking, PATIENCE)
    assert not device.home.profile(device.person.name).folder.exists()


async def test_d_05_a_new_device_is_let_in_by_a_code_and_the_password(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        asked = await alice.sees(Notice, lambda event: event.code == "link_asked")
        assert "laptop" in asked.text
        assert "127.0.0.1" in asked.text
        offer = await alice.client.link_offer(code)
        assert (offer.name, offer.address) == ("laptop", "127.0.0.1")
        await alice.client.approve_link(offer.number, alice.password)
        linked = await device.asking
    assert (linked.user, linked.name) == ("alice", "laptop")
    told = await alice.sees(Notice, lambda event: event.code == "device_added")
    assert "laptop" in told.text
    assert "127.0.0.1" in told.text
    assert f"securechat devices alice revoke {offer.device[:8]}" in told.text
    assert devices_of(alice) == 2
    async with opened(alice, device.home) as client:
        await client.caught_up()
        mine, theirs = client._engine.keys, alice.client._engine.keys
        assert mine.client == offer.device
        assert (mine.account_key, mine.account_secret) == (theirs.account_key, theirs.account_secret)


async def test_d_05_it_is_in_every_conversation_by_itself_and_all_devices_are_told(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await bob.says("@alice", "before")
    await alice.hears("before")
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    laptop = Person(world, "alice")
    laptop.home = device.home
    world.people["laptop"] = laptop
    await laptop.open()
    async with asyncio.timeout(PATIENCE):
        while {each.name for each in laptop.client.conversations()} != {"#team", "@bob"}:
            await laptop.client.changed()
    for name in ("@alice", "#team"):
        await bob.says(name, f"after, in {name}")
        await laptop.hears(f"after, in {name}")
    async with asking(alice, name="tablet") as tablet:
        name, code = (await tablet.codes())[0]
        await approved({own_name(): alice, "laptop": laptop}[name], code)
        await tablet.asking
    await alice.sees(Notice, lambda _: len(told_of_devices(alice)) == 2)
    await laptop.sees(Notice, lambda _: len(told_of_devices(laptop)) == 1)


async def test_d_05_it_waits_until_a_device_is_there(world: World) -> None:
    alice = await world.register("alice")
    async with asking(alice) as device:
        async with asyncio.timeout(PATIENCE):
            assert isinstance(await device.told.get(), Waiting)
        await alice.open()
        await approved(alice, await device.code())
        await device.asking


async def test_d_05_who_is_sent_away_while_the_password_is_stretched_is_not_let_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [alice] = await world.join("alice")
    loop, stretched = asyncio.get_running_loop(), approving._opened
    async with asking(alice) as device:
        offer = await alice.client.link_offer(await device.code())

        def meanwhile(keys: Keys, password: str) -> Opened:
            asyncio.run_coroutine_threadsafe(alice.client.decline_link(offer.number), loop).result()
            return stretched(keys, password)

        monkeypatch.setattr(approving, "_opened", meanwhile)
        with pytest.raises(LinkOver):
            await alice.client.approve_link(offer.number, alice.password)
        await nothing_came_of(device, LinkOver)
    assert devices_of(alice) == 1


@pytest.mark.parametrize("told", [True, False])
async def test_who_is_let_in_stays_so_whatever_becomes_of_its_name(
    world: World, monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    """That the server shows other names than were stored there is told (D-07); that it is gone is not."""
    [alice] = await world.join("alice")
    engine, ask = alice.client._engine, alice.client._engine.ask

    async def nameless(body: m.RequestBody) -> m.Answer:
        if isinstance(body, m.GetBox) and body.box == "devices":
            if told:
                return m.Box(1, bytes(80))
            raise Disconnected("the line broke")
        return await ask(body)

    async with asking(alice) as device:
        code = await device.code()
        monkeypatch.setattr(engine.secrets, "ask", nameless)
        await approved(alice, code)
        await device.asking
    assert devices_of(alice) == 2
    if told:
        await alice.sees(Notice, lambda event: event.code == "names_refused")
    else:
        notices = [event.code for event in alice.events if isinstance(event, Notice)]
        assert "names_refused" not in notices


async def test_d_05_a_wrong_code_ends_the_request_for_good(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        wrong = ("0" if code[0] != "0" else "1") + code[1:]
        with pytest.raises(LinkOver, match="not the code"):
            await alice.client.link_offer(wrong)
        await nothing_came_of(device, LinkOver)
        await alice.close()
        await alice.open()
        for typed in (code, wrong):
            with pytest.raises(LinkOver):
                await alice.client.link_offer(typed)
    assert devices_of(alice) == 1


async def test_d_05_what_is_no_code_of_a_device_costs_no_try(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        for typed in (new_invite().token, "#team", "@bob", code[:-1], "SECURECHAT-VERIFY-1:ABCD"):
            with pytest.raises(CodeRefused):
                await alice.client.link_offer(typed)
        await approved(alice, code)
        await device.asking


async def test_d_05_the_password_is_asked_for_again(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        offer = await alice.client.link_offer(await device.code())
        with pytest.raises(WrongPassword):
            await alice.client.approve_link(offer.number, "this is not what alice has")
        assert devices_of(alice) == 1
        await alice.client.approve_link(offer.number, alice.password)
        await device.asking


async def test_d_05_nobody_asks_without_the_password(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice, password="not the password of alice") as device:
        await nothing_came_of(device, RefusedByServer)
    assert not [event for event in alice.events if isinstance(event, Notice)]


async def test_d_05_who_declines_ends_it(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        offer = await alice.client.link_offer(await device.code())
        await alice.client.decline_link(offer.number)
        await nothing_came_of(device, LinkOver)
        with pytest.raises(LinkOver):
            await alice.client.approve_link(offer.number, alice.password)
    assert devices_of(alice) == 1


async def test_d_05_a_code_that_is_older_than_five_minutes_opens_nothing(world: World) -> None:
    """By the clock of the device that lets in: a server that keeps the request alive keeps nothing."""
    alice = await world.register("alice")
    later = 0.0
    alice.clock = lambda: time.time() + later
    await alice.open()
    async with asking(alice) as device, asking(alice, name="tablet") as other:
        code = await device.code()
        offer = await alice.client.link_offer(await other.code())
        later = LIFETIME + 2.0
        with pytest.raises(LinkOver):
            await alice.client.link_offer(code)
        with pytest.raises(LinkOver):
            await alice.client.approve_link(offer.number, alice.password)
        device.clock = other.clock = LIFETIME + 2.0
        await nothing_came_of(device, LinkExpired)
        await nothing_came_of(other, LinkExpired)
    assert devices_of(alice) == 1


async def test_d_05_a_code_is_good_once_and_for_one_request(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        await approved(alice, code)
        await device.asking
    with pytest.raises(LinkOver):
        await alice.client.link_offer(code)
    async with asking(alice, name="tablet") as other:
        await other.code()
        with pytest.raises(LinkOver, match="not the code"):
            await alice.client.link_offer(code)
        await nothing_came_of(other, LinkOver)
    assert devices_of(alice) == 2


# --- a server that lies -------------------------------------------------------------------------------------


class Mallory:
    """Between a new device and an old one: to each of them the other one."""

    def __init__(self, world: World, person: Person) -> None:
        assert world.app is not None
        self.rendezvous = world.app._desk.rendezvous
        self.domain, self.user = world.app.identity.domain, person.name
        self.device = ask_to_link(
            domain=self.domain,
            user=self.user,
            client="m" * 26,
            device_key=public_of(new_key()),
            name="laptop",
            suites=PRODUCT_SUITES,
            salt=b"s" * 16,
        )
        self.side: OldSide | None = None

    def lie(self, kind: type[m.RequestBody], change: Any) -> None:
        """Answer a request with something else than what is so."""
        honest = self.rendezvous.answers[kind]

        async def lying(caller: Any, body: Any, line: Any) -> Any:
            return change(await honest(caller, body, line))

        self.rendezvous.answers[kind] = lying

    def as_new_device(self, links: m.Links) -> m.Links:
        """What the old device is shown: a promise of Mallory's, kept."""
        said = self.device.newcomer
        shown = m.NewDevice(
            said.client.decode(),
            said.device_key,
            "laptop",
            list(said.suites),
            said.salt,
            said.key,
            said.nonce,
        )
        return m.Links(
            [replace(each, commitment=said.commitment, device=each.device and shown) for each in links.links]
        )

    def as_old_device(self, standing: m.LinkStanding) -> m.LinkStanding:
        """What the new device is shown: an answer of Mallory's, under the name of the old one."""
        answers = []
        for each in standing.answers:
            self.side = self.side or answer_link(
                domain=self.domain, user=self.user, commitment=bytes(32), client=each.client, name=each.name
            )
            answers.append(replace(each, key=self.side.sibling.key))
        return replace(standing, answers=answers)


async def test_d_05_who_relays_with_keys_of_its_own_is_found_by_the_code(world: World) -> None:
    [alice] = await world.join("alice")
    mallory = Mallory(world, alice)
    mallory.lie(m.GetLinks, mallory.as_new_device)
    mallory.lie(m.GetLink, mallory.as_old_device)
    async with asking(alice) as device:
        code = await device.code()
        await alice.sees(Notice, lambda event: event.code == "link_asked")
        with pytest.raises(LinkOver, match="not the code"):
            await alice.client.link_offer(code)
        await nothing_came_of(device, LinkOver)
    assert devices_of(alice) == 1


async def test_d_05_who_breaks_the_promise_is_refused_unasked(world: World) -> None:
    [alice] = await world.join("alice")
    mallory = Mallory(world, alice)

    def other_key(links: m.Links) -> m.Links:
        key = public_of(new_key())
        return m.Links(
            [
                replace(each, device=each.device and replace(each.device, device_key=key))
                for each in links.links
            ]
        )

    mallory.lie(m.GetLinks, other_key)
    async with asking(alice) as device:
        await alice.sees(Notice, lambda event: event.code == "link_refused")
        await nothing_came_of(device, LinkOver)
    assert devices_of(alice) == 1


def forged_payload(side: OldSide, request: Any) -> bytes:
    """What a server without the password could leave for a new device: an account key that it made."""
    said = request.device
    newcomer = Newcomer(
        side.domain.encode(),
        side.user.encode(),
        said.client.encode(),
        said.device_key,
        said.name.encode(),
        tuple(said.suites),
        said.salt,
        said.key,
        said.nonce,
    )
    account_key = new_key()
    device = Device(client_uri(side.domain, "o" * 26).encode(), b"d" * 32)
    first = make_statement(account_key, user=user_uri(side.domain, side.user), devices=(device,), issued_at=1)
    made = next_statement(
        account_key, previous=first, issued_at=2, add=[(said.client, said.device_key, PRODUCT_SUITES)]
    )
    sealed_key = seal_account_key(b"v" * 32, account_key, domain=side.domain, user=side.user)
    payload = LinkPayload(1, made.added[0].credential, made.statement, sealed_key, b"s" * 32, ())
    return _meet_as(side, newcomer).seal(payload, b"v" * 32)


def _meet_as(side: OldSide, newcomer: Newcomer) -> Meeting:
    return dataclasses.replace(side, commitment=newcomer.commitment).meet(newcomer)


async def test_d_05_an_account_of_the_servers_own_making_is_not_taken(world: World) -> None:
    """The code is for the old device; what the new one takes hangs on the password."""
    [alice] = await world.join("alice")
    mallory = Mallory(world, alice)
    sealed: list[bytes] = []

    def forged(standing: m.LinkStanding) -> m.LinkStanding:
        return (
            replace(standing, sealed=sealed[0], sealed_by=standing.answers[0].client) if sealed else standing
        )

    mallory.lie(m.GetLink, mallory.as_old_device)
    mallory.lie(m.GetLink, forged)
    async with asking(alice) as device:
        await device.code()
        [request] = mallory.rendezvous._requests.values()
        assert mallory.side is not None
        assert request.device is not None
        sealed.append(forged_payload(mallory.side, request))
        await nothing_came_of(device, LinkUntrusted)


async def test_d_05_what_was_sealed_for_another_request_opens_nothing(world: World) -> None:
    [alice] = await world.join("alice")
    mallory = Mallory(world, alice)
    kept: list[m.LinkStanding] = []

    def replayed(standing: m.LinkStanding) -> m.LinkStanding:
        if standing.sealed:
            kept.append(standing)
        return replace(standing, sealed=kept[0].sealed, sealed_by=kept[0].sealed_by) if kept else standing

    mallory.lie(m.GetLink, replayed)
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    async with asking(alice, name="tablet") as other:
        await nothing_came_of(other, LinkUntrusted)
    assert devices_of(alice) == 2


# --- what breaks in between ---------------------------------------------------------------------------------


async def test_d_05_the_old_device_may_end_and_come_back_in_between(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        await alice.close()
        await alice.open()
        offer = await alice.client.link_offer(code)
        await alice.close()
        await alice.open()
        await alice.client.approve_link(offer.number, alice.password)
        await device.asking
    assert devices_of(alice) == 2


async def test_what_was_approved_goes_on_without_a_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old device ends after the account was changed, before the new one got anything."""
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        offer = await alice.client.link_offer(await device.code())
        approver = alice.client._engine.approver
        honest = approver._letting_in._ask

        async def cut(body: m.RequestBody) -> m.Answer:
            if isinstance(body, m.FinishLink):
                raise Disconnected("the machine went to sleep")
            return await honest(body)

        monkeypatch.setattr(approver._letting_in, "_ask", cut)
        with pytest.raises(Disconnected, match="goes on by itself"):
            await alice.client.approve_link(offer.number, alice.password)
        await alice.close()
        await alice.open()
        await device.asking
    assert devices_of(alice) == 2
    await alice.client._engine.approver.look()  # after the one that let it in
    assert [each.name for each in await alice.client.own_devices() if not each.this] == ["laptop"]


async def test_a_disk_that_fails_leaves_no_half_of_a_profile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [alice] = await world.join("alice")

    def full(*_arguments: object) -> None:
        raise ClientError("the disk is full")

    async with asking(alice) as device:
        with monkeypatch.context() as broken:
            broken.setattr(new_profile, "create_account", full)
            await approved(alice, await device.code())
            await nothing_came_of(device, ClientError)
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    assert devices_of(alice) == 3, "the account lists one that never logged in; its owner can revoke it"


async def test_who_gives_up_leaves_nothing(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        device.asking.cancel()
        await nothing_came_of(device, asyncio.CancelledError)
    assert world.app is not None
    assert len(world.app._desk.rendezvous) == 0
    with pytest.raises(LinkOver):
        await alice.client.link_offer(code)


async def test_a_server_that_is_started_anew_has_no_requests(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        code = await device.code()
        await world.stop_server()
        await world.start_server()
        await nothing_came_of(device, LinkOver)
        with pytest.raises(LinkOver):
            await alice.client.link_offer(code)


async def test_a_device_that_came_too_late_says_so(world: World) -> None:
    [alice] = await world.join("alice")
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    async with asking(alice, name="tablet") as tablet:
        code = await tablet.code()
        async with opened(alice, device.home) as late:
            with pytest.raises(LinkOver, match="online when it was shown"):
                await late.link_offer(code)
        await approved(alice, code)
        await tablet.asking
