"""Who was removed from the account opens nothing that its devices keep for each other later (D-02, D-07)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import account_secret, boxes
from securechat.client.account_secret import (
    BOX,
    NotPassedOn,
    SecretKeeper,
    brought_back,
    forget_serials,
    keep_secrets,
    secrets_of,
)
from securechat.client.boxes import BoxRefused
from securechat.client.config import ServerAddress
from securechat.client.errors import Disconnected, RefusedByServer
from securechat.client.keystore import Keys, save_keys
from securechat.client.statements import keep_statement
from securechat.client.store import ClientStore
from securechat.membership.account import Certified, next_statement
from securechat.membership.identity import make_client_credential, new_local_id
from securechat.membership.renewal import Secrets, make_renewal
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement, verify_statement
from securechat.membership.vault import VaultRefused
from securechat.names import client_uri, user_uri
from securechat.protocol.messages import Answer, Box, Done, GetBox, PutBox, RequestBody
from tests.client.parts import DOMAIN, a_store

ALICE = user_uri(DOMAIN, "alice")
FIRST = b"1" * 32


class Killed(BaseException):
    """The end of a process."""


class Account:
    """Alice's, with its boxes at the server; ``before`` is done ahead of each request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = new_key()
        self.listed: dict[str, Certified] = {}
        self.boxes: dict[str, tuple[int, bytes]] = {}
        self.before: Callable[[RequestBody], None] = lambda _: None
        self.asked: list[RequestBody] = []
        phone = OneDevice(self, FIRST)
        credential = make_client_credential(
            domain=DOMAIN,
            user="alice",
            client=phone.client,
            account_key=self.key,
            signature_key_public=public_of(phone.key),
            suites=PRODUCT_SUITES,
            generation=1,
        )
        self.listed[phone.client] = Certified(phone.client, public_of(phone.key), credential)
        device = Device(client_uri(DOMAIN, phone.client).encode(), public_of(phone.key))
        self.statement = make_statement(self.key, user=ALICE, devices=(device,), issued_at=1)
        phone.registers()
        self.phone = phone

    def links(self, secret: bytes = FIRST) -> "OneDevice":
        """One more device, which was given a secret by whoever let it in."""
        new = OneDevice(self, secret)
        self._goes_on(add=[(new.client, public_of(new.key), PRODUCT_SUITES)])
        new.registers()
        return new

    def revokes(self, gone: "OneDevice") -> None:
        del self.listed[gone.client]
        self._goes_on(revoke=[gone.client])

    def _goes_on(self, **change: Any) -> None:
        staying = tuple(self.listed.values())
        made = next_statement(self.key, previous=self.statement, issued_at=1, staying=staying, **change)
        self.statement = made.statement
        self.listed |= {each.client: each for each in (*made.added, *made.reissued)}

    async def ask(self, body: RequestBody) -> Answer:
        self.asked.append(body)
        self.before(body)
        if isinstance(body, GetBox):
            if body.box not in self.boxes:
                raise RefusedByServer("no_box")
            return Box(*self.boxes[body.box])
        assert isinstance(body, PutBox)
        if body.serial != self.boxes.get(body.box, (0, b""))[0] + 1:
            raise RefusedByServer("stale_box")
        self.boxes[body.box] = (body.serial, body.sealed)
        return Done()

    @property
    def renewals(self) -> int:
        return self.boxes.get(BOX, (0, b""))[0]


class OneDevice:
    def __init__(self, account: Account, secret: bytes) -> None:
        self.account, self.secret = account, secret
        self.key: Ed25519PrivateKey = new_key()
        self.client = new_local_id()
        folder = account.folder / self.client
        folder.mkdir()
        self.store: ClientStore = a_store(folder)
        device: Any = SimpleNamespace(user_uri=ALICE, client_uri=client_uri(DOMAIN, self.client))
        self.keeper = SecretKeeper(self.store, account.ask, device)

    def registers(self) -> None:
        keys = Keys(
            user="alice",
            client=self.client,
            domain=DOMAIN,
            server=ServerAddress("localhost", 1),
            server_key=bytes(32),
            login_salt=bytes(16),
            device_key=self.key,
            account_key=public_of(self.account.key),
            account_key_sealed=b"sealed",
            credential=self.account.listed[self.client].credential,
            statement=self.account.statement,
            account_secret=self.secret,
        )
        with self.store.transaction() as db:
            save_keys(db, keys)

    def hears(self) -> None:
        """Of the account's newest statement."""
        with self.store.transaction() as db:
            keep_statement(db, "alice", self.account.statement)

    async def current(self) -> Secrets:
        self.hears()
        return await self.keeper.current()

    async def writes(self, content: bytes) -> None:
        secrets = await self.current()
        serial = self.account.boxes.get("names", (0, b""))[0]
        await boxes.put(self.account.ask, secrets, content, user_uri=ALICE, box="names", serial=serial + 1)

    async def reads(self) -> bytes:
        found = await boxes.get(self.account.ask, await self.keeper.current(), user_uri=ALICE, box="names")
        assert found is not None
        return found[1]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


