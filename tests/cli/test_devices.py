"""`link` and `devices approve`, as they are typed (D-05)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from securechat.cli.line_finding import FINDING
from securechat.cli.link import progress_lines
from securechat.cli.main import cli
from securechat.client.commands import COMMANDS, Command, read_line
from securechat.client.events import LinkOffer, OwnDevice, Revocation
from securechat.client.linking import Compare, Waiting
from securechat.membership.invite import new_invite
from tests.cli.shell import PASSWORD, Shell, shell_in
from tests.cli.terminal import Terminal

OFFER = LinkOffer(number=3, name="laptop", device="n" * 26, address="10.0.0.5", asked=0)
CODE = "7K3Q-0V1A"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A folder with a running server, for all of these: each has a person of its own."""
    with shell_in(tmp_path_factory.mktemp("shell")) as made:
        made.start_server()
        yield made


def test_d_05_a_machine_is_linked_from_a_shell(shell: Shell) -> None:
    shell.register("alice")
    server = ["--server", f"localhost:{shell.port}", "--fingerprint", shell.fingerprint]
    password = ["--password-file", shell.password_file()]
    agent = shell.start("agent", "alice", *password)
    home = ["--home", str(shell.folder / "elsewhere")]
    new = shell.start("link", "alice", *home, *server, *password, "--name", "laptop", "--no-qr")
    assert new.stdout is not None
    code = new.stdout.readline().strip()
    file = shell.password_file()
    refused = shell.here("devices", "alice", "approve", new_invite().token, "--password-file", file)
    assert (refused.returncode, "invite" in refused.stderr) == (1, True)
    done = shell.account("devices", "alice", "approve", code, "--json")
    assert done.returncode == 0, done.stderr
    linked = json.loads(done.stdout)
    assert (linked["type"], linked["name"], linked["address"]) == ("linked", "laptop", "127.0.0.1")
    assert "revoke" in done.stderr
    assert new.wait(60) == 0
    assert shell.here("status", "alice", *home, *password).returncode == 0
    again = shell.here("link", "alice", *home, *server, *password)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    agent.terminate()
    agent.wait(60)


def test_d_05_a_device_that_nothing_holds_lets_in_too(shell: Shell) -> None:
    """It answers while it asks for the code: the new one shows none before."""
    shell.register("bob")
    server = ["--server", f"localhost:{shell.port}", "--fingerprint", shell.fingerprint]
    home = ["--home", str(shell.folder / "bobs")]
    password = ["--password-file", shell.password_file()]
    new = shell.start("link", "bob", *home, *server, *password, "--screen-reader")
    assert new.stdout is not None
    terminal = Terminal(["devices", "bob", "approve"], shell.environment(), shell.folder)
    try:
        terminal.wait(lambda lines: "Password" in lines[-1] if lines else False)
        terminal.type(PASSWORD + "\n")
        terminal.wait(lambda lines: "The code" in lines[-1])
        terminal.type(new.stdout.readline())
        assert terminal.end() == 0
        assert any("is linked now" in line for line in terminal.lines())
        assert not any(PASSWORD in line for line in terminal.lines())
    finally:
        terminal.close()
    assert new.wait(60) == 0


def test_what_is_said_while_it_waits() -> None:
    [(said, is_data)] = progress_lines(Waiting(), "alice", qr=True)
    assert ("alice" in said, is_data) == (True, False)


def test_the_code_is_data_and_the_rest_is_words() -> None:
    lines = progress_lines(Compare((("desk", CODE),)), "alice", qr=False)
    assert [line for line, is_data in lines if is_data] == [CODE]
    assert any("desk" in line for line, _ in lines)
    assert f"securechat devices alice approve {CODE}" in [line for line, _ in lines]


def test_one_code_is_drawn_and_of_several_none() -> None:
    one, several = Compare((("desk", CODE),)), Compare((("desk", CODE), ("phone", "1111-2222")))
    assert any("\u2588" in line for line, _ in progress_lines(one, "alice", qr=True))
    lines = progress_lines(several, "alice", qr=True)
    assert [line for line, is_data in lines if is_data] == [CODE, "1111-2222"]
    assert not any("\u2588" in line for line, _ in lines)


