import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from securechat.client import new_profile, registration
from securechat.client.config import Home, ServerAddress
from securechat.client.errors import (
    ClientError,
    Disconnected,
    NameTaken,
    ProfileBusy,
    ProfileExists,
    RefusedByServer,
    ServerChanged,
    ServerUntrusted,
    Unfinished,
    UnsafeFile,
)
from securechat.client.keystore import load_keys, open_account_key, unlock
from securechat.client.lock import ProfileLock
from securechat.client.registration import Registered, register
from securechat.client.store import ClientStore
from securechat.client.trust import Trust
from securechat.membership.identity import certificate_holds, read_identity
from securechat.membership.login import Purpose, login_to_sign
from securechat.membership.passwords import PasswordKeys, PasswordRefused, stretch
from securechat.membership.signing import new_key, public_of, verify_signed
from securechat.membership.statement import verify_statement
from securechat.names import NameRefused
from securechat.protocol.messages import Refused, Register
from tests.client.certificates import self_signed
from tests.client.rogue import DROP, Rogue, running, welcome

PASSWORD = "canary staple battery"

pytestmark = pytest.mark.usefixtures("cheap_argon2")


@pytest.fixture
async def rogue(tmp_path: Path) -> AsyncIterator[Rogue]:
    async with running(Rogue(self_signed(tmp_path), domain="example.org")) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def careless_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


async def registered(
    rogue: Rogue, home: Home, *, password: str = PASSWORD, user: str = "alice"
) -> Registered:
    return await register(home, rogue.address, user, password, Trust(accept_new=True))


def the_request(rogue: Rogue) -> Register:
    (request,) = {body for body in rogue.asked if isinstance(body, Register)}
    return request


async def test_an_account_is_made_and_opens_with_its_password(rogue: Rogue, home: Home) -> None:
    done = await registered(rogue, home, user="@Alice")

    profile = home.profile("alice")
    with ClientStore(profile.database, unlock(profile, PASSWORD)) as store:
        keys = load_keys(store)
    assert done.fingerprint == rogue.fingerprint
    assert (done.user, done.domain, done.server) == ("alice", "example.org", rogue.address)
    assert (keys.user, keys.domain, keys.server, keys.registered) == (
        "alice",
        "example.org",
        rogue.address,
        True,
    )
    vault_key = stretch(PASSWORD, domain="example.org", user="alice", salt=keys.login_salt).vault_key
    account_key = open_account_key(vault_key, keys.account_key_sealed, domain="example.org", user="alice")
    assert public_of(account_key) == keys.account_key


async def test_what_register_carries_holds(rogue: Rogue, home: Home) -> None:
    """rules.md B: the account key certifies the device; login key and device key sign this connection."""
    await registered(rogue, home)

    request = the_request(rogue)
    credential = read_identity(request.credential)
    assert certificate_holds(credential, request.device_key)
    assert credential.user_name == "alice"
    (device,) = verify_statement(request.statement).devices
    assert device.signature_key == request.device_key
    challenge = login_to_sign(
        purpose=Purpose.REGISTER,
        domain="example.org",
        user="alice",
        client=request.client,
        server_nonce=rogue.nonces[-1],
        client_nonce=request.client_nonce,
        certificate_hash=rogue.certificate_hash,
    )
    assert verify_signed(request.login_key, challenge, signature=request.login_signature)
    assert verify_signed(request.device_key, challenge, signature=request.device_signature)


async def test_nothing_secret_crosses_the_wire_or_lies_on_the_disk(rogue: Rogue, home: Home) -> None:
    """L-02, P7: canaries in every byte that was sent and every file of the home."""
    await registered(rogue, home)

    profile = home.profile("alice")
    store_key = unlock(profile, PASSWORD)
    with ClientStore(profile.database, store_key) as store:
        keys = load_keys(store)
    stretched = stretch(PASSWORD, domain="example.org", user="alice", salt=keys.login_salt)
    account_key = open_account_key(
        stretched.vault_key, keys.account_key_sealed, domain="example.org", user="alice"
    )
    canaries = [
        PASSWORD.encode(),
        store_key,
        stretched.vault_key,
        stretched.login_key.private_bytes_raw(),
        account_key.private_bytes_raw(),
        keys.device_key.private_bytes_raw(),
    ]
    files = [path for path in home.path.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in files)
    assert len(files) >= 4
    for canary in canaries:
        for form in (canary, canary.hex().encode()):
            assert form not in written
            assert form not in rogue.received


