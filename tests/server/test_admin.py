"""Administration: what it can, and that the table of methods is all it can (N-01, N-02, G-03)."""

import asyncio
import contextlib
import logging
import os
import re
import socket
import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from securechat import unix_socket
from securechat.membership.signing import public_of
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.server import admin_socket
from securechat.server.admin import METHODS, AdminRefused
from securechat.server.admin_call import NoServer, opened
from securechat.server.admin_socket import MAX_LINE
from securechat.server.app import App
from securechat.server.errors import ConfigError
from tests.server.peer import Peer, WasRefused, open_room, publish, registered
from tests.server.running import running_server

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations" / "README.md"

EXAMPLES: dict[str, dict[str, Any]] = {
    "users": {},
    "disable": {"user": "alice"},
    "enable": {"user": "alice"},
    "quota": {"user": "alice", "bytes": 1000},
    "drop_files": {"user": "alice"},
    "invite": {"note": "for carol"},
    "invites": {},
    "revoke_invite": {"number": 1},
    "backup": {"file": "replaced by the test"},
    "gc": {},
    "status": {},
}


async def ask(app: App, method: str, **params: Any) -> Any:
    """One call over the socket, as the command makes it."""

    def call() -> Any:
        with opened(app.config.admin_socket_file) as line:
            return line.call(method, params)

    return await asyncio.to_thread(call)


async def raw(app: App, *lines: bytes) -> list[Any]:
    """What the socket answers to bytes, until it has nothing more to say."""
    reader, writer = await asyncio.open_unix_connection(sock=connected(app.config.admin_socket_file))
    for line in lines:
        writer.write(line)
    writer.write_eof()
    answers: list[bytes] = []
    with contextlib.suppress(ConnectionResetError):  # it was not even read
        async with asyncio.timeout(10):
            answers = (await reader.read()).splitlines()
    writer.close()
    return [msgspec.json.decode(answer) for answer in answers]


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with unix_socket.reachable(path) as address:
        connection.connect(address)
    connection.settimeout(0)
    return connection


# Accounts.


