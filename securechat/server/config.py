"""What a server may be told: options of the command line over those of a TOML file."""

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import platformdirs

from securechat.names import NameRefused, fold_domain
from securechat.server.errors import ConfigError

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 7443

Registration = Literal["open", "closed"]


def default_data_folder() -> Path:
    """Where the database lies when nobody says otherwise: the user's state folder."""
    return Path(platformdirs.user_state_dir("securechat-server"))


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options of a server. ``domain`` counts at the first start only (rules.md B)."""

    data: Path = msgspec.field(default_factory=default_data_folder)
    certificate: Path | None = None
    host: str = DEFAULT_HOST
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT
    domain: str | None = None
    registration: Registration | None = None

    @property
    def certificate_file(self) -> Path:
        return self.certificate if self.certificate is not None else self.data / "server.pem"

    @property
    def takes_accounts(self) -> bool:
        """Registration is open to this machine; to the world only if somebody says so."""
        if self.registration is not None:
            return self.registration == "open"
        return is_loopback(self.host)


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

    :raises ConfigError: names the option that is wrong
    """
    said = _read(file) if file is not None else {}
    said |= {name: value for name, value in options.items() if value is not None}
    try:
        config = msgspec.convert(said, ServerConfig, dec_hook=_decode_path)
        if config.domain is not None:
            config = msgspec.structs.replace(config, domain=fold_domain(config.domain))
    except (msgspec.ValidationError, NameRefused) as error:
        raise ConfigError(f"{file or 'options'}: {error}") from None
    return config


def _read(file: Path) -> dict[str, object]:
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    for name in ("data", "certificate"):
        if isinstance(said.get(name), str):
            said[name] = file.parent / said[name]
    return said


def _decode_path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise TypeError(f"a path is text, not {value!r}")