@pytest.mark.usefixtures("careless_umask")
async def test_everything_made_is_private_whatever_the_umask(rogue: Rogue, home: Home) -> None:
    """L-01."""
    await registered(rogue, home)

    for path in (home.path, *home.path.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.lstat().st_mode) == expected, path


async def test_a_link_in_the_place_of_the_profile_is_refused(
    rogue: Rogue, home: Home, tmp_path: Path
) -> None:
    """L-01."""
    home.make()
    (tmp_path / "elsewhere").mkdir(0o700)
    home.profile("alice").folder.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UnsafeFile, match="symbolic link"):
        await registered(rogue, home)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_after_a_lost_answer_the_same_keys_go_on(rogue: Rogue, home: Home) -> None:
    rogue.script = lambda _body: DROP
    with pytest.raises(Disconnected):
        await registered(rogue, home)
    rogue.script = welcome
    await registered(rogue, home)

    first, second = (body for body in rogue.asked if isinstance(body, Register))
    assert (first.client, first.account_key, first.device_key, first.login_key, first.salt) == (
        second.client,
        second.account_key,
        second.device_key,
        second.login_key,
        second.salt,
    )
    assert (first.credential, first.statement) == (second.credential, second.statement)
    assert first.client_nonce != second.client_nonce


async def test_a_begun_registration_is_held_to_its_password_and_server(rogue: Rogue, home: Home) -> None:
    rogue.script = lambda _body: DROP
    with pytest.raises(Disconnected):
        await registered(rogue, home)

    with pytest.raises(ProfileExists, match="its own password"):
        await registered(rogue, home, password="another long password")
    with pytest.raises(Unfinished, match=f"--server {rogue.address}"):
        await register(home, ServerAddress("localhost", 1), "alice", PASSWORD, Trust(accept_new=True))
    rogue.script = lambda _body: Refused(0, "registration_closed")
    with pytest.raises(RefusedByServer):
        await registered(rogue, home)
    rogue.identity = new_key()
    with pytest.raises(ServerChanged):
        await registered(rogue, home)
    assert unlock(home.profile("alice"), PASSWORD)


async def test_a_begun_registration_does_not_move_to_another_domain(rogue: Rogue, home: Home) -> None:
    rogue.script = lambda _body: DROP
    with pytest.raises(Disconnected):
        await registered(rogue, home)
    rogue.domain = "elsewhere.org"

    with pytest.raises(ServerUntrusted, match=r"was begun with example\.org"):
        await register(home, rogue.address, "alice", PASSWORD, Trust(fingerprint=rogue.fingerprint))
    assert len(rogue.asked) == 1


@pytest.mark.parametrize("code", ["name_taken", "registration_closed", "name_refused", "busy", "quota"])
async def test_a_no_leaves_nothing_behind(rogue: Rogue, home: Home, code: str) -> None:
    rogue.script = lambda _body: Refused(0, code)

    with pytest.raises(RefusedByServer) as refused:
        await registered(rogue, home)

    assert refused.value.code == code
    assert not home.profile("alice").folder.exists()
    rogue.script = welcome
    await registered(rogue, home, password="a completely different one")


