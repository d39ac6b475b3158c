"""Another password: everywhere or nowhere, whatever is killed when (A-09)."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.client import password_change, password_rows
from securechat.client.account_link import Place, as_device, asked, log_in_with_password, opened
from securechat.client.account_opening import open_account
from securechat.client.config import Home
from securechat.client.errors import ClientError, Disconnected, RefusedByServer, WrongPassword
from securechat.client.events import Connected, Notice
from securechat.client.keystore import load_keys, unlock
from securechat.client.password_change import ChosenElsewhere, change_password, settle
from securechat.client.registration import Wishes, register
from securechat.client.store import ClientStore
from securechat.membership.account import next_statement
from securechat.membership.passwords import PasswordRefused
from securechat.membership.signing import public_of
from securechat.membership.vault import VaultRefused
from securechat.protocol.messages import Account, ChangeAccount, GetAccount
from tests.scenarios.siblings import another_device
from tests.scenarios.world import Person, World

NEW = "this is quite another password"


class Killed(BaseException):
    """The end of the process, as far as what it was about to do is concerned."""


def place_of(person: Person) -> Place:
    return Place(person.home, person.address, person.world.trust, person.name)


async def works_everywhere(person: Person, password: str) -> bool:
    """Whether a password opens the store, the account key, and the account at the server."""
    profile = person.home.profile(person.name)
    try:
        with ClientStore(profile.database, unlock(profile, password)) as store:
            keys = load_keys(store)
            account_key, _ = open_account(store, keys, password)
            assert public_of(account_key) == keys.account_key
        async with opened(place_of(person)) as link:
            await log_in_with_password(link, person.name, password)
    except (WrongPassword, RefusedByServer):
        return False
    return True


def writes(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have the process end before its n-th write (from 0); the request to the server counts as one."""
    left = 0

    def counted(module: Any, name: str) -> None:
        real = getattr(module, name)

        def write(*given: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return real(*given, **named)

        monkeypatch.setattr(module, name, write)

    for name in ("write_next", "take_next", "_promote"):
        counted(password_change, name)
    counted(password_rows, "put")
    counted(password_rows, "drop")

    async def request(link: Any, body: Any) -> Any:
        nonlocal left
        if isinstance(body, ChangeAccount):
            if left == 0:
                raise Killed
            left -= 1
        return await asked(link, body)

    monkeypatch.setattr(password_change, "asked", request)

    def kill_after(count: int) -> None:
        nonlocal left
        left = count

    return kill_after


async def test_a_09_another_password_holds_everywhere_and_the_old_one_nowhere(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    code = bob.client.fingerprint("@alice").safety_number
    await alice.close()

    done = await change_password(place_of(alice), alice.password, NEW)

    assert (done.earlier, done.opens_vault) == (False, False)
    assert await works_everywhere(alice, NEW)
    assert not await works_everywhere(alice, alice.password)
    alice.password = NEW
    await alice.open()
    await alice.says("@bob", "after")
    await bob.hears("after")
    notices = [each.code for each in alice.events if isinstance(each, Notice)]
    assert "password_changed" not in notices  # she knows
    assert bob.client.fingerprint("@alice").safety_number == code  # the same identity


@pytest.mark.parametrize("writes_done", range(7))
async def test_a_09_a_kill_between_any_two_writes_leaves_the_old_or_the_new_password(
    world: World, monkeypatch: pytest.MonkeyPatch, writes_done: int
) -> None:
    alice = await world.register("alice")
    with monkeypatch.context() as patched:
        writes(patched)(writes_done)
        try:
            await change_password(place_of(alice), alice.password, NEW)
        except Killed:
            killed = True
        else:
            killed = False
    assert killed == (writes_done < 6)  # row, file, server, profile, file, row

    old, new = [await works_everywhere(alice, each) for each in (alice.password, NEW)]
    assert old or new
    assert new == (writes_done >= 3)

    password = NEW if new else alice.password
    await change_password(place_of(alice), password, NEW + ", once more")
    holds = [await works_everywhere(alice, each) for each in (alice.password, NEW, NEW + ", once more")]
    assert holds.count(True) == 1
    assert not holds[0]
    alice.password = NEW if holds[1] else NEW + ", once more"
    await alice.open()
    await alice.sees(Connected)


async def test_what_was_begun_is_finished_by_the_next_opening_that_knows_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.register("alice")
    with monkeypatch.context() as patched:
        writes(patched)(4)
        with pytest.raises(Killed):
            await change_password(place_of(alice), alice.password, NEW)
    profile = alice.home.profile("alice")

    with ClientStore(profile.database, unlock(profile, alice.password)) as store:
        settle(profile, store)

    assert await works_everywhere(alice, NEW)
    with pytest.raises(WrongPassword):
        unlock(profile, alice.password)
    assert not profile.next_account.exists()


async def test_a_change_that_never_reached_the_server_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.register("alice")

    async def lost(link: Any, body: Any) -> Any:
        if isinstance(body, ChangeAccount):
            raise Disconnected("the line broke")
        return await asked(link, body)

    with monkeypatch.context() as patched:
        patched.setattr(password_change, "asked", lost)
        with pytest.raises(Disconnected):
            await change_password(place_of(alice), alice.password, NEW)
    assert await works_everywhere(alice, alice.password)
    done = await change_password(place_of(alice), alice.password, "a third one, which is not taken now")

    assert done.earlier  # the one that was begun; the words of the command say so
    assert await works_everywhere(alice, NEW)


async def test_a_09_a_wrong_or_a_simple_password_changes_nothing(world: World) -> None:
    alice = await world.register("alice")
    for old, new, error in (
        (alice.password + "!", NEW, WrongPassword),
        (alice.password, "too short", PasswordRefused),
        (alice.password, "alicealicealicealice", PasswordRefused),
    ):
        with pytest.raises(error):
            await change_password(place_of(alice), old, new)
    assert await works_everywhere(alice, alice.password)
    assert not alice.home.profile("alice").next_account.exists()


async def test_whoever_is_not_here_has_no_password(world: World) -> None:
    await world.register("alice")
    stranger = Place(Home(world.folder / "home-alice"), world.address, world.trust, "bob")
    with pytest.raises(ClientError):
        await change_password(stranger, NEW, NEW)


async def another_statement(person: Person) -> None:
    """Another device of the account changes something else of it."""
    profile = person.home.profile(person.name)
    with ClientStore(profile.database, unlock(profile, NEW)) as store:
        keys = load_keys(store)
        account_key, _ = open_account(store, keys, NEW)
        async with as_device(place_of(person), keys) as link:
            answer = await asked(link, GetAccount(person.name))
            assert isinstance(answer, Account)
            later = int(time.time()) + 100  # of one second, they would be one statement
            made = next_statement(account_key, previous=answer.statement, issued_at=later)
            await asked(link, ChangeAccount(made.statement))


async def cut_off(person: Person, monkeypatch: pytest.MonkeyPatch, *, taken: bool) -> None:
    """Change the password; the answer is lost, and before that the request where it is not ``taken``."""

    async def lost(link: Any, body: Any) -> Any:
        answer = await asked(link, body) if taken or not isinstance(body, ChangeAccount) else None
        if isinstance(body, ChangeAccount):
            raise Disconnected("the line broke")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(password_change, "asked", lost)
        with pytest.raises(Disconnected):
            await change_password(place_of(person), person.password, NEW)


@pytest.mark.parametrize("opened_between", [False, True])
async def test_a_09_a_change_that_was_taken_holds_though_another_statement_has_followed(
    world: World, monkeypatch: pytest.MonkeyPatch, *, opened_between: bool
) -> None:
    """The answer was lost; whatever this device hears first, the new password is not given up."""
    alice = await world.register("alice")
    await alice.open()  # knows from now on when the password was changed last
    await alice.sees(Connected)
    await alice.close()
    await cut_off(alice, monkeypatch, taken=True)
    await another_statement(alice)
    if opened_between:
        await alice.open()  # hears of both statements at once
        await alice.client.caught_up()
        await alice.close()
        profile = alice.home.profile("alice")
        with ClientStore(profile.database, unlock(profile, NEW)) as store:
            settle(profile, store)
    else:
        done = await change_password(place_of(alice), alice.password, "one that is not taken now")
        assert done.earlier

    assert await works_everywhere(alice, NEW)
    with pytest.raises(WrongPassword):
        unlock(alice.home.profile("alice"), alice.password)
    told = [each.code for each in alice.events if isinstance(each, Notice)]
    assert "password_changed" not in told  # she did it herself


@pytest.mark.parametrize("opened_between", [False, True])
async def test_a_09_a_change_that_never_came_through_is_given_up_when_the_chain_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch, *, opened_between: bool
) -> None:
    alice = await world.register("alice")
    await cut_off(alice, monkeypatch, taken=False)
    await another_statement(alice)
    if opened_between:
        await alice.open()
        await alice.client.caught_up()
        await alice.close()

    third = "the third of her passwords"
    done = await change_password(place_of(alice), alice.password, third)

    assert not done.earlier
    assert [await works_everywhere(alice, each) for each in (alice.password, NEW, third)] == [
        False,
        False,
        True,
    ]


async def two_devices(world: World, *, opens_vault: bool) -> tuple[Person, Person]:
    """Two devices of one account, both closed."""
    alice = Person(world, "alice")
    world.people["alice"] = alice
    wishes = Wishes(recovery_key=True, password_opens_vault=opens_vault)
    await register(alice.home, alice.address, "alice", alice.password, world.trust, wishes=wishes)
    await alice.open()
    phone = await another_device(alice)
    await alice.close()
    return alice, phone


async def test_a_09_a_password_is_not_changed_past_a_vault_that_the_server_keeps_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one would go on opening it, and the new one never."""
    alice, _ = await two_devices(world, opens_vault=True)

    async def kept_back(_link: object) -> None:
        return None

    with monkeypatch.context() as lying:
        lying.setattr(password_change, "sealed_vault", kept_back)
        with pytest.raises(VaultRefused, match="keeps no vault"):
            await change_password(place_of(alice), alice.password, NEW)
    assert await works_everywhere(alice, alice.password)
    assert (await change_password(place_of(alice), alice.password, NEW)).opens_vault


@pytest.mark.parametrize("opens_vault", [False, True])
async def test_a_09_another_device_takes_a_new_password_over_and_changes_nothing_else(
    world: World, *, opens_vault: bool
) -> None:
    alice, phone = await two_devices(world, opens_vault=opens_vault)
    await change_password(place_of(alice), alice.password, NEW)

    done = await change_password(place_of(phone), phone.password, NEW)

    assert done.taken_over
    assert await works_everywhere(phone, NEW)
    assert not await works_everywhere(phone, phone.password)
    assert await works_everywhere(alice, NEW), "the first device's is still the account's"
    third = "the third of her passwords"
    assert (await change_password(place_of(alice), NEW, third)).opens_vault == opens_vault
    assert await works_everywhere(alice, third)


async def test_a_09_of_two_passwords_of_one_second_each_device_knows_which_one_holds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was killed before it heard that the other was faster: its own is not taken for the one in force."""
    alice, phone = await two_devices(world, opens_vault=False)
    now = time.time()
    monkeypatch.setattr(password_change, "time", SimpleNamespace(time=lambda: now))
    await cut_off(phone, monkeypatch, taken=False)
    theirs = "what the other device chose"
    await change_password(place_of(alice), alice.password, theirs)

    done = await change_password(place_of(phone), phone.password, theirs)

    assert done.taken_over
    assert [await works_everywhere(each, theirs) for each in (alice, phone)] == [True, True]


async def test_a_09_a_device_that_is_behind_is_told_which_password_the_vault_needs(world: World) -> None:
    alice, phone = await two_devices(world, opens_vault=True)
    await change_password(place_of(alice), alice.password, NEW)

    with pytest.raises(ChosenElsewhere, match="give it here as the new password"):
        await change_password(place_of(phone), phone.password, "the third of her passwords")

    assert await works_everywhere(alice, NEW)
    unlock(phone.home.profile("alice"), phone.password)
    assert (await change_password(place_of(phone), phone.password, NEW)).taken_over


@pytest.mark.parametrize("writes_done", range(4))
async def test_a_09_a_kill_while_a_password_is_taken_over_leaves_one_that_opens_all(
    world: World, monkeypatch: pytest.MonkeyPatch, writes_done: int
) -> None:
    alice, phone = await two_devices(world, opens_vault=False)
    await change_password(place_of(alice), alice.password, NEW)
    with monkeypatch.context() as patched:
        writes(patched)(writes_done)
        with pytest.raises(Killed):  # file, row, file, row
            await change_password(place_of(phone), phone.password, NEW)

    opening = NEW if writes_done >= 2 else phone.password
    assert unlock(phone.home.profile("alice"), opening)
    await change_password(place_of(phone), opening, NEW)
    assert await works_everywhere(phone, NEW)
    assert not phone.home.profile("alice").next_account.exists()
