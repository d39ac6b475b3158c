"""Another password: everywhere or nowhere, whatever is killed when (A-09)."""

from collections.abc import Callable
from typing import Any

import pytest

from securechat.client import password_change, password_rows
from securechat.client.account_link import Place, asked, log_in_with_password, opened
from securechat.client.account_opening import open_account
from securechat.client.config import Home
from securechat.client.errors import ClientError, Disconnected, RefusedByServer, WrongPassword
from securechat.client.events import Connected, Notice
from securechat.client.keystore import load_keys, unlock
from securechat.client.password_change import change_password, settle
from securechat.client.store import ClientStore
from securechat.membership.passwords import PasswordRefused
from securechat.membership.signing import public_of
from securechat.protocol.messages import ChangeAccount
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