async def test_while_nobody_was_removed_there_is_one_secret_and_nothing_is_asked(account: Account) -> None:
    laptop = account.links()
    for device in (account.phone, laptop):
        assert await device.current() == Secrets(FIRST)
    assert account.asked == []


async def test_d_02_who_was_removed_opens_what_was_written_before_and_nothing_that_is_written_later(
    account: Account,
) -> None:
    laptop, thief = account.links(), account.links()
    await account.phone.writes(b"before")
    account.revokes(thief)
    assert (await account.phone.current()).older == (FIRST,)
    assert await account.phone.reads() == b"before"
    await account.phone.writes(b"after")

    laptop.hears()
    assert await laptop.reads() == b"after"
    assert secrets_of(laptop.store.db) == secrets_of(account.phone.store.db)
    with pytest.raises(BoxRefused):  # with all that it had
        await boxes.get(account.ask, secrets_of(thief.store.db), user_uri=ALICE, box="names")
    with pytest.raises(NotPassedOn):  # and with what the server hands it
        await thief.current()
    asked = len(account.asked)
    await laptop.current()
    assert len(account.asked) == asked, "what was seen to is not asked for again"


async def test_of_two_that_remove_a_device_at_once_one_takes_what_the_other_made(account: Account) -> None:
    laptop = account.links()
    account.revokes(account.links())
    laptop.hears()
    account.phone.hears()
    overtaken: list[bytes] = []

    def faster(body: RequestBody) -> None:
        if isinstance(body, PutBox) and not overtaken:
            overtaken.append(body.sealed)
            mine = make_renewal(
                Secrets(b"2" * 32, (FIRST,)),
                serial=1,
                statement=account.statement,
                by=client_uri(DOMAIN, laptop.client).encode(),
                device_key=laptop.key,
            )
            account.boxes[BOX] = (1, mine)

    account.before = faster
    assert await account.phone.current() == Secrets(b"2" * 32, (FIRST,))
    assert account.renewals == 1
    assert await laptop.current() == Secrets(b"2" * 32, (FIRST,))


