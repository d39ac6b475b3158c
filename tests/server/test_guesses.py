"""Guessing passwords: slow, told to the owner, and no way to keep the owner out (A-02, A-05, A-06)."""

import asyncio
import time
from pathlib import Path

import apsw
import pytest

from securechat.membership.signing import new_key
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.server.app import App
from securechat.server.config import Rate
from securechat.server.errors import Refusal
from securechat.server.guesses import FADES, MAX_GUESSES, Known, password_opens
from securechat.server.login_hash import LoginHasher
from tests.client.parts import a_moment
from tests.server.peer import Peer, Person, WasRefused, open_room, registered
from tests.server.running import UNLIMITED, running_server


def wrong(app: App, user: str) -> Person:
    return Person(user, app.identity.domain)


async def guess(app: App, person: Person) -> m.Refused | m.LoggedIn:
    """One password from a new connection."""
    peer = await Peer.connect(app.port)
    try:
        return await peer.log_in_with_password(person)
    except WasRefused as refused:
        return refused.refusal
    finally:
        await peer.close()


def at_one_moment(app: App) -> None:
    """No bucket gets a token back while we guess, however slow the machine is."""
    limiter, now = app._desk.limiter, time.monotonic()
    limiter._clock = lambda: now


async def code_of_guess(app: App, person: Person) -> str:
    answer = await guess(app, person)
    return answer.code if isinstance(answer, m.Refused) else "opened"


async def counted(app: App, user: str) -> tuple[int, int]:
    def find(db: apsw.Connection) -> tuple[int, int]:
        return db.execute(
            "SELECT failed_logins, failed_untold FROM account WHERE user = ?", (user,)
        ).fetchone() or (0, 0)

    await app._writer.find(lambda _db: None)  # what was submitted before is written
    return await app._writer.find(find)


async def set_failures(app: App, user: str, count: int, *, ago: int = 0) -> None:
    """So many wrong ones in a row, the last that counted so many seconds ago."""
    last = int(time.time()) - ago
    await app._writer.find(
        lambda db: db.execute(
            "UPDATE account SET failed_logins = ?, failed_at = ? WHERE user = ?", (count, last, user)
        )
    )


