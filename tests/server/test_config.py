"""What a server is told, and who may register by default."""

from pathlib import Path

import pytest

from securechat.server.config import ServerConfig, is_loopback, resolve_config
from securechat.server.errors import ConfigError
from securechat.server.identity import load_identity, read_fingerprint
from securechat.server.store.sqlite import prepare_database
from tests.server.peer import Peer, Person, WasRefused
from tests.server.running import running_server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.1.2.3"])
def test_n_01_this_machine_may_register(host: str) -> None:
    assert ServerConfig(host=host).admits == "open"


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 - not bound here
        "::",
        "192.0.2.1",
        "chat.example.org",
        "localhost.example.org",
        "",
    ],
)
def test_n_01_the_world_may_register_only_if_somebody_says_so(host: str) -> None:
    assert not is_loopback(host)
    assert ServerConfig(host=host).admits == "closed"
    assert ServerConfig(host=host, registration="open").admits == "open"


async def test_n_01_registration_closed_is_closed(tmp_path: Path) -> None:
    async with running_server(tmp_path, registration="closed") as app:
        peer = await Peer.connect(app.port)
        assert peer.hello is not None
        assert peer.hello.registration == "closed"
        with pytest.raises(WasRefused) as refused:
            await peer.register(Person("alice", app.identity.domain))
        assert refused.value.code == "registration_closed"
        await peer.close()


async def test_n_01_a_new_server_has_no_account(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        found = await app._readers.run(lambda db: db.execute("SELECT count(*) FROM account").fetchone())
        assert found == (0,)


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 1234\nhost = "127.0.0.1"\ndata = "here"\n')
    config = resolve_config({"port": 99, "host": None}, file)
    assert (config.port, config.host, config.data) == (99, "127.0.0.1", tmp_path / "here")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "prot"),
        ("port = 70000", "port"),
        ('registration = "perhaps"', "registration"),
        ("port = ", "server.toml"),
        ('domain = "no domain"', "domain"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        resolve_config({}, file)


def test_the_domain_is_fixed_at_the_first_start(tmp_path: Path) -> None:
    path = prepare_database(tmp_path / "data")
    first = load_identity(path, "example.org")
    assert load_identity(path, None) == first or load_identity(path, None).public_key == first.public_key
    with pytest.raises(ConfigError, match=r"example\.org"):
        load_identity(path, "example.net")


def test_without_a_domain_the_identity_key_makes_one(tmp_path: Path) -> None:
    identity = load_identity(prepare_database(tmp_path / "data"), None)
    assert identity.domain.endswith(".securechat.invalid")
    assert read_fingerprint(tmp_path / "data") == identity.fingerprint
    assert identity.secret.hex() not in repr(identity)


def test_no_fingerprint_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_fingerprint(tmp_path)
