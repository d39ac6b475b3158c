"""Who has gone leaves nothing behind: no place, no timer, no work, no open file (O-07, O-08)."""

import asyncio
import functools
import socket
from pathlib import Path
from types import CoroutineType

import pytest

from securechat.protocol import messages as m
from securechat.server import admin_socket, http
from securechat.server import session as session_module
from securechat.server.accounts import standing
from securechat.server.app import App
from securechat.server.errors import Refusal
from securechat.server.lobby import Lobby
from securechat.server.session import Session
from tests.server.peer import Peer, WasRefused, create_request, registered
from tests.server.running import running_server, until
from tests.server.test_admin import ask, connected
from tests.server.test_pump import session_of


async def test_o_08_the_hub_forgets_who_has_gone(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as [_, (_, bob)]:
        assert len(app.hub) == 2
        bob._writer.transport.abort()
        await until(lambda: app.connections == 1)
        assert len(app.hub) == 1


async def test_o_08_the_hub_forgets_whose_login_came_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise Refusal("wrong_credentials")

    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, line)]:
        await line.close()
        monkeypatch.setattr(session_module, "standing", refuses)
        peer = await Peer.connect(app.port)
        with pytest.raises(WasRefused):
            await peer.log_in(alice)
        assert len(app.hub) == 0
        await peer.close()


async def test_o_08_a_hold_ends_with_its_connection(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        session = session_of(app, "alice")
        session._hold()
        alice._writer.transport.abort()
        session._pump.resume()  # it hears of the end
        await until(lambda: app.connections == 0)
        assert session._held is not None
        assert session._held.cancelled()


async def test_o_07_what_waits_to_be_judged_for_who_has_gone_is_not(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, alice)]:
        session = session_of(app, "alice")
        turns = session._turns
        assert turns is not None
        async with app._desk.judges.of(0):
            for _ in range(5):
                alice.send(create_request(keys.group()))
            await until(lambda: len(turns._waiting) == 5)
            alice._writer.transport.abort()
            await until(lambda: app.connections == 0)
        assert not turns._waiting
        await until(lambda: turns._task is None)
        assert await groups_of(app) == 0


async def groups_of(app: App) -> int:
    return int(await app._writer.find(lambda db: db.execute("SELECT count(*) FROM conversation").get))


async def test_o_07_commits_of_several_are_judged_one_at_a_time(tmp_path: Path) -> None:
    """However many connections they come over: a reader's thread is left for those who read."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        begun, go_on = 0, asyncio.Event()
        run = app._desk.readers.run

        async def held(work: object) -> object:
            nonlocal begun
            begun += 1
            await go_on.wait()
            return await run(work)  # type: ignore[arg-type]

        app._desk.readers.run = held  # type: ignore[method-assign, assignment]
        asked = [(peer, peer.send(create_request(keys.group()))) for keys, peer in people]
        sessions = [each for each in app._desk.sessions if isinstance(each, Session) and each._turns]
        await until(lambda: all(each._turns is not None and each._turns._task for each in sessions))
        await until(lambda: begun > 0)
        assert begun == 1
        go_on.set()
        for peer, request_id in asked:
            assert await peer.answer(request_id) == m.Appended(0)
        assert begun == 3


async def test_o_08_a_server_that_has_ended_keeps_no_file_open(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        await alice.ask(m.CountKeyPackages())
        assert files_below(tmp_path)
    assert app.failure is None, "it is still here to hold them"
    assert files_below(tmp_path) == []


async def test_o_08_a_server_that_has_ended_leaves_neither_timer_nor_task(tmp_path: Path) -> None:
    def left() -> list[str]:
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        timers = [each._callback for each in scheduled if not each.cancelled()]
        tasks = [each.get_coro() for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        modules = [getattr(each, "__module__", None) for each in timers]
        files = [each.cr_code.co_filename for each in tasks if isinstance(each, CoroutineType)]
        return [each for each in (*modules, *files) if each and "securechat" in each and "tests" not in each]

    async with running_server(tmp_path, http_port=0) as app, registered(app, "alice"):
        assert left() != []
    assert left() == []


def files_below(folder: Path) -> list[str]:
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = str(each.readlink())
        except FileNotFoundError:  # of this listing itself
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


async def test_o_08_a_visitor_who_is_dropped_is_closed() -> None:
    here, there = socket.socketpair()
    hall = Lobby(speaks=lambda _: None, left=lambda *_: None)
    hall.open()
    visitor = hall.take(here)
    hall.drop(visitor)
    assert (visitor.gone, here.fileno(), len(hall)) == (True, -1, 0)
    hall.close()
    there.close()


async def test_administrators_who_have_gone_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "MAX_CONNECTIONS", 2)
    async with running_server(tmp_path) as app:
        for _ in range(4):
            assert await ask(app, "users") == {"users": [], "more": False}


async def test_n_02_who_was_disabled_between_the_proof_and_the_login_is_not_let_in(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        caller = session_of(app, "alice").caller
        assert caller is not None
        await ask(app, "disable", user="alice")
        with pytest.raises(Refusal, match="wrong_credentials"):
            await app._writer.find(functools.partial(standing, caller, 0))


async def test_a_07_a_connection_becomes_somebodys_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob"):
        alice, bob = session_of(app, "alice"), session_of(app, "bob")
        assert bob.caller is not None
        with pytest.raises(Refusal, match="bad_request"):
            alice._become(bob.caller)
        assert alice.caller is not None
        assert alice.caller.user == "alice"


async def test_n_04_what_was_asked_for_in_the_moment_of_stopping_is_written(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        asked = app._writer.find(lambda db: db.execute("SELECT 1").get)
        waiting = asyncio.ensure_future(asked)
        await asyncio.sleep(0)  # it is submitted, and not handed over yet
        await app._writer.close()
        async with asyncio.timeout(20):
            assert await waiting == 1


async def test_n_04_nobody_who_only_sits_there_holds_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 60)
    async with asyncio.timeout(20):
        async with running_server(tmp_path, http_port=0) as app:
            _, one = await asyncio.open_unix_connection(sock=connected(app.config.admin_socket_file))
            _, other = await asyncio.open_connection("127.0.0.1", app.http_port)
            assert app._http is not None
            at_admin, at_http = app._admin._tasks, app._http._tasks
            await until(lambda: len(at_admin) == len(at_http) == 1)
    one.close()
    other.close()
