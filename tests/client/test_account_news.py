"""Keeping up with accounts: what is asked for when; servers that hold back or never end (D-03, D-04)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client import account_news, statements
from securechat.client.account_news import MAX_PAGES, AccountNews
from securechat.client.claims import Claims
from securechat.client.config import ServerAddress
from securechat.client.contacts import contact
from securechat.client.device import Device
from securechat.client.errors import Disconnected, RefusedByServer
from securechat.client.keystore import Keys, save_keys
from securechat.client.reconciling import Reconciler
from securechat.client.session import Session
from securechat.membership.signing import new_key, public_of
from securechat.protocol.messages import (
    Answer,
    ChangedAccount,
    ChangedAccounts,
    Devices,
    GetChangedAccounts,
    GetDevices,
    GetStatements,
    RequestBody,
    Statements,
)
from tests.client.account import AnAccount, certified
from tests.client.members import MemberOf
from tests.client.parts import DOMAIN, a_moment


class Shown:
    """A server that shows the statements of some accounts, one change after the other."""

    def __init__(self, *accounts: AnAccount) -> None:
        self.accounts = {each.user: each for each in accounts}
        self.asked: list[RequestBody] = []
        self.refuses: dict[str, str] = {}
        """Code of the refusal, by user."""
        self.gates: list[asyncio.Event] = []
        """What answers wait for, the first answer for the first."""

    async def request(self, body: RequestBody) -> Answer:
        self.asked.append(body)
        assert len(self.asked) < 5 * MAX_PAGES, "it asks for ever"
        if isinstance(body, GetChangedAccounts):
            return self.changed(body.after)
        if isinstance(body, GetDevices):
            return Devices([])
        assert isinstance(body, GetStatements)
        if code := self.refuses.get(body.user):
            raise RefusedByServer(code)
        found = self.accounts.get(body.user)
        chain = [] if found is None else found.statements[body.after :]
        if self.gates:
            await self.gates.pop(0).wait()
        return Statements(body.user, chain)

    def changed(self, after: int) -> ChangedAccounts:
        """Everybody, by name, has changed once."""
        rows = [ChangedAccount(user, len(self.accounts[user].statements)) for user in sorted(self.accounts)]
        return ChangedAccounts(rows[after:], len(rows))

    def asked_for(self, user: str) -> int:
        return sum(isinstance(each, GetStatements) and each.user == user for each in self.asked)


async def nothing() -> None:
    """No key package is due."""


def news_of(member: MemberOf, server: Shown) -> AccountNews:
    looker = Reconciler(member.device, member.groups, member._clock)
    return AccountNews(
        member.changes, cast(Session, server), member.device, looker, cast(Claims, None), nothing
    )


def keys_of(account: AnAccount, device: Device) -> Keys:
    made = certified(device)
    return Keys(
        user=account.user,
        client=device.client,
        domain=DOMAIN,
        server=ServerAddress("localhost", 1),
        server_key=bytes(32),
        login_salt=bytes(16),
        device_key=new_key(),
        account_key=public_of(account.key),
        account_key_sealed=b"sealed",
        credential=made.credential,
        statement=account.newest,
    )


class Met:
    """Alice knows bob, as his account is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alices, self.bobs = AnAccount("alice"), AnAccount("bob")
        self.alice = self.alices.first(folder)
        self.bob = self.bobs.first(folder)
        self.bobs.links(folder)
        with self.alice.changes.change() as change:
            save_keys(change.db, keys_of(self.alices, self.alice.device))
        self.bobs.shown_to(self.alice)
        self.alice.founds(self.bob)
        self.server = Shown(self.alices, self.bobs)
        self.news = news_of(self.alice, self.server)

    def begins_anew(self, devices: int) -> AnAccount:
        """Bob's name gets another account key, and so many devices."""
        folder = self.folder / "anew"
        folder.mkdir()
        again = AnAccount("bob")
        again.first(folder)
        while len(again.statements) < devices:
            again.links(folder)
        self.server.accounts["bob"] = again
        return again

    @property
    def changed_to(self) -> bytes | None:
        found = contact(self.alice.store.db, "bob")
        assert found is not None
        return found.changed_to


@pytest.fixture
def met(tmp_path: Path) -> Met:
    return Met(tmp_path)


async def test_d_04_who_began_anew_with_a_serial_that_is_known_is_noticed_at_the_next_login(met: Met) -> None:
    again = met.begins_anew(devices=2)

    await met.news.catch_up()

    assert statements.known_serial(met.alice.store.db, "bob") == len(again.statements)
    assert met.changed_to is not None


async def test_d_04_the_first_statement_of_whoever_is_known_is_looked_at(met: Met) -> None:
    """What is told of a serial that is known is no news; of the first one it is another account."""
    await met.news.changed("bob", 2)
    assert met.server.asked_for("bob") == 0
    met.begins_anew(devices=1)

    await met.news.changed("bob", 1)

    assert met.changed_to is not None