@pytest.mark.parametrize("before", [True, False])
async def test_after_a_kill_the_next_one_finds_it_there_or_makes_it(
    account: Account, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    laptop = account.links()
    account.revokes(account.links())

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if before:
            patched.setattr(account_secret, "PutBox", killed)
        else:
            patched.setattr(account_secret, "keep_secrets", killed)
        with pytest.raises(Killed):
            await account.phone.current()
    assert account.renewals == (0 if before else 1)

    first = await laptop.current()
    assert first == await account.phone.current()
    assert first.older == (FIRST,)
    assert account.renewals == 1


async def test_who_was_off_for_long_takes_the_newest_and_reads_all_of_before(account: Account) -> None:
    laptop = account.links()
    for number in range(3):
        account.revokes(account.links(secrets_of(account.phone.store.db).newest))
        await account.phone.current()
        await account.phone.writes(f"{number}".encode())
    there = await account.phone.current()

    assert await laptop.current() == there
    assert len(set(there.every)) == 4
    assert there.older[-1] == FIRST


async def test_who_was_let_in_with_the_last_secret_gets_the_new_one_from_the_next_that_is_there(
    account: Account,
) -> None:
    account.revokes(account.links())
    there = await account.phone.current()
    late = account.links(FIRST)
    with pytest.raises(NotPassedOn):
        await late.current()

    assert await account.phone.current() == there, "the same, passed on to one more"
    assert await late.current() == there
    assert account.renewals == 2
    rightly = account.links(there.newest)
    assert await rightly.current() == there
    assert account.renewals == 3
    assert await late.current() == await account.phone.current() == there
    assert account.renewals == 3


async def test_who_has_not_heard_of_the_newest_removal_leaves_the_secret_that_was_made_for_it(
    account: Account,
) -> None:
    laptop = account.links()
    account.revokes(account.links())
    laptop.hears()
    account.revokes(account.links())
    there = await account.phone.current()

    assert await laptop.keeper.current() == there
    assert account.renewals == 1


async def test_d_07_a_server_that_shows_what_is_older_forged_or_nothing_is_refused(account: Account) -> None:
    laptop, thief = account.links(), account.links()
    account.revokes(thief)
    await laptop.current()
    first = account.boxes[BOX]
    account.revokes(account.links(secrets_of(laptop.store.db).newest))
    newest = await laptop.current()
    second = account.boxes[BOX]
    old_list = make_statement(
        account.key,
        user=ALICE,
        devices=(Device(client_uri(DOMAIN, thief.client).encode(), public_of(thief.key)),),
        issued_at=1,
    )
    of_thief = make_renewal(
        Secrets(b"?" * 32, (FIRST,)),
        serial=3,
        statement=old_list,
        by=client_uri(DOMAIN, thief.client).encode(),
        device_key=thief.key,
    )
    account.links(newest.newest)
    laptop.hears()
    for lie in (None, first, (3, first[1]), (1 << 60, second[1]), (3, b"nonsense"), (3, of_thief)):
        account.boxes.pop(BOX, None)
        if lie is not None:
            account.boxes[BOX] = lie
        with pytest.raises(BoxRefused):
            await laptop.keeper.current()
        assert secrets_of(laptop.store.db) == newest
    account.boxes[BOX] = second
    assert await laptop.current() == newest


async def test_n_02_an_account_is_brought_back_with_a_vault_of_before(account: Account) -> None:
    account.revokes(account.links())
    there = await account.phone.current()

    newest = verify_statement(account.statement).serial
    known = partial(brought_back, account.ask, account.key, FIRST, user_uri=ALICE)

    assert await known(newest=newest) == there
    with pytest.raises(VaultRefused, match="hides what the account has said"):
        await known(newest=newest - 1)
    account.boxes[BOX] = (1, b"nonsense")
    with pytest.raises(BoxRefused):
        await known(newest=newest)
    account.boxes.clear()
    assert await known(newest=newest) == Secrets(FIRST)


@pytest.mark.parametrize("lost", ["all of it", "the last of it"])
async def test_n_03_what_a_restored_server_lost_is_passed_on_anew(account: Account, lost: str) -> None:
    laptop = account.links()
    account.revokes(account.links())
    first = await account.phone.current()
    before = account.boxes[BOX]
    account.revokes(account.links(first.newest))
    await account.phone.writes(b"kept")
    there = await account.phone.current()
    account.boxes[BOX] = before
    if lost == "all of it":
        del account.boxes[BOX]
    with account.phone.store.transaction() as db:
        forget_serials(db)

    anew = await account.phone.current()

    assert set(anew.older) == set(there.every)
    assert await laptop.current() == anew
    assert await laptop.reads() == b"kept"


async def test_d_02_an_older_copy_of_the_server_makes_no_device_seal_with_a_secret_of_before(
    account: Account,
) -> None:
    """Who was removed since has that one. The new one is not at the server yet, and a round is under way."""
    account.revokes(account.links())
    first = await account.phone.current()
    before = account.boxes[BOX]
    account.revokes(account.links(first.newest))
    there = await account.phone.current()
    account.boxes[BOX] = before
    with account.phone.store.transaction() as db:
        forget_serials(db)

    def holds_back(body: RequestBody) -> None:
        if isinstance(body, PutBox):
            raise RefusedByServer("busy")

    account.before = holds_back
    with pytest.raises(RefusedByServer):
        await account.phone.current()

    assert secrets_of(account.phone.store.db).newest == there.newest
    account.before = lambda _: None
    anew = await account.phone.current()
    assert set(anew.older) == set(there.every)


def left_by(device: OneDevice, secrets: Secrets, *, serial: int, statement: bytes) -> bytes:
    """What a device of the account can leave for the others, as it likes."""
    uri = client_uri(DOMAIN, device.client).encode()
    return make_renewal(secrets, serial=serial, statement=statement, by=uri, device_key=device.key)


async def test_n_02_what_a_stolen_device_has_left_stops_no_recovery(account: Account) -> None:
    """Each secret is kept once: the store takes none twice."""
    thief, older = account.links(), (b"o" * 32, b"o" * 32, FIRST, FIRST)
    account.boxes[BOX] = (1, left_by(thief, Secrets(b"?" * 32, older), serial=1, statement=account.statement))

    found = await brought_back(account.ask, account.key, FIRST, user_uri=ALICE, newest=1 << 32)

    with account.phone.store.transaction() as db:
        keep_secrets(db, found)
    assert secrets_of(account.phone.store.db) == found
    assert FIRST in found.every


async def test_n_02_a_secret_of_another_length_is_none(account: Account) -> None:
    """No vault could be made with it."""
    thief = account.links()
    account.boxes[BOX] = (
        1,
        left_by(thief, Secrets(b"short", (FIRST,)), serial=1, statement=account.statement),
    )
    with pytest.raises(BoxRefused):
        await brought_back(account.ask, account.key, FIRST, user_uri=ALICE, newest=1 << 32)


@pytest.mark.parametrize("lie", ["nonsense", "of before"])
async def test_what_a_stolen_device_has_left_is_written_over_once_it_is_removed(
    account: Account, lie: str
) -> None:
    """With an honest server; until then it is refused, and what is older than was seen always is."""
    account.revokes(account.links())
    await account.phone.current()
    thief = account.links(secrets_of(account.phone.store.db).newest)
    account.boxes[BOX] = (2, b"nonsense")
    if lie == "of before":
        old_list = make_statement(
            account.key,
            user=ALICE,
            devices=(Device(client_uri(DOMAIN, thief.client).encode(), public_of(thief.key)),),
            issued_at=1,
        )
        account.boxes[BOX] = (2, left_by(thief, Secrets(b"?" * 32), serial=2, statement=old_list))
    laptop = account.links(secrets_of(account.phone.store.db).newest)
    with pytest.raises(BoxRefused):
        await account.phone.current()
    account.revokes(thief)

    there = await account.phone.current()

    assert b"?" * 32 not in there.every
    assert account.renewals == 3
    assert await laptop.current() == there
    account.revokes(account.links(there.newest))
    account.boxes[BOX] = (2, b"nonsense")
    with pytest.raises(BoxRefused):
        await account.phone.current()


async def test_d_02_what_a_removed_device_made_seals_nothing_also_where_the_next_cannot_be_put(
    account: Account,
) -> None:
    """The server says that it was restored, shows what a removed device made, and takes nothing any more."""
    account.revokes(account.links())
    await account.phone.current()
    thief, statement = account.links(secrets_of(account.phone.store.db).newest), account.statement
    account.revokes(thief)
    there = await account.phone.current()
    of_thief = Secrets(b"?" * 32, (there.older[0], *(bytes([n]) * 32 for n in range(100, 163))))
    account.boxes[BOX] = (1, left_by(thief, of_thief, serial=1, statement=statement))
    with account.phone.store.transaction() as db:
        forget_serials(db)

    def nothing_is_taken(body: RequestBody) -> None:
        if isinstance(body, PutBox):
            raise Disconnected("gone")

    account.before = nothing_is_taken
    with pytest.raises(Disconnected):
        await account.phone.current()
    assert secrets_of(account.phone.store.db) == there

    account.before = lambda _: None
    anew = await account.phone.current()
    assert anew.newest not in (*of_thief.every, *there.every)
    assert set(there.every) <= set(anew.older), "and what was there is not pushed out"


async def test_what_was_sealed_after_a_removal_that_was_not_heard_of_here_opens_and_accuses_nobody(
    account: Account,
) -> None:
    laptop = account.links()
    laptop.hears()
    assert await laptop.keeper.opened("names") is None
    for number in (1, 2):
        account.revokes(account.links(secrets_of(account.phone.store.db).newest))
        await account.phone.writes(b"after")
        assert await laptop.keeper.opened("names") == (number, b"after")

    asked = len(account.asked)
    account.boxes["names"] = (3, b"nonsense")
    with pytest.raises(BoxRefused):
        await laptop.keeper.opened("names")
    assert len(account.asked) - asked <= 3


async def test_while_nobody_was_removed_what_does_not_open_is_refused(account: Account) -> None:
    account.boxes |= {"names": (1, b"nonsense"), BOX: (1, b"nonsense")}
    with pytest.raises(BoxRefused, match="copy of names"):
        await account.phone.keeper.opened("names")
    assert account.renewals == 1


async def test_the_only_device_that_is_left_waits_for_nobody(account: Account) -> None:
    """It was let in with the last secret, and those that had the new one are gone."""
    account.revokes(account.links())
    await account.phone.current()
    late = account.links(FIRST)
    with pytest.raises(NotPassedOn):
        await late.current()
    account.revokes(account.phone)

    found = await late.current()

    assert found.older == (FIRST,)
    assert account.renewals == 2
