"""A new device that was let in: nothing that passes ends that, and what came of it is said rightly (D-05)."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.client import link_requests, statements
from securechat.client.config import ServerAddress
from securechat.client.errors import ClientError, Disconnected, RefusedByServer, refusal
from securechat.client.events import LinkOffer, Notice
from securechat.client.keystore import Keys
from securechat.client.letting_in import LettingIn, Opened
from securechat.client.link_requests import LinkRequest, LinkStep
from securechat.membership.account import next_statement
from securechat.membership.linking import LIFETIME, answer_link, ask_to_link
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import verify_statement
from securechat.mls.codec import encode
from securechat.protocol.frames import encode_value
from securechat.protocol.messages import (
    AddedDevice,
    Answer,
    ChangeAccount,
    CloseLink,
    DeviceRow,
    Devices,
    Done,
    FinishLink,
    GetDevices,
    RequestBody,
)
from tests.client.account import AnAccount
from tests.client.members import MemberOf
from tests.client.parts import DOMAIN, NOW

SEALED = b"what opens the account"
NEW = "n" * 26


class Stand:
    """An old device that has let in a new one, and a server that takes and shows statements."""

    def __init__(self, folder: Path) -> None:
        self.account = AnAccount("alice")
        self.member: MemberOf = self.account.first(folder)
        self.account.shown_to(self.member)
        self.in_force = self.account.newest
        self.refusals: dict[type[RequestBody], list[Exception]] = {}
        self.asked: list[type[RequestBody]] = []
        self.waits = True
        """Whether the new device still does."""
        self.has_logged_in = False
        self.left = b""
        self.paused: list[float] = []
        self.request = self._approved()
        self.letting_in = LettingIn(
            self.member.changes,
            self.ask,
            self.member.device,
            lambda: self.member.now,
            self.refresh,
            pause=self.pause,
        )
        self.come: list[LinkOffer] = []
        self.letting_in.come = self.has_come

    async def has_come(self, offer: LinkOffer) -> None:
        self.come.append(offer)

    def _approved(self) -> LinkRequest:
        db, device_key = self.member.store.db, public_of(new_key())
        asking = ask_to_link(
            domain=DOMAIN,
            user="alice",
            client=NEW,
            device_key=device_key,
            name="laptop",
            suites=PRODUCT_SUITES,
            salt=b"s" * 16,
        )
        side = answer_link(
            domain=DOMAIN,
            user="alice",
            commitment=asking.newcomer.commitment,
            client=self.member.device.client,
            name="desk",
        )
        made = next_statement(
            self.account.key, previous=self.in_force, issued_at=NOW, add=[(NEW, device_key, PRODUCT_SUITES)]
        )
        self.made = made.statement
        (added,) = made.added
        body = ChangeAccount(made.statement, [AddedDevice(added.client, added.device_key, added.credential)])
        link_requests.note_answer(db, b"l" * 16, side, answered=NOW, opened=NOW, address="10.0.0.5")
        link_requests.set_revealed(db, 1, encode(asking.newcomer))
        link_requests.set_approved(db, 1, change=encode_value(body), sealed=SEALED)
        request = link_requests.by_number(db, 1)
        assert request is not None
        return request

    async def ask(self, body: RequestBody) -> Answer:
        self.asked.append(type(body))
        if waiting := self.refusals.get(type(body)):
            raise waiting.pop(0)
        match body:
            case ChangeAccount(statement=statement) if statement != self.in_force:
                if verify_statement(statement).previous != hashlib.sha256(self.in_force).digest():
                    raise refusal("stale_statement")
                self.in_force = statement
            case FinishLink(sealed=sealed):
                if not self.waits:
                    raise refusal("no_link")
                self.left = sealed
            case CloseLink():
                self.waits = False
            case GetDevices():
                return Devices([DeviceRow(NEW, b"k" * 32, b"c", NOW, NOW * self.has_logged_in)])
            case _:
                pass
        return Done()

    async def refresh(self, user: str) -> None:
        with self.member.changes.change() as change:
            statements.keep_statement(change.db, user, self.in_force)

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.member.now += max(1, round(seconds))

    def another_changes_it(self, *, previous: bytes) -> None:
        """A sibling is let in by another device, after this statement."""
        made = next_statement(
            self.account.key,
            previous=previous,
            issued_at=NOW,
            add=[("o" * 26, public_of(new_key()), PRODUCT_SUITES)],
        )
        self.in_force = made.statement

    @property
    def step(self) -> LinkStep:
        request = link_requests.by_number(self.member.store.db, 1)
        assert request is not None
        return request.step

    @property
    def told(self) -> list[str]:
        """What its owner read, without the news that it is in."""
        notices = [each for each in self.member.events if isinstance(each, Notice)]
        return [each.text for each in notices if each.code == "link_refused"]

    async def goes_on(self) -> None:
        await self.letting_in.go_on(self.request)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def is_in(stand: Stand) -> bool:
    came = [(each.device, each.name) for each in stand.come]
    return (stand.in_force, stand.left, stand.step, came) == (
        stand.made,
        SEALED,
        LinkStep.OVER,
        [(NEW, "laptop")],
    )


@pytest.mark.parametrize("kind", [ChangeAccount, FinishLink])
@pytest.mark.parametrize("code", ["busy", "limited", "internal"])
async def test_d_05_a_server_that_has_no_time_ends_nothing(
    stand: Stand, kind: type[RequestBody], code: str
) -> None:
    stand.refusals[kind] = [refusal(code, retry_after=2) for _ in range(7)]
    await stand.goes_on()
    assert (is_in(stand), stand.told) == (True, [])
    assert all(wait >= 2 for wait in stand.paused)


async def test_d_05_where_it_has_none_for_five_minutes_it_is_not_in_and_that_is_said(stand: Stand) -> None:
    stand.refusals[ChangeAccount] = [refusal("busy") for _ in range(1000)]
    await stand.goes_on()
    assert stand.member.now <= NOW + LIFETIME
    assert (stand.step, stand.come) == (LinkStep.OVER, [])
    assert ["not in your account" in text for text in stand.told] == [True]


async def test_d_05_keys_that_came_too_late_leave_a_device_to_take_off(stand: Stand) -> None:
    stand.refusals[FinishLink] = [refusal("busy") for _ in range(1000)]
    await stand.goes_on()
    assert (stand.in_force, stand.left, stand.step) == (stand.made, b"", LinkStep.OVER)
    assert ["did not get its keys in time" in text for text in stand.told] == [True]


async def test_d_05_an_answer_that_was_lost_is_no_refusal(stand: Stand) -> None:
    """The server took all of it; the new device has its keys, and its request is gone."""
    stand.in_force, stand.waits, stand.has_logged_in = stand.made, False, True
    await stand.goes_on()
    assert (stand.step, stand.told, len(stand.come)) == (LinkStep.OVER, [], 1)


async def test_d_05_nor_where_another_device_has_changed_the_account_since(stand: Stand) -> None:
    stand.another_changes_it(previous=stand.made)
    await stand.goes_on()
    assert (stand.left, stand.step, stand.told) == (SEALED, LinkStep.OVER, [])


async def test_d_05_of_two_changes_at_once_the_second_is_known_not_to_have_been_taken(stand: Stand) -> None:
    stand.another_changes_it(previous=stand.account.newest)
    await stand.goes_on()
    assert (stand.left, stand.step, stand.waits) == (b"", LinkStep.OVER, False)
    assert ["the new one is not in it" in text for text in stand.told] == [True]


async def test_d_05_a_new_device_that_gave_up_is_named_to_be_taken_off(stand: Stand) -> None:
    stand.waits = False
    await stand.goes_on()
    assert (stand.in_force, stand.step) == (stand.made, LinkStep.OVER)
    assert ["waits no longer" in text for text in stand.told] == [True]


async def test_d_05_what_is_refused_for_good_is_said_in_its_words_and_to_the_new_device(stand: Stand) -> None:
    stand.refusals[ChangeAccount] = [refusal("bad_request", "no such suite")]
    await stand.goes_on()
    assert (stand.waits, stand.step, stand.told) == (False, LinkStep.OVER, ["no such suite"])


LOST: dict[str, Callable[[], ClientError]] = {
    "the line breaks": lambda: Disconnected("gone"),
    "it may not be looked at": lambda: refusal("limited"),
}


@pytest.mark.parametrize("how", LOST)
async def test_d_05_what_cannot_be_known_now_is_found_out_later(stand: Stand, how: str) -> None:
    """Also after the five minutes: then it is said what became of it."""
    stand.in_force, stand.waits, stand.has_logged_in = stand.made, False, True
    stand.refusals[GetDevices] = [LOST[how]()]
    stand.member.now += int(LIFETIME) + 1
    with pytest.raises((Disconnected, RefusedByServer)):
        await stand.goes_on()
    assert (stand.step, stand.told) == (LinkStep.APPROVED, [])
    await stand.goes_on()
    assert (stand.step, stand.told) == (LinkStep.OVER, [])


async def test_d_05_who_is_in_by_a_late_look_was_let_in_and_nothing_else_is_said(stand: Stand) -> None:
    """The server took both and had no time to say so, until the code's were over: that is no failure."""
    keys = keys_of(stand)
    stand.refusals[FinishLink] = [refusal("busy") for _ in range(20)]
    stand.member.now += int(LIFETIME) - 20
    stand.has_logged_in = True

    await stand.letting_in.change(stand.request, keys, Opened(stand.account.key, b"v" * 32))

    assert (stand.step, stand.told) == (LinkStep.OVER, [])
    assert [each.device for each in stand.come] == [NEW]


def keys_of(stand: Stand) -> Keys:
    device = stand.member.device
    return Keys(
        user=device.user,
        client=device.client,
        domain=DOMAIN,
        server=ServerAddress(),
        server_key=b"s" * 32,
        login_salt=b"s" * 16,
        device_key=new_key(),
        account_key=public_of(stand.account.key),
        account_key_sealed=b"sealed",
        credential=b"",
        statement=stand.account.newest,
        registered=True,
        account_secret=b"a" * 32,
    )
