"""What a server is told, and who may register by default."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from securechat.cli.main import run
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


@dataclass
class Checked:
    code: int
    said: str
    complaint: str


Check = Callable[..., Checked]


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Check:
    """`securechat server --check` with these arguments."""

    def check(*arguments: str) -> Checked:
        code = run(["server", "--check", *arguments])
        return Checked(code, *capsys.readouterr())

    return check


def test_n_04_a_check_says_what_would_be_and_makes_nothing(tmp_path: Path, checked: Check) -> None:
    found = checked("--data", str(tmp_path / "data"))
    assert (found.code, found.complaint) == (0, "")
    assert "would be made" in found.said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rates.mesages = { burst = 1, per_second = 1 }", "mesages"),
        ("rates.messages = { burst = 0, per_second = 1 }", "line 2"),
        ("connections.totl = 1", "line 2"),
        ("[retention]\n\nmessages_days = 0", "line 4"),
        ("[retention]\nmessages_days = 0\n[quotas]\naccount_bytes = 1", "line 3"),
        ("quotas = { account_bytes = 0 }", "line 2"),
        ("port = 'x'", "line 2"),
        ("http_port = 70000", "line 2"),
        ("port = 1\nport = 2", "line 3"),
    ],
)
def test_n_04_a_config_error_names_the_file_and_the_place(
    tmp_path: Path, text: str, named: str, checked: Check
) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'data = "data"\n{text}\n')
    found = checked("--config", str(file))
    assert found.code == 1
    assert named in found.complaint
    assert str(file) in found.complaint
    assert len(found.complaint.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["server.toml"]


def test_n_04_a_certificate_that_is_none_is_named(tmp_path: Path, checked: Check) -> None:
    (tmp_path / "server.pem").write_text("no certificate")
    (tmp_path / "server.pem").chmod(0o600)
    found = checked("--data", str(tmp_path / "data"), "--cert", str(tmp_path / "server.pem"))
    assert found.code == 1
    assert "server.pem" in found.complaint
