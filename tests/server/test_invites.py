"""Registration by invite: one answer for every token that is none, a use counted with the account."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from securechat.membership.invite import new_invite
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import MAX_FRAME_BEFORE_LOGIN
from securechat.server import invites
from securechat.server.app import App
from securechat.server.config import DAY
from securechat.server.errors import Refusal
from securechat.server.invites import NewInvite, make_invite
from tests.server.peer import Peer, Person, WasRefused
from tests.server.running import running_server


async def an_invite(app: App, *, uses: int = 1, days: int = 7, now: int | None = None) -> NewInvite:
    made = app._desk.now() if now is None else now
    return await app._writer.find(lambda db: make_invite(db, uses=uses, days=days, note="", now=made))


async def told(app: App, person: Person, token: str) -> str:
    """What a registration with a token comes to: a code, or nothing."""
    peer = await Peer.connect(app.port)
    try:
        await peer.ask(replace(peer.registration(person), invite=token))
    except WasRefused as refused:
        return refused.code + refused.refusal.text
    finally:
        await peer.close()
    return ""


async def test_a_token_makes_as_many_accounts_as_it_says(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="invite") as app:
        token = (await an_invite(app, uses=2)).token
        people = [Person(user, app.identity.domain) for user in ("alice", "bob", "carol")]
        assert [await told(app, person, token) for person in people] == ["", "", "invite_needed"]
        assert await told(app, people[0], "") == "", "the same request again needs and costs nothing"
        rows = await app._readers.run(lambda db: db.execute("SELECT uses, used FROM invite").fetchall())
        assert rows == [(2, 2)]


async def test_of_a_race_for_the_last_use_one_wins(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="invite") as app:
        token = (await an_invite(app)).token
        people = [Person(f"user{number}", app.identity.domain) for number in range(6)]
        outcomes = await asyncio.gather(*(told(app, person, token) for person in people))
        assert sorted(outcomes) == ["", *["invite_needed"] * 5]


async def test_n_01_whatever_is_wrong_with_a_token_the_answer_is_one(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="invite") as app:
        expired = await an_invite(app, days=1, now=app._desk.now() - 2 * DAY)
        used, revoked = await an_invite(app), await an_invite(app)
        await app._writer.find(lambda db: db.execute("DELETE FROM invite WHERE id = ?", (revoked.number,)))
        assert await told(app, Person("alice", app.identity.domain), used.token) == ""
        for token in ("", "x" * 64, new_invite().token, expired.token, used.token, revoked.token):
            assert await told(app, Person("bob", app.identity.domain), token) == "invite_needed"


async def test_o_09_without_an_invite_nobody_learns_which_names_are_taken(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="invite") as app:
        token = (await an_invite(app, uses=5)).token
        assert await told(app, Person("alice", app.identity.domain), token) == ""
        other = Person("alice", app.identity.domain)
        assert await told(app, other, "") == "invite_needed"
        assert await told(app, other, token) == "name_taken"


async def test_closed_stays_closed_whoever_brings_a_token(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="closed") as app:
        token = (await an_invite(app)).token
        assert await told(app, Person("alice", app.identity.domain), token) == "registration_closed"


async def test_a_token_is_not_in_the_database(tmp_path: Path) -> None:
    """G-01: a copy of the database invites nobody."""
    async with running_server(tmp_path, registration="invite") as app:
        invite = await an_invite(app)
        assert invite.token not in repr(invite)
        letters = invite.token.replace("-", "").encode()
    stored = b"".join(path.read_bytes() for path in sorted((tmp_path / "data").iterdir()))
    assert letters not in stored.replace(b"-", b"")


async def test_there_are_only_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invites, "MAX_INVITES", 2)
    async with running_server(tmp_path) as app:
        await an_invite(app, days=1, now=app._desk.now() - 40 * DAY)
        await an_invite(app)
        await an_invite(app)
        with pytest.raises(Refusal, match="quota"):
            await an_invite(app)


def test_o_02_the_longest_registration_fits_a_strangers_frame() -> None:
    person = Person("a" * 32, "d" * 60 + ".securechat.example")
    body = replace(person.registration(bytes(32), bytes(64), bytes(64)), invite=new_invite().token)
    request = m.Request(1, msgspec.Raw(msgspec.msgpack.encode(body)))
    assert len(encode_frame(request)) < MAX_FRAME_BEFORE_LOGIN