async def test_n_02_a_disabled_account_is_out_at_once_and_learns_nothing(tmp_path: Path) -> None:
    """Also A-05: its owner is told what a wrong password is told."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alice, line), (_, bob) = people
        by_password = await Peer.connect(app.port)
        await by_password.log_in_with_password(alice)
        assert await ask(app, "disable", user="@Alice") == {"changed": True, "ended": 2}
        for peer in (line, by_password):
            await peer.until(lambda peer=peer: peer.closed is not None)  # type: ignore[misc]
            assert peer.closed is not None
            assert peer.closed.code == "disabled"
        wrong = encode_frame(m.Refused(1, "wrong_credentials"))
        for attempt in ("log_in", "log_in_with_password", "register"):
            peer = await Peer.connect(app.port)
            with pytest.raises(WasRefused) as refused:
                await getattr(peer, attempt)(alice)
            assert encode_frame(refused.value.refusal) == wrong
            await peer.close()
        await bob.ask(m.Ping())
        await by_password.close()


async def test_n_02_an_enabled_account_finds_everything_as_it_was(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, line)]:
        await publish(line, alice, 2)
        await ask(app, "disable", user="alice")
        assert await ask(app, "disable", user="alice") == {"changed": False, "ended": 0}
        assert await ask(app, "enable", user="alice") == {"changed": True}
        assert await ask(app, "enable", user="alice") == {"changed": False}
        again = await Peer.connect(app.port)
        assert (await again.log_in(alice)).high_water == 1
        await again.close()


async def test_a_06_too_many_wrong_passwords_are_forgiven_by_enabling(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        await app._writer.find(
            lambda db: db.execute(
                "UPDATE account SET failed_logins = 100, failed_at = ?", (int(time.time()),)
            )
        )
        visitor = await Peer.connect(app.port)
        with pytest.raises(WasRefused, match="wrong_credentials"):
            await visitor.log_in_with_password(alice)
        assert await ask(app, "enable", user="alice") == {"changed": True}
        assert await ask(app, "enable", user="alice") == {"changed": False}
        assert (await visitor.log_in_with_password(alice)).client == ""
        await visitor.close()


async def test_n_02_a_login_that_is_under_way_does_not_slip_through(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        peers = [await Peer.connect(app.port) for _ in range(6)]

        async def log_in(peer: Peer, number: int) -> None:
            try:
                await (peer.log_in_with_password(alice) if number % 2 else peer.log_in(alice))
            except (WasRefused, ConnectionError):
                return

        logins = [asyncio.create_task(log_in(peer, number)) for number, peer in enumerate(peers)]
        await ask(app, "disable", user="alice")
        await asyncio.gather(*logins)
        assert [session for session in app._desk.sessions if session.caller is not None] == []
        for peer in peers:
            await peer.close()


async def test_users_come_in_order_and_in_pages(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "carol", "alice", "bob"):
        await ask(app, "disable", user="bob")
        await ask(app, "quota", user="alice", bytes=5000)
        first = await ask(app, "users", limit=2)
        assert [(user["user"], bool(user["disabled"]), user["quota"]) for user in first["users"]] == [
            ("alice", False, 5000),
            ("bob", True, None),
        ]
        assert first["more"]
        rest = await ask(app, "users", after="bob")
        assert [user["user"] for user in rest["users"]] == ["carol"]
        assert not rest["more"]
        assert rest["users"][0]["devices"] == 1


@pytest.mark.parametrize("method", ["disable", "enable", "quota", "drop_files"])
async def test_an_unknown_account_is_said_in_one_sentence(tmp_path: Path, method: str) -> None:
    async with running_server(tmp_path) as app:
        for user in ("nobody", "no body", "@"):
            with pytest.raises(AdminRefused) as refused:
                await ask(app, method, user=user)
            assert refused.value.exit_code == 1


async def test_a_quota_goes_back_to_the_default(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        assert await ask(app, "quota", user="alice", bytes=7) == {"bytes": 7}
        assert await ask(app, "quota", user="alice") == {"bytes": None}
        assert (await ask(app, "users"))["users"][0]["quota"] is None


# Invites.


async def test_an_invite_is_made_listed_used_and_revoked(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="invite") as app:
        made = await ask(app, "invite", uses=2, note="for the choir")
        (listed,) = (await ask(app, "invites"))["invites"]
        assert (listed["number"], listed["uses"], listed["note"]) == (made["number"], 2, "for the choir")
        assert made["token"] not in str(listed)
        assert await ask(app, "revoke_invite", number=made["number"]) == {"changed": True}
        assert await ask(app, "revoke_invite", number=made["number"]) == {"changed": False}
        assert (await ask(app, "invites"))["invites"] == []


# Backup, gc, status.


async def test_a_backup_is_made_and_remembered(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        assert "no backup" in (await ask(app, "status"))["notes"][0]
        facts = await ask(app, "backup", file=str(tmp_path / "copy.db"))
        assert (facts["users"], facts["bytes"] > 0) == (1, True)
        assert (await ask(app, "status"))["notes"] == []
        for file in (str(tmp_path / "copy.db"), "relative.db", str(tmp_path / "no" / "folder.db")):
            with pytest.raises(AdminRefused):
                await ask(app, "backup", file=file)


async def test_gc_says_what_went(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        assert set((await ask(app, "gc")).values()) == {0}


async def test_several_administrators_and_a_busy_server_disturb_nobody(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        group, _ = await open_room(*people)
        (_, alice), (_, bob) = people
        sends = [alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"x"))) for _ in range(40)]
        calls = [ask(app, method) for method in ("status", "users", "gc", "invites") * 2]
        for found in await asyncio.gather(*calls):
            assert isinstance(found, dict)
        for request in sends:
            await alice.answer(request)
        await bob.entry(41)


# The table is the whole power.


def test_n_02_the_methods_are_those_of_the_document() -> None:
    table = DOCUMENT.read_text().split("## The methods")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(METHODS) == set(EXAMPLES)


def test_n_02_no_method_takes_a_password_a_key_or_a_device() -> None:
    fields = {field for kind in METHODS.values() for field in kind.__struct_fields__}
    assert fields == {"after", "limit", "user", "bytes", "uses", "days", "note", "number", "file"}


MAY_CHANGE = {
    "account": {"disabled", "quota"},
    "server": {"last_backup", "probed"},
    "invite": {"id", "digest", "note", "uses", "used", "created", "not_after"},
}


async def test_n_02_an_evil_administrator_changes_nothing_else_and_reads_nothing(tmp_path: Path) -> None:
    """Also G-01: every method is called, and nothing that is kept comes out or is touched."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        group, _ = await open_room(*people)
        (alice, line), (bob, other) = people
        await publish(other, bob, 2, last_resort=True)
        await line.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"canary")))
        await line.close()
        await other.close()
        before = await kept(app)
        said = b""
        for method, params in EXAMPLES.items():
            given = params | ({"file": str(tmp_path / "copy.db")} if method == "backup" else {})
            said += msgspec.json.encode(await ask(app, method, **given))
        assert await kept(app) == before
        secret = await secrets_of(app)
    for value in (*secret, public_of(alice.device_key), public_of(alice.login_key), b"canary"):
        assert value not in said
        assert value.hex().encode() not in said


async def kept(app: App) -> dict[str, list[dict[str, Any]]]:
    """Every table, without what administration may change."""

    def read(db: Any) -> dict[str, list[dict[str, Any]]]:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        tables = {}
        for name in names:
            if name.startswith("sqlite_"):
                continue
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
            rows = [dict(zip(columns, row, strict=True)) for row in db.execute(f"SELECT * FROM {name}")]  # noqa: S608 - names of our own
            allowed = MAY_CHANGE.get(name, set())
            if name in MAY_CHANGE and allowed >= set(columns):
                continue
            tables[name] = [{key: row[key] for key in row if key not in allowed} for row in rows]
        return tables

    return await app._readers.run(read)


async def secrets_of(app: App) -> list[bytes]:
    """Every blob in the database that is long enough to be looked for, and the password hashes."""
    tables = await kept(app)
    values = [value for rows in tables.values() for row in rows for value in row.values()]
    hashes = [value.encode() for value in values if isinstance(value, str) and value.startswith("$argon2")]
    return [value for value in values if isinstance(value, bytes) and len(value) >= 16] + hashes


