"""Registration and login: who proves what, and what a stranger learns (A-01, A-03, A-05)."""

import re
import secrets
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.membership.identity import make_client_credential
from securechat.membership.login import Purpose
from securechat.membership.passwords import PARAMETERS
from securechat.membership.signing import new_key, public_of
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.server.app import App
from securechat.server.login_hash import MAX_WAITING
from tests.server.peer import Peer, Person, WasRefused, registered
from tests.server.running import running_server


async def code_of(peer: Peer, body: m.RequestBody) -> str:
    with pytest.raises(WasRefused) as refused:
        await peer.ask(body)
    return refused.value.code


async def test_a_registration_sent_again_finds_what_it_made(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        person = Person("alice", app.identity.domain)
        for _ in range(2):
            peer = await Peer.connect(app.port)
            answer = await peer.register(person)
            assert (answer.user, answer.client, answer.high_water) == ("alice", person.client, 0)
            await peer.close()


async def test_a_taken_name_stays_whose_it_is(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        peer = await Peer.connect(app.port)
        other = Person("alice", app.identity.domain)
        assert await code_of(peer, peer.registration(other)) == "name_taken"
        same_client = Person("bob", app.identity.domain, client=alice.client)
        assert await code_of(peer, peer.registration(same_client)) == "exists"
        await peer.close()


@pytest.mark.parametrize("user", ["Alice", "1alice", "al ice", "\u0430lice", "alice\n"])
async def test_u_04_names_outside_the_grammar_are_refused(tmp_path: Path, user: str) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        body = replace(peer.registration(Person("alice", app.identity.domain)), user=user)
        assert await code_of(peer, body) == "name_refused"
        await peer.close()


def spoilt(peer: Peer, person: Person) -> dict[str, m.Register]:
    """Registrations that each break one rule."""
    right = peer.registration(person)
    stranger = Person("alice", person.domain, client=person.client)
    forged = make_client_credential(
        domain=person.domain,
        user="alice",
        client=person.client,
        account_key=person.account_key,
        signature_key_public=public_of(new_key()),
        suites=(3,),
    )
    return {
        "login signature": replace(right, login_signature=bytes(64)),
        "device signature": replace(right, device_signature=right.login_signature),
        "another nonce": replace(right, client_nonce=bytes(32)),
        "credential of another key": replace(right, credential=forged),
        "credential of another account": replace(right, credential=stranger.credential),
        "no credential": replace(right, credential=b"x"),
        "statement of another account": replace(right, statement=stranger.statement),
        "another account key": replace(right, account_key=public_of(new_key())),
    }


async def test_d_03_a_registration_that_is_not_certified_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        person = Person("alice", app.identity.domain)
        first = await Peer.connect(app.port)
        spoils = list(spoilt(first, person))
        await first.close()
        for spoil in spoils:
            peer = await Peer.connect(app.port)
            body = spoilt(peer, person)[spoil]
            assert await code_of(peer, body) in {"wrong_credentials", "bad_request"}, spoil
            await peer.close()


async def test_the_password_opens_the_account_and_binds_no_device(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        peer = await Peer.connect(app.port)
        answer = await peer.log_in_with_password(alice)
        assert (answer.user, answer.client) == ("alice", "")
        assert isinstance(await peer.ask(m.GetAccount("alice")), m.Account)
        assert await code_of(peer, m.Sync()) == "forbidden"
        assert await code_of(peer, m.SendMessage(b"g" * 16, 0, b"x")) == "forbidden"
        assert await code_of(peer, m.PublishKeyPackages()) == "forbidden"
        await peer.close()


async def failed_logins(app: App, known: Person) -> list[m.Refused]:
    """What is said to an unknown user, a wrong password, an unknown device and a wrong device key."""
    unknown = Person("nobody", app.identity.domain)
    wrong = Person("alice", app.identity.domain)
    stolen = Person("alice", app.identity.domain, client=known.client)
    said = []
    for person, by_password in (
        (unknown, True),
        (wrong, True),
        (unknown, False),
        (wrong, False),
        (stolen, False),
    ):
        peer = await Peer.connect(app.port)
        with pytest.raises(WasRefused) as refused:
            await (peer.log_in_with_password(person) if by_password else peer.log_in(person))
        said.append(refused.value.refusal)
        await peer.close()
    return said


async def test_a_05_who_fails_to_log_in_learns_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        before = app._hasher.verified
        said = await failed_logins(app, alice)
        assert {encode_frame(refused) for refused in said} == {
            encode_frame(m.Refused(1, "wrong_credentials"))
        }
        assert app._hasher.verified - before == 2, "the dummy hash ran for the unknown user"


async def test_a_05_unknown_users_have_salts_that_stay(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        peer = await Peer.connect(app.port)
        known = await peer.ask(m.PasswordParameters("alice"))
        nobody = [await peer.ask(m.PasswordParameters("nobody")) for _ in range(2)]
        other = await peer.ask(m.PasswordParameters("somebody"))
        assert known == m.PasswordSalt(alice.salt, PARAMETERS.passes, PARAMETERS.memory_kib, PARAMETERS.lanes)
        assert nobody[0] == nobody[1] != other
        assert isinstance(other, m.PasswordSalt)
        assert len(other.salt) == len(alice.salt)
        await peer.close()


async def test_a_login_seen_on_one_connection_opens_no_other(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        first, second = await Peer.connect(app.port), await Peer.connect(app.port)
        nonce = secrets.token_bytes(32)
        signature = alice.device_key.sign(first.challenge(alice, Purpose.DEVICE, nonce, alice.client))
        body = m.LogIn("alice", alice.client, nonce, signature)
        assert await code_of(second, body) == "wrong_credentials"
        assert isinstance(await first.ask(body), m.LoggedIn)
        await first.close()
        await second.close()


async def test_a_signature_for_one_purpose_serves_no_other(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        peer = await Peer.connect(app.port)
        nonce = secrets.token_bytes(32)
        signature = alice.device_key.sign(peer.challenge(alice, Purpose.REGISTER, nonce, alice.client))
        assert await code_of(peer, m.LogIn("alice", alice.client, nonce, signature)) == "wrong_credentials"
        await peer.close()


async def test_a_guesser_is_shown_the_door(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        for _ in range(5):
            with pytest.raises(WasRefused):
                await peer.log_in(Person("alice", app.identity.domain))
        await peer.until(lambda: peer.closed is not None)
        assert peer.closed is not None
        assert peer.closed.code == "protocol_error", "and not only let go because its time is up"
        await peer.close()


async def test_a_01_the_database_holds_salted_argon2id_and_nothing_plainer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        twins = [Person(user, app.identity.domain, login_key=new_key()) for user in ("alice", "bob")]
        twins[1].login_key = twins[0].login_key
        for person in twins:
            peer = await Peer.connect(app.port)
            await peer.register(person)
            await peer.close()
        rows = await app._readers.run(lambda db: db.execute("SELECT login_hash FROM account").fetchall())
        hashes = [str(login_hash) for (login_hash,) in rows]
        assert all(
            re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}", h) for h in hashes
        )
        assert hashes[0] != hashes[1], "same login key, other salt"
    stored = b"".join(path.read_bytes() for path in sorted((tmp_path / "data").iterdir()))
    assert public_of(twins[0].login_key) not in stored


async def test_o_04_more_logins_than_can_wait_are_told_to_come_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        app._hasher._waiting = MAX_WAITING
        peer = await Peer.connect(app.port)
        with pytest.raises(WasRefused) as refused:
            await peer.log_in_with_password(alice)
        assert (refused.value.code, refused.value.refusal.retry_after > 0) == ("busy", True)
        await peer.close()


@pytest.mark.parametrize("field", ["login_key", "client_nonce", "salt", "device_signature"])
async def test_a_03_what_is_hashed_or_verified_has_one_length(tmp_path: Path, field: str) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        body = peer.registration(Person("alice", app.identity.domain))
        peer.send(replace(body, **{field: getattr(body, field) + b"x"}))
        await peer.until(lambda: peer.closed is not None)
        assert peer.closed is not None
        assert peer.closed.code == "protocol_error"
        await peer.close()
