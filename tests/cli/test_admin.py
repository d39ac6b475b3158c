"""`securechat admin` as it is typed, against a server in this process (N-02)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from securechat.cli.main import run
from securechat.membership.invite import read_invite
from securechat.server.app import App
from tests.server.peer import registered
from tests.server.running import running_server
from tests.server.test_attachments import put


@dataclass
class Said:
    code: int
    out: str
    err: str


Type = Callable[..., Awaitable[Said]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    """What a command comes to; it runs in a thread, as it would in another process."""

    async def run_it(app: App, *arguments: str) -> Said:
        capsys.readouterr()
        data = str(app.config.data)
        code = await asyncio.to_thread(run, ["admin", *arguments, "--data", data])
        return Said(code, *capsys.readouterr())

    return run_it


async def test_status_answers_in_its_first_line(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        said = await typed(app, "status")
        assert (said.code, said.err) == (0, "")
        assert said.out.splitlines()[0] == "ok"
        for word in ("up ", "fingerprint ", "certificate ", "connections ", "writes ", "process "):
            assert word in said.out
        as_json = await typed(app, "status", "--json")
        assert json.loads(as_json.out)["store"]["users"] == 1


async def test_status_ends_with_1_when_something_is_wrong(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path) as app:
        app._hasher._waiting = 64
        said = await typed(app, "status")
        assert said.code == 1
        assert said.out.startswith("WRONG: logins by password")


async def test_without_a_server_every_command_ends_with_69(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path) as app:
        pass
    for arguments in (["status"], ["users"], ["disable", "alice"], ["invite"], ["invite", "list"], ["gc"]):
        said = await typed(app, *arguments)
        assert said.code == 69
        assert "no server answers" in said.err


async def test_users_are_a_table(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob"):
        assert (await typed(app, "disable", "bob")).err == "@bob is disabled; 1 sessions were ended\n"
        assert (await typed(app, "quota", "alice", "2048")).err == "@alice: 2.0 KiB\n"
        lines = (await typed(app, "users")).out.splitlines()
        assert lines[0].split()[0] == "user"
        assert lines[1].startswith("@alice")
        assert "2.0 KiB" in lines[1]
        assert lines[2].split()[:2] == ["@bob", "disabled"]
        users = json.loads((await typed(app, "users", "--json")).out)["users"]
        assert [user["user"] for user in users] == ["alice", "bob"]
        assert (await typed(app, "enable", "bob")).code == 0
        assert (await typed(app, "quota", "alice", "default")).code == 0
        assert (await typed(app, "quota", "alice", "much")).code == 1
        unknown = await typed(app, "disable", "nobody")
        assert (unknown.code, unknown.err) == (1, "securechat: there is no account nobody here\n")


async def test_an_invite_is_printed_once_and_alone(tmp_path: Path, typed: Type) -> None:
    """A script takes the token from stdout; words for a person are on stderr."""
    async with running_server(tmp_path) as app:
        said = await typed(app, "invite", "--note", "for \x1b[2Jcarol", "--days", "2")
        token = said.out.strip()
        assert read_invite(token).token == token
        assert token not in said.err
        listed = await typed(app, "invite", "list")
        assert token not in listed.out
        assert r"for \x1b[2Jcarol" in listed.out
        as_json = (await typed(app, "invite", "list", "--json")).out
        assert as_json.strip().isprintable(), "G-02"
        assert json.loads(as_json)["invites"][0]["note"] == "for \x1b[2Jcarol"
        assert (await typed(app, "invite", "revoke", "1")).code == 0
        assert (await typed(app, "invite", "revoke", "1")).code == 1


async def test_a_backup_lands_where_the_command_was_typed(
    tmp_path: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        monkeypatch.chdir(tmp_path)
        said = await typed(app, "backup", "copy.db")
        assert said.code == 0
        assert "1 accounts" in said.err
        assert (tmp_path / "copy.db").exists()
        again = await typed(app, "backup", "copy.db")
        assert again.code == 1
        assert "exists already" in again.err


async def test_gc_says_that_there_was_nothing(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path) as app:
        said = await typed(app, "gc")
        assert (said.code, "nothing" in said.err) == (0, True)


async def test_the_server_is_found_by_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "server.toml").write_text('data = "data"\nadmin_socket = "data/other.sock"\n')
    async with running_server(tmp_path, admin_socket=tmp_path / "data" / "other.sock"):
        arguments = ["admin", "status", "--config", str(tmp_path / "server.toml")]
        assert await asyncio.to_thread(run, arguments) == 0
    assert capsys.readouterr().out.startswith("ok")


async def test_somebody_registers_with_a_token(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path, registration="invite") as app:
        token = (await typed(app, "invite")).out.strip()
        password = tmp_path / "password"
        password.write_text("correct horse battery staple\n")

        async def register(*more: str) -> int:
            arguments = ["register", "alice", "--server", f"127.0.0.1:{app.port}", "--accept-new"]
            arguments += ["--home", str(tmp_path / "home"), "--password-file", str(password), *more]
            return await asyncio.to_thread(run, arguments)

        assert await register() == 6, "no token, and no terminal to ask for one"
        assert await register("--invite", token[:-1]) == 1
        assert await register("--invite", token.upper().replace("-", "")) == 0


async def test_files_of_a_user_go_by_a_word(tmp_path: Path, typed: Type) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        assert "64.0 KiB" in (await typed(app, "users")).out
        said = await typed(app, "drop-files", "@alice")
        assert (said.code, said.err) == (0, "let go of 1 files of @alice\n")
        assert "64.0 KiB" not in (await typed(app, "users")).out