@pytest.mark.parametrize("words", [["frobnicate"], ["@bob", "@carol"], ["approve", CODE, CODE], ["approve"]])
def test_what_devices_does_not_know_is_a_slip(words: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["devices", "alice", *words, "--home", str(tmp_path)])
    assert done.exit_code == 2


class Account:
    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        async def verb(*given: Any) -> LinkOffer:
            self.asked.append((name, *given))
            return OFFER

        return verb


class Page:
    """A surface without a terminal of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, text: str) -> None:
        self.lines.append(text)

    tell = show


class Lent(Page):
    """One that can be borrowed."""

    async def aside(self, work: Any) -> None:
        work()


async def typed(line: str, page: Page, account: Account) -> str | None:
    command = read_line(line)
    assert isinstance(command, Command)
    face: Any = account
    return await FINDING[command.name](face, page, command, "@bob")


@pytest.mark.parametrize(
    ("password", "asked"),
    [("a password", ("approve_link", 3, "a password")), ("", ("decline_link", 3))],
)
async def test_a_chat_on_a_terminal_asks_for_the_password(
    password: str, asked: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.prompt", lambda *_given, **_named: password)
    page, account = Lent(), Account()
    assert await typed(f"/devices approve {CODE}", page, account) is None
    assert account.asked == [("link_offer", CODE), asked]
    assert "10.0.0.5" in page.lines[0]


async def test_a_chat_without_a_terminal_tries_no_code() -> None:
    account = Account()
    mistake = await typed(f"/devices approve {CODE}", Page(), account)
    assert mistake is not None
    assert f"securechat devices USER approve {CODE}" in mistake
    assert account.asked == []


async def test_a_slip_in_a_chat_tries_nothing() -> None:
    account = Account()
    assert await typed("/devices approve", Lent(), account) == "usage: " + COMMANDS["devices"][0]
    assert account.asked == []


class Owner(Account):
    """With two devices."""

    async def own_devices(self) -> list[OwnDevice]:
        return [
            OwnDevice(device="d" * 26, name="desk", this=True, since=0, seen=0),
            OwnDevice(device="p" * 26, name="the phone", this=False, since=0, seen=0, idle=True),
        ]

    async def rename_device(self, device: str, name: str) -> OwnDevice:
        self.asked.append(("rename_device", device, name))
        return OwnDevice(device="p" * 26, name=name, this=False, since=0, seen=0)

    async def revoke_device(self, device: str, password: str) -> Revocation:
        self.asked.append(("revoke_device", device, password))
        return Revocation(device=device, conversations=2, left=0)


async def test_m_17_a_chat_lists_the_accounts_own_devices_and_names_them() -> None:
    page, account = Page(), Owner()
    assert await typed("/devices list", page, account) is None
    assert [line.split(":")[0] for line in page.lines] == ["desk (dddddddd)", "the phone (pppppppp)"]
    assert "45 days" in page.lines[1]
    assert await typed('/devices rename "the phone" my phone', page, account) is None
    assert account.asked == [("rename_device", "the phone", "my phone")]
    assert page.lines[2] == "my phone (pppppppp): "


@pytest.mark.parametrize(("password", "asked"), [("a password", ["p" * 26]), ("", [])])
async def test_d_02_a_chat_removes_a_device_with_the_password(
    password: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one it is stands there before the password is asked for, also where a server moved names."""
    monkeypatch.setattr("click.prompt", lambda *_given, **_named: password)
    page, account = Lent(), Owner()
    assert await typed("/devices revoke the phone", page, account) is None
    assert account.asked == [("revoke_device", device, password) for device in asked]
    assert page.lines[0].startswith("the phone (pppppppp)")
    assert ("it is out of 2 of 2" if asked else "not removed") in page.lines[1]


@pytest.mark.parametrize("line", ["rename", "rename phone", "revoke", "list all"])
async def test_a_slip_about_devices_in_a_chat_changes_nothing(line: str) -> None:
    account = Owner()
    assert await typed(f"/devices {line}", Lent(), account) == "usage: " + COMMANDS["devices"][0]
    assert account.asked == []


async def test_d_02_a_chat_without_a_terminal_removes_nothing() -> None:
    account = Owner()
    mistake = await typed("/devices revoke the phone", Page(), account)
    assert mistake is not None
    assert "securechat devices USER revoke the phone" in mistake
    assert account.asked == []
