import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.config import (
    Home,
    ServerAddress,
    default_home,
    short_socket_folder,
)
from securechat.client.errors import BadAddress
from securechat.names import NameRefused

GOOD = [
    ("localhost", "localhost", 7443),
    ("localhost:1", "localhost", 1),
    (" Chat.Example.ORG:7443 ", "chat.example.org", 7443),
    ("127.0.0.1:65535", "127.0.0.1", 65535),
    ("[::1]", "::1", 7443),
    ("[0:0::1]:9", "::1", 9),
    ("bücher.example", "xn--bcher-kva.example", 7443),
]

BAD = [
    "",
    ":7443",
    "host:",
    "host:0",
    "host:65536",
    "host:٣",
    "::1",
    "[::1",
    "[host]:1",
    "[127.0.0.1]:1",
    "a b:1",
    "user@host:1",
    "https://host:1",
    "host:1/x",
    "-x:1",
    "host\x1b:1",
    "1.2.3:5",
    "x" * 300,
]


@pytest.mark.parametrize(("text", "host", "port"), GOOD)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    address = ServerAddress.parse(text)

    assert (address.host, address.port) == (host, port)
    assert ServerAddress.parse(str(address)) == address


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused_with_one_sentence(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        ServerAddress.parse(text)

    assert "\n" not in str(refused.value)
    assert str(refused.value).isprintable()


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = ServerAddress.parse(text)
    except BadAddress:
        return
    assert ServerAddress.parse(str(address)) == address


def test_a_profile_stays_in_its_home(tmp_path: Path) -> None:
    home = Home(tmp_path)

    assert home.profile("@Alice").folder == tmp_path / "alice"
    for name in ("..", "../x", "/etc", "a/b", "", "a\0"):
        with pytest.raises(NameRefused):
            home.profile(name)


def test_a_home_is_an_absolute_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert Home(Path("here")).path == tmp_path / "here"
    assert Home(Path("~")).path == Path.home()
    assert default_home().path.name == "securechat"
    assert default_home().path.is_absolute()


def test_a_socket_is_where_nobody_else_can_be_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """L-01: in the profile's folder; where the system takes no such path, in the user's own."""
    short = Home(Path("/h")).profile("alice")
    long = Home(tmp_path / ("x" * 120)).profile("alice")
    other = Home(tmp_path / ("x" * 120)).profile("bob")

    monkeypatch.setattr(sys, "platform", "linux")
    assert (short.socket, long.socket) == (Path("/h/alice/socket"), long.folder / "socket")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert short.socket == Path("/h/alice/socket")
    assert long.socket.parent == short_socket_folder()
    assert short_socket_folder().parent == Path.home()
    assert long.socket == Home(tmp_path / ("x" * 120)).profile("alice").socket != other.socket