async def test_two_look_ups_of_one_user_take_turns_and_show_no_second_history(met: Met) -> None:
    """The slower one would have begun where the account was, and ended where it is (D-03)."""
    first, second = asyncio.Event(), asyncio.Event()
    met.server.gates = [first, second]
    slow = asyncio.create_task(met.news.refresh("bob"))
    await a_moment()
    met.bobs.links(met.folder)
    fast = asyncio.create_task(met.news.changed("bob", 3))
    await a_moment()
    assert met.server.asked_for("bob") == 1
    second.set()
    await a_moment()
    first.set()
    await asyncio.gather(slow, fast)

    assert statements.known_serial(met.alice.store.db, "bob") == 3
    assert account_news.trouble(met.alice.store.db, "bob").code == ""


async def test_what_we_made_while_our_own_list_was_asked_for_is_no_fork(met: Met) -> None:
    """As after an approval: the answer is older than what is stored by then (D-03)."""
    gate = asyncio.Event()
    met.server.gates = [gate]
    looking = asyncio.create_task(met.news.refresh("alice"))
    await a_moment()
    met.alices.links(met.folder)
    met.alices.shown_to(met.alice)
    gate.set()
    await looking

    assert account_news.trouble(met.alice.store.db, "alice").code == ""
    assert met.server.asked_for("alice") == 3, "twice for the newest, once for all that leads to it"


@pytest.mark.parametrize("code", ["limited", "busy"])
async def test_who_cannot_be_looked_up_now_keeps_nobody_elses_waiting(met: Met, code: str) -> None:
    """And is asked for again: what is there is held to be more than is known."""
    carols = AnAccount("carol")
    carols.first(met.folder)
    carols.shown_to(met.alice)
    carols.links(met.folder)
    met.server.accounts["carol"] = carols
    met.bobs.links(met.folder)
    met.server.refuses["bob"] = code

    await met.news.catch_up()

    assert statements.known_serial(met.alice.store.db, "carol") == 2
    assert account_news.is_behind(met.alice.store.db, "bob")
    assert seen(met) == 3, "what was told is not asked for again"
    met.server.refuses.clear()
    await met.news.refresh("bob")
    assert not account_news.is_behind(met.alice.store.db, "bob")


async def test_a_serial_that_the_server_made_up_holds_nobody_once_it_has_shown_what_there_is(
    met: Met,
) -> None:
    """It is nobody's word but the server's; what it cannot show then is asked for again."""
    db = met.alice.store.db
    await met.news.catch_up()
    met.server.refuses["bob"] = "busy"
    await met.news.changed("bob", 1 << 62)
    assert account_news.is_behind(db, "bob")

    met.server.refuses.clear()
    await met.news.refresh("bob")

    assert not account_news.is_behind(db, "bob")
    assert account_news.trouble(db, "bob").code == ""


async def test_a_refusal_that_is_no_matter_of_time_is_not_passed_over(met: Met) -> None:
    met.server.refuses["bob"] = "forbidden"
    with pytest.raises(RefusedByServer):
        await met.news.catch_up()
    assert seen(met) == 0


def _rising(after: int) -> ChangedAccounts:
    return ChangedAccounts([], after + 1, more=True)


def _the_same(after: int) -> ChangedAccounts:
    return ChangedAccounts([], after, more=True)


def _going_back(after: int) -> ChangedAccounts:
    return ChangedAccounts([], max(after - 1, 0), more=True)


@pytest.mark.parametrize("told", [_rising, _the_same, _going_back])
async def test_a_server_whose_changes_have_no_end_is_not_asked_for_ever(
    met: Met, told: Callable[[int], ChangedAccounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(met.server, "changed", told)

    await met.news.catch_up()

    pages = sum(isinstance(each, GetChangedAccounts) for each in met.server.asked)
    assert 1 <= pages <= MAX_PAGES


async def test_a_chain_that_never_ends_is_given_up_and_the_others_are_looked_at(
    met: Met, monkeypatch: pytest.MonkeyPatch
) -> None:
    carols = AnAccount("carol")
    carols.first(met.folder)
    carols.shown_to(met.alice)
    carols.links(met.folder)
    met.server.accounts["carol"] = carols
    asked = met.server.request

    async def endless(body: RequestBody) -> Answer:
        if isinstance(body, GetStatements) and body.user == "bob":
            return Statements("bob", [b"x"], more=True)
        return await asked(body)

    monkeypatch.setattr(met.server, "request", endless)
    await met.news.catch_up()

    assert statements.known_serial(met.alice.store.db, "carol") == 2
    assert statements.known_serial(met.alice.store.db, "bob") == 2


async def test_a_line_that_breaks_is_not_passed_over(met: Met, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next login looks at all of it again."""

    async def gone(_body: RequestBody) -> Answer:
        raise Disconnected("the line broke")

    monkeypatch.setattr(met.server, "request", gone)
    with pytest.raises(Disconnected):
        await met.news.catch_up()
    assert seen(met) == 0


def seen(met: Met) -> int:
    return account_news._seen(met.alice.store.db)