async def test_o_05_a_registration_waits_as_long_as_it_is_asked_to(
    rogue: Rogue, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def no_time(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("securechat.client.registration.asyncio.sleep", no_time)
    refusals = [Refused(0, "limited", retry_after=20), Refused(0, "limited", retry_after=20)]
    rogue.script = lambda body: refusals.pop() if refusals else welcome(body)
    await registered(rogue, home)
    assert waited == [20, 20]


@pytest.mark.parametrize(("after", "waits"), [(3_600, 0), (25, 2)])
async def test_o_05_a_registration_does_not_wait_for_ever(
    rogue: Rogue, home: Home, monkeypatch: pytest.MonkeyPatch, after: int, waits: int
) -> None:
    waited: list[float] = []

    async def no_time(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("securechat.client.registration.asyncio.sleep", no_time)
    rogue.script = lambda _body: Refused(0, "limited", retry_after=after)
    with pytest.raises(RefusedByServer, match=f"in {after} seconds") as refused:
        await registered(rogue, home)
    assert (len(waited), refused.value.exit_code) == (waits, 75)
    assert not home.profile("alice").folder.exists()


async def test_a_name_taken_in_the_meantime_ends_a_begun_registration(rogue: Rogue, home: Home) -> None:
    rogue.script = lambda _body: DROP
    with pytest.raises(Disconnected):
        await registered(rogue, home)
    rogue.script = lambda _body: Refused(0, "name_taken")

    with pytest.raises(NameTaken):
        await registered(rogue, home)
    assert not home.profile("alice").folder.exists()


async def test_an_account_is_registered_once(rogue: Rogue, home: Home) -> None:
    await registered(rogue, home)

    for password in (PASSWORD, "another long password"):
        with pytest.raises(ProfileExists):
            await registered(rogue, home, password=password)
    assert sum(isinstance(body, Register) for body in rogue.asked) == 1


async def test_a_crash_before_anything_was_sent_is_forgotten(
    rogue: Rogue, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store without an account file: nobody heard of its keys."""
    profile = home.profile("alice")
    home.make()
    profile.folder.mkdir(0o700)
    profile.database.write_bytes(b"half a store")

    await registered(rogue, home)

    assert unlock(profile, PASSWORD)


async def test_a_disk_that_fails_leaves_nothing_behind(
    rogue: Rogue, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-04."""

    def full(*_arguments: object) -> None:
        raise ClientError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(new_profile, "create_account", full)
        with pytest.raises(ClientError, match="full"):
            await registered(rogue, home)

    assert not rogue.asked
    assert not home.profile("alice").folder.exists()
    await registered(rogue, home)


async def test_two_that_register_one_name_at_once_do_not_mix(rogue: Rogue, home: Home) -> None:
    home.make()
    profile = home.profile("alice")
    profile.folder.mkdir(0o700)
    with ProfileLock(profile), pytest.raises(ProfileBusy):
        await registered(rogue, home)
    assert not rogue.asked


async def test_what_can_not_be_an_account_is_refused_before_anything_is_made(
    rogue: Rogue, home: Home
) -> None:
    """A-03."""
    with pytest.raises(NameRefused):
        await registered(rogue, home, user="../alice")
    with pytest.raises(PasswordRefused):
        await registered(rogue, home, password="fourteen chars")

    assert not rogue.received
    assert not home.path.exists()


async def test_a_server_that_is_not_trusted_gets_no_registration(rogue: Rogue, home: Home) -> None:
    """T-04."""
    with pytest.raises(ServerUntrusted):
        await register(home, rogue.address, "alice", PASSWORD, Trust())

    assert not rogue.asked
    assert not home.profile("alice").folder.exists()


async def test_stretching_may_take_longer_than_the_server_waits(
    rogue: Rogue, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()

    async def hang_up() -> None:
        rogue.hang_up("slow")
        await rogue.writers[-1].wait_closed()

    def slowly(password: str, *, domain: str, user: str, salt: bytes) -> PasswordKeys:
        asyncio.run_coroutine_threadsafe(hang_up(), loop).result()
        return stretch(password, domain=domain, user=user, salt=salt)

    monkeypatch.setattr(registration, "stretch", slowly)
    done = await registered(rogue, home)
    assert done.user == "alice"
    assert len(rogue.connections) == 2
    assert len([body for body in rogue.asked if isinstance(body, Register)]) == 1