@pytest.mark.parametrize("user", ["alice", "nobody"])
async def test_a_06_guessing_is_slow_whoever_asks_and_whether_there_is_somebody(
    tmp_path: Path, user: str
) -> None:
    """Five at once, then one in three minutes: ten in any quarter of an hour."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as [_, (bob, _)]:
        at_one_moment(app)
        answers = [await guess(app, wrong(app, user)) for _ in range(8)]
        codes = [answer.code for answer in answers if isinstance(answer, m.Refused)]
        assert codes == ["wrong_credentials"] * 5 + ["limited"] * 3
        last = answers[-1]
        assert isinstance(last, m.Refused)
        assert last.retry_after == 180
        assert app._hasher.verified == 5, "what is limited is not hashed"
        assert await code_of_guess(app, bob) == "opened", "another's name is another's bucket"


async def test_a_06_who_goes_on_guessing_waits_longer_and_longer(tmp_path: Path) -> None:
    rates = {"passwords_by_day": Rate(2, 1e-3)}
    async with running_server(tmp_path, rates=rates) as app:
        codes = [await code_of_guess(app, wrong(app, "alice")) for _ in range(3)]
        assert codes == ["wrong_credentials"] * 2 + ["limited"]


async def test_a_06_one_guess_at_each_of_many_accounts_is_slow_too(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        at_one_moment(app)
        codes = [await code_of_guess(app, wrong(app, f"user{number}")) for number in range(33)]
        assert codes == ["wrong_credentials"] * 30 + ["limited"] * 3


async def test_a_06_right_passwords_cost_their_name_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, _)]:
        assert [await code_of_guess(app, keys) for _ in range(12)] == ["opened"] * 12


async def test_o_05_right_passwords_cost_their_address_as_much_as_wrong_ones(tmp_path: Path) -> None:
    """Each is a hash: what is free, many at a time from a few addresses keep the pool busy with (O-04)."""
    rates = {"passwords_by_address": Rate(4, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(keys, _)]:
        codes = [await code_of_guess(app, keys) for _ in range(6)]
        assert codes == ["opened"] * 4 + ["limited"] * 2
        assert app._hasher.verified == 4
        assert app.counters.limited == {"passwords_by_address": 2}


async def test_o_05_who_finds_the_pool_busy_has_paid_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"passwords_by_address": Rate(1, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(keys, _)]:

        async def busy(*_: object) -> bool:
            raise Refusal("busy", retry_after=1)

        with monkeypatch.context() as full:
            full.setattr(app._hasher, "verify", busy)
            assert [await code_of_guess(app, keys) for _ in range(3)] == ["busy"] * 3
        assert await code_of_guess(app, keys) == "opened"


async def test_a_06_who_is_guessed_at_goes_on_as_before_and_is_told(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), _ = people
        group, _ = await open_room(*people)
        for _ in range(20):
            await guess(app, wrong(app, "alice"))
        assert await counted(app, "alice") == (5, 5)
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"still here"))
        assert await alice.ask(body) == m.Appended(2), "the session that is there goes on"
        back = await Peer.connect(app.port)
        answer = await back.log_in(alices_keys)
        assert answer.failed_logins == 5, "a device logs in by its own key, and says what happened"
        assert await counted(app, "alice") == (0, 5)
        await back.ask(m.Sync())
        assert await counted(app, "alice") == (0, 0), "told"
        await back.close()


async def test_a_06_what_may_not_have_been_read_is_told_again(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, _)]:
        await guess(app, wrong(app, "alice"))
        for _ in range(2):
            cut = await Peer.connect(app.port)
            assert (await cut.log_in(keys)).failed_logins == 1
            await cut.close()


async def test_a_06_after_a_hundred_wrong_ones_the_right_password_alone_is_not_enough(
    tmp_path: Path,
) -> None:
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice") as [(keys, _)],
    ):
        await set_failures(app, "alice", MAX_GUESSES - 1)
        assert await code_of_guess(app, wrong(app, "alice")) == "wrong_credentials"
        assert await counted(app, "alice") == (MAX_GUESSES, 1)
        assert await code_of_guess(app, keys) == "wrong_credentials"
        peer = await Peer.connect(app.port)
        await peer.log_in(keys)
        assert await code_of_guess(app, keys) == "opened", "a device of hers has set it back"
        await peer.close()


async def test_a_06_a_day_later_the_right_password_opens_again_whoever_has_gone_on_guessing(
    tmp_path: Path,
) -> None:
    """Who has no device and no recovery key is kept out by nobody for good."""
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice") as [(keys, _)],
    ):
        await set_failures(app, "alice", MAX_GUESSES, ago=FADES - 60)
        assert await code_of_guess(app, wrong(app, "alice")) == "wrong_credentials"
        assert await code_of_guess(app, keys) == "wrong_credentials"
        (left,) = await app._writer.find(
            lambda db: db.execute("SELECT failed_at FROM account WHERE user = 'alice'").fetchone() or (0,)
        )
        assert left <= int(time.time()) - (FADES - 60), "a guess beyond the hundredth puts nothing off"
        assert (await counted(app, "alice"))[0] == MAX_GUESSES

        await set_failures(app, "alice", MAX_GUESSES, ago=FADES)
        assert await code_of_guess(app, wrong(app, "alice")) == "wrong_credentials"
        assert await counted(app, "alice") == (1, 3), "a new row, and all of it is told"
        assert await code_of_guess(app, keys) == "opened"


@pytest.mark.parametrize(
    ("count", "ago", "opens"),
    [(99, 0, True), (100, 0, False), (100, FADES - 1, False), (100, FADES, True), (100, -FADES, True)],
)
def test_a_06_which_row_of_wrong_ones_still_counts(count: int, ago: int, *, opens: bool) -> None:
    """Of a row that a wrong clock has put a day ahead nobody is kept out either."""
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE account (id, disabled, failed_logins, failed_at, password_changed)")
    db.execute("INSERT INTO account VALUES (1, NULL, ?, ?, 7)", (count, 10 * FADES - ago))
    assert password_opens(db, Known(1, "hash", 7), right=True, now=10 * FADES) == opens
    assert not password_opens(db, Known(1, "hash", 7), right=False, now=10 * FADES)


async def test_a_06_a_right_password_ends_a_row_of_wrong_ones(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice") as [(keys, _)],
    ):
        await set_failures(app, "alice", MAX_GUESSES - 1)
        assert await code_of_guess(app, keys) == "opened"
        assert await counted(app, "alice") == (0, 0)


async def test_a_05_unknown_wrong_disabled_and_locked_are_one(tmp_path: Path) -> None:
    """The same bytes, and a hash each; the disabled and the locked one with their right passwords."""
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice", "dora", "lea") as [_, (dora, _), (lea, _)],
    ):
        await set_failures(app, "lea", MAX_GUESSES)
        await app._writer.find(lambda db: db.execute("UPDATE account SET disabled = 1 WHERE user = 'dora'"))
        said = []
        for person in (wrong(app, "nobody"), wrong(app, "alice"), dora, lea):
            before = app._hasher.verified
            said.append(await guess(app, person))
            assert app._hasher.verified - before == 1, person.user
        assert {encode_frame(answer) for answer in said if isinstance(answer, m.Refused)} == {
            encode_frame(m.Refused(1, "wrong_credentials"))
        }
        assert len(said) == 4


async def test_a_05_no_answer_waits_for_the_disk(tmp_path: Path) -> None:
    """A wrong password for somebody is written down; who asks is answered before."""
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice") as [_],
    ):
        order: list[str] = []
        submit = app._writer.submit

        def noted(job: object) -> None:
            order.append(type(job).__name__)
            submit(job)  # type: ignore[arg-type]

        app._writer.submit = noted  # type: ignore[method-assign]
        await guess(app, wrong(app, "alice"))
        await guess(app, wrong(app, "nobody"))
        assert order == ["_Awaited", "WrongPassword"] * 2, "the same jobs, and nobody waits for the last"


async def login_hash(app: App, user: str) -> str:
    found = await app._readers.run(
        lambda db: db.execute("SELECT login_hash FROM account WHERE user = ?", (user,)).fetchone()
    )
    return str(found[0]) if found else ""


async def test_a_02_raised_costs_are_taken_up_at_the_next_good_login_and_only_there(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, _)]:
        old = await login_hash(app, "alice")
        raised = LoginHasher(passes=3, memory_kib=20 * 1024)
        app._desk.logins._accounts._hasher = raised
        assert await code_of_guess(app, wrong(app, "alice")) == "wrong_credentials"
        assert await login_hash(app, "alice") == old
        assert await code_of_guess(app, keys) == "opened"
        assert "m=20480,t=3,p=1" in await login_hash(app, "alice")
        assert await code_of_guess(app, keys) == "opened", "and the new one fits"
        raised.close()


@pytest.mark.parametrize(("passes", "memory_kib"), [(1, 19 * 1024), (2, 8 * 1024), (3, 8 * 1024)])
async def test_a_02_no_cost_is_ever_lowered(tmp_path: Path, passes: int, memory_kib: int) -> None:
    """Nor is one traded for another."""
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, _)]:
        old = await login_hash(app, "alice")
        lowered = LoginHasher(passes=passes, memory_kib=memory_kib)
        app._desk.logins._accounts._hasher = lowered
        assert await code_of_guess(app, keys) == "opened"
        assert await login_hash(app, "alice") == old
        lowered.close()


async def test_o_04_a_hash_that_waits_for_its_turn_is_not_made_for_who_has_gone(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, rates=UNLIMITED) as app,
        registered(app, "alice") as [(keys, _)],
    ):
        hasher, gate = app._hasher, asyncio.Event()
        loop = asyncio.get_running_loop()
        opened = asyncio.run_coroutine_threadsafe

        def blocked() -> None:
            opened(gate.wait(), loop).result()

        busy = [loop.run_in_executor(hasher._pool, blocked) for _ in range(hasher._pool._max_workers)]
        before = hasher.verified
        peers = [await Peer.connect(app.port) for _ in range(5)]
        guesses = [asyncio.create_task(peer.log_in_with_password(keys)) for peer in peers]
        while hasher._waiting < 5:
            await a_moment()
        for peer in peers[1:]:
            peer._writer.transport.abort()
        while hasher._waiting > 1:
            await a_moment()
        gate.set()
        await asyncio.gather(*busy)
        assert isinstance(await guesses[0], m.LoggedIn)
        assert hasher.verified - before == 1
        await asyncio.gather(*guesses[1:], return_exceptions=True)
        await peers[0].close()


async def test_who_is_ejected_hears_why_and_does_not_come_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (keys, alice), (_, bob) = people
        by_password = await Peer.connect(app.port)
        await by_password.log_in_with_password(keys)
        (session,) = [
            s for s in app._desk.sessions if s.caller and s.caller.user == "alice" and s.caller.client
        ]
        assert session.caller is not None
        await app._writer.find(lambda db: db.execute("UPDATE account SET disabled = 1 WHERE user = 'alice'"))
        assert app._desk.eject(session.caller.account) == 2
        for peer in (alice, by_password):
            await peer.until(lambda peer=peer: peer.closed is not None)  # type: ignore[misc]
            assert peer.closed is not None
            assert peer.closed.code == "disabled"
        assert await bob.ask(m.Ping()) == m.Done()
        again = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await again.log_in(keys)
        await again.close()
        await by_password.close()


async def test_a_stolen_account_key_is_no_password(tmp_path: Path) -> None:
    """What is hashed is the login key's public half; without the private one it opens nothing."""
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, _)]:
        peer = await Peer.connect(app.port)
        thief = Person("alice", app.identity.domain, login_key=new_key())
        assert await code_of_guess(app, thief) == "wrong_credentials"
        assert keys.login_key is not thief.login_key
        await peer.close()
