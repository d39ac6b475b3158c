"""What a server may be told: options of the command line over those of a TOML file."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from securechat.folders import state_folder
from securechat.names import NameRefused, fold_domain
from securechat.protocol.limits import MAX_FILE
from securechat.server.errors import ConfigError

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 7443

DAY: Final = 24 * 3600

Registration = Literal["open", "invite", "closed"]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


def default_data_folder() -> Path:
    """Where the database lies when nobody says otherwise: the user's state folder."""
    return state_folder("securechat-server")


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token bucket: ``burst`` tokens at most, refilled at ``per_second``."""

    burst: Annotated[float, msgspec.Meta(ge=1)]
    per_second: Annotated[float, msgspec.Meta(gt=0)]


class Connections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The connection budget (O-01): how many sockets may be open, in all and before a login."""

    total: Positive = 20_000
    before_login: Positive = 1_000
    before_login_per_address: Positive = 64
    """IPv4 addresses one by one, IPv6 by their /64."""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the log keeps what not everybody has fetched (rules.md A)."""

    messages_days: Days = 30
    handshakes_days: Days = 90
    welcomes_days: Days = 30
    files_days: Days = 30
    """Attachments, from when their upload began."""

    @property
    def handshakes_seconds(self) -> int:
        """How long commits are kept: a message is of no use without those before it."""
        return max(self.handshakes_days, self.messages_days) * DAY


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may lie on the disk; a table's byte counts are of sealed bodies."""

    account_bytes: Positive = 1024 * 1024 * 1024
    """Of one account's messages that not everybody has fetched, its commits, proposals and GroupInfos, and
    the trees and policies of groups it began; `admin quota` sets it for one account."""
    account_groups: Positive = 2_000
    """Begun by one account: each is rows for good."""
    free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 256 * 1024 * 1024
    """Space that is left on the disk: below it nothing is taken that makes the database larger."""
    account_file_bytes: Positive = 4 * 1024 * 1024 * 1024
    """Of attachments that one account has uploaded and that are still kept; each counts 64 KiB at least."""
    all_file_bytes: Positive | None = None
    """Of attachments of everybody, counted like that; without it only the disk is the limit."""
    files_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * 1024 * 1024
    """Space that attachments leave on their disk: where they are refused, messages go on for long."""
    file_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_FILE)] = MAX_FILE
    """Of one attachment, sealed: 1 GiB of content, and what sealing adds."""
    unread_bytes: Positive = 4 * 1024 * 1024
    """Of messages to a group in which nobody else has read anything yet; each counts 1 KiB at least."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options of a server. ``domain`` counts at the first start only (rules.md B)."""

    data: Path = msgspec.field(default_factory=default_data_folder)
    certificate: Path | None = None
    host: str = DEFAULT_HOST
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT
    domain: str | None = None
    registration: Registration | None = None
    restored: bool = False
    """The data folder holds an older copy: begin a new incarnation (rules.md D)."""
    admin_socket: Path | None = None
    http_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    """Metrics and health on 127.0.0.1; none is the default."""
    log_format: Literal["text", "json"] = "text"
    connections: Connections = Connections()
    retention: Retention = Retention()
    quotas: Quotas = Quotas()
    rates: dict[str, Rate] = {}
    """Over the defaults of ``rate_limit.RULES``, by name."""

    @property
    def certificate_file(self) -> Path:
        return self.certificate if self.certificate is not None else self.data / "server.pem"

    @property
    def admin_socket_file(self) -> Path:
        return self.admin_socket if self.admin_socket is not None else self.data / "admin.sock"

    @property
    def admits(self) -> Registration:
        """Who may make an account: on this machine everybody; in the world only if somebody says so."""
        if self.registration is not None:
            return self.registration
        return "open" if is_loopback(self.host) else "closed"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost may be anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def resolve_config(options: Mapping[str, object], file: Path | None = None) -> ServerConfig:
    """Put the given options over the file's; None means "not given".

    :raises ConfigError: names the option that is wrong, its file and, where it stands there, its line
    """
    text = "" if file is None else _text_of(file)
    said = {} if file is None else _read(file, text)
    said |= {name: value for name, value in options.items() if value is not None}
    try:
        config = msgspec.convert(said, ServerConfig, dec_hook=_decode_path)
        if config.domain is not None:
            config = msgspec.structs.replace(config, domain=fold_domain(config.domain))
    except (msgspec.ValidationError, NameRefused) as error:
        raise ConfigError(f"{file or 'options'}{_line_of(str(error), text)}: {error}") from None
    return config


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def _line_of(error: str, text: str) -> str:
    """Where in a file the key stands that an error is about, as ``, line 3``; empty if it is not clear."""
    named = re.findall(r"unknown field `(\w+)`", error) or re.findall(r"[.$](\w+)(?:`|\[\.\.\.\])", error)
    if not named:
        return ""
    key = re.compile(rf"(?:^|[\s.{{,\[])[\"']?{named[-1]}[\"']?\s*(?:=|\])")
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if key.search(line)]
    return f", line {lines[0]}" if len(lines) == 1 else ""


def _read(file: Path, text: str) -> dict[str, object]:
    try:
        said = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not TOML; a number of thousands of digits; lists in lists
        raise ConfigError(f"{file}: {error}") from None
    for name in ("data", "certificate", "admin_socket"):
        if isinstance(said.get(name), str):
            said[name] = file.parent / said[name]
    return said


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"a path is text, not {value!r}")
