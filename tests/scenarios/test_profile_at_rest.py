"""What a profile's folder gives away, and how it answers who is not its owner (L-01, L-02, C-05)."""

import asyncio
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.client.client import Client
from securechat.client.errors import NoProfile, ProfileBusy, StoreDamaged, WrongPassword
from securechat.client.forwarding import forward
from securechat.client.keystore import load_keys, open_account_key, unlock
from securechat.client.store import ClientStore
from securechat.membership.passwords import stretch
from tests.scenarios.world import Person, World


@pytest.fixture
def careless_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def state_of(folder: Path) -> dict[str, str]:
    """Every file but the lock, which only says who looked last."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file() and path.name != "lock"
    }


def secrets_of(person: Person) -> list[bytes]:
    profile = person.home.profile(person.name)
    key = unlock(profile, person.password)
    with ClientStore(profile.database, key) as store:
        keys = load_keys(store)
        epochs = [row[0] for row in store.rows("SELECT secrets FROM group_secrets")]
    stretched = stretch(person.password, domain=keys.domain, user=keys.user, salt=keys.login_salt)
    account_key = open_account_key(
        stretched.vault_key, keys.account_key_sealed, domain=keys.domain, user=keys.user
    )
    assert epochs
    return [
        person.password.encode(),
        key,
        stretched.vault_key,
        stretched.login_key.private_bytes_raw(),
        keys.device_key.private_bytes_raw(),
        account_key.private_bytes_raw(),
        *(epoch[:64] for epoch in epochs),
    ]


async def test_a_folder_holds_nothing_that_can_be_read_without_the_password(world: World) -> None:
    """L-02: open or closed, canaries of every kind are in no file."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "canary-plaintext-7481")
    await bob.hears("canary-plaintext-7481")
    await bob.client.create_room("#canary-room-7481", topic="canary-topic-7481")
    await bob.client.invite("#canary-room-7481", "alice")
    while_open = bytes_below(alice.home.path) + bytes_below(bob.home.path)
    await alice.close()
    await bob.close()

    written = while_open + bytes_below(alice.home.path) + bytes_below(bob.home.path)
    assert b"canary" not in written
    for person in (alice, bob):
        for canary in secrets_of(person):
            assert canary not in written
            assert canary.hex().encode() not in written


@pytest.mark.usefixtures("careless_umask")
async def test_everything_a_running_client_makes_is_private(world: World) -> None:
    """L-01: folders 0700, files and the socket 0600, whatever the umask."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")

    for person in (alice, bob):
        profile = person.home.profile(person.name)
        made = [person.home.path, profile.socket, *person.home.path.rglob("*")]
        assert {"account.json", "store.db", "store.db-wal", "store.db-shm", "lock"} <= {p.name for p in made}
        for path in made:
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.lstat().st_mode) == expected, path
        assert stat.S_ISSOCK(profile.socket.lstat().st_mode)


async def test_a_wrong_password_opens_nothing_and_changes_nothing(world: World) -> None:
    alice = await world.register("alice")
    folder = alice.home.profile("alice").folder
    before = state_of(folder)

    with pytest.raises(WrongPassword, match="the password of alice is wrong"):
        await Client.open(alice.home, "alice", "quite another password", trust=world.trust)

    assert state_of(folder) == before
    await alice.open()


async def test_a_user_who_is_not_here_is_said(world: World) -> None:
    alice = await world.register("alice")

    with pytest.raises(NoProfile, match="securechat register nobody"):
        await Client.open(alice.home, "nobody", "a long enough password", trust=world.trust)
    assert not alice.home.profile("nobody").folder.exists()


async def test_one_process_owns_a_profile(world: World) -> None:
    """The second is told which process it is; it goes through the socket instead, without a password."""
    (alice,) = await world.join("alice")
    profile = alice.home.profile("alice")

    with pytest.raises(ProfileBusy, match=f"process {os.getpid()}"):
        await Client.open(alice.home, "alice", alice.password, trust=world.trust)
    assert (await forward(profile, "status", {}))["user"] == "alice"

    await alice.close()
    assert not profile.socket.exists()
    await alice.open()


FORWARD = """
import asyncio, sys
from pathlib import Path
from securechat.client.config import Home
from securechat.client.forwarding import connected

async def send(profile, text):
    async with connected(profile) as face:
        message = await face.send("@bob", text)
        print((await face.acknowledged(message.local_id, 30)).state)

asyncio.run(send(Home(Path(sys.argv[1])).profile("alice"), sys.argv[2]))
"""


async def test_another_process_sends_through_the_owner(world: World) -> None:
    alice, bob = await world.join("alice", "bob")

    command = (sys.executable, "-c", FORWARD, str(alice.home.path), "from a script")
    one_shot = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await one_shot.communicate()

    assert printed == b"sent\n"
    assert one_shot.returncode == 0
    await bob.hears("from a script")


async def test_a_store_whose_bits_rot_is_one_clear_error(world: World) -> None:
    """C-05: nothing of a damaged store is believed; the lock is let go."""
    alice = await world.register("alice")
    database = alice.home.profile("alice").database
    whole = database.read_bytes()
    database.write_bytes(whole[:1000] + bytes([whole[1000] ^ 4]) + whole[1001:])

    for _ in range(2):
        with pytest.raises(StoreDamaged, match="restore the folder"):
            await alice.open()
    database.write_bytes(whole)
    await alice.open()


async def test_a_profile_of_another_account_does_not_open_here(world: World) -> None:
    """The store of one account beside the account file of another: another key."""
    alice, bob = await world.register("alice"), await world.register("bob")
    ours = alice.home.profile("alice").database
    theirs = bob.home.profile("bob").database
    ours.write_bytes(theirs.read_bytes())

    with pytest.raises(StoreDamaged, match="another key"):
        await alice.open()