# The socket.


async def test_n_01_the_socket_is_private_and_goes_with_the_server(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        path = app.config.admin_socket_file
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()
    with pytest.raises(NoServer) as none:
        await ask(app, "status")
    assert none.value.exit_code == 69


async def test_a_dead_servers_socket_is_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(0o700)
    dead = socket.socket(socket.AF_UNIX)
    with unix_socket.reachable(data / "admin.sock") as address:
        dead.bind(address)
    dead.close()
    async with running_server(tmp_path) as app:
        assert (await ask(app, "status"))["identity"]["pid"] == os.getpid()


@pytest.mark.parametrize("kind", ["link", "file"])
async def test_l_01_anything_else_in_its_place_stops_the_start(tmp_path: Path, kind: str) -> None:
    data, victim = tmp_path / "data", tmp_path / "victim"
    data.mkdir(0o700)
    victim.write_text("precious")
    (data / "admin.sock").symlink_to(victim) if kind == "link" else victim.rename(data / "admin.sock")
    with pytest.raises(ConfigError, match="in the place of our socket"):
        async with running_server(tmp_path):
            raise AssertionError
    assert (data / "admin.sock").read_text() == "precious"


async def test_a_living_servers_socket_stays_with_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as first:
        async with running_server(tmp_path) as second:
            assert second.port != first.port
        assert (await ask(first, "status"))["identity"]["listening"].endswith(str(first.port))


async def test_n_01_another_user_of_the_machine_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app:
        monkeypatch.setattr(unix_socket, "peer_uid", lambda _connection: os.geteuid() + 1)
        with pytest.raises(NoServer, match="another user"):
            await ask(app, "status")
        # Last, because it waits for the server's end of it, and so for that of the one before.
        assert await raw(app, b'{"jsonrpc":"2.0","id":1,"method":"status"}\n') == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"x\n", -32700),
        (b"[" * 5000 + b"\n", -32600),
        (b"{}\n", -32600),
        (b'{"method":"status","id":1,"jsonrpc":"1.0"}\n', -32600),
        (b'{"method":"read","id":1}\n', -32601),
        (b'{"method":"users","id":1,"params":{"limit":0}}\n', -32602),
        (b'{"method":"quota","id":1,"params":{"user":"a","bytes":-1}}\n', -32602),
        (b'{"method":"disable","id":1,"params":{"user":"a","password":"x"}}\n', -32602),
        (b'{"method":"disable","id":1,"params":{"user":"nobody"}}\n', -32000),
        (b" " * (MAX_LINE + 1) + b"\n", -32600),
    ],
)
async def test_what_is_no_call_is_refused_by_its_code(tmp_path: Path, line: bytes, code: int) -> None:
    async with running_server(tmp_path) as app:
        (answer,) = await raw(app, line)
        assert answer["error"]["code"] == code


async def test_half_a_call_does_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        assert await raw(app, b'{"method":"disable","id":1,"params":{"user":"alice"}}') == []
        assert (await ask(app, "users"))["users"][0]["disabled"] is None


async def test_there_are_only_so_many_administrators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_socket, "MAX_CONNECTIONS", 2)
    async with running_server(tmp_path) as app:
        idle = [
            await asyncio.open_unix_connection(sock=connected(app.config.admin_socket_file)) for _ in "ab"
        ]
        for _, writer in idle:
            writer.write(b"{}\n")
        for reader, _ in idle:
            await reader.readline()
        with pytest.raises(NoServer):
            await ask(app, "status")
        for _, writer in idle:
            writer.close()


async def test_o_01_who_says_nothing_to_the_socket_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "SILENCE_SECONDS", 0)
    async with running_server(tmp_path) as app:
        reader, writer = await asyncio.open_unix_connection(sock=connected(app.config.admin_socket_file))
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_g_02_a_mistake_of_ours_is_a_number_and_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app:

        async def broken(_params: Any) -> Any:
            raise ZeroDivisionError("secret detail")

        monkeypatch.setitem(app._admin._administration._methods, "gc", broken)
        with pytest.raises(AdminRefused) as refused:
            await ask(app, "gc")
        assert refused.value.exit_code == 2
        assert re.fullmatch(r"see [0-9a-f]{8} in the server's log", str(refused.value))
        status = await ask(app, "status")
        assert str(refused.value).split()[1] in status["errors"][0]["text"]
        assert "secret detail" not in str(status)
        assert "errors in the last hour" in status["problems"][0]["what"]


async def test_g_03_what_an_administrator_does_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_server(tmp_path) as app, registered(app, "alice"):
        await ask(app, "disable", user="alice")
        token = (await ask(app, "invite", note="for carol"))["token"]
        await ask(app, "users")
    said = [r.getMessage() for r in caplog.records if r.name == "securechat.server.security"]
    assert "admin action=disable user=alice" in said
    assert not [line for line in said if "action=users" in line]
    assert token not in caplog.text
    assert "carol" not in caplog.text
