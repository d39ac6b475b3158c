"""Where things are: the server's address, and the folder with its profiles.

HOME/pins.json            identity keys of servers, shared by the accounts of this folder
HOME/pins.lock            held while pins.json is changed
HOME/<user>/account.json  who, where, and the store's key wrapped by the password
HOME/<user>/store.db      everything else, encrypted
HOME/<user>/remembered    there if the system's keyring has the store's key
HOME/<user>/lock          held by the one process that owns the profile
HOME/<user>/socket        where that process serves the others
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechat.client.errors import BadAddress
from securechat.client.private_files import make_folder
from securechat.folders import data_folder
from securechat.names import fold_user
from securechat.unix_socket import MAX_PATH

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 7443

_BRACKETED: Final = re.compile(r"\[(?P<host>[^\[\]]*)\](?::(?P<port>[0-9]{1,5}))?")
_PLAIN: Final = re.compile(r"(?P<host>[^\[\]:/@\s]+)(?::(?P<port>[0-9]{1,5}))?")
_HOST: Final = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?"
)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server as a user names it; the host is folded, an IPv6 address stands without brackets."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, text: str) -> "ServerAddress":
        """Read ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``; a missing port is 7443."""
        if found := _BRACKETED.fullmatch(text.strip()):
            host = _ip(found["host"])
            if host is None or ":" not in host:
                raise BadAddress(f"{_shown(text)} has no IPv6 address in its brackets")
        elif found := _PLAIN.fullmatch(text.strip()):
            host = _ip(found["host"]) or _host_name(found["host"])
            if host is None:
                raise BadAddress(f"{_shown(text)} is not the name of a host")
        else:
            raise BadAddress(f"{_shown(text)} is not a server; write host:port, for example localhost:7443")
        port = int(found["port"]) if found["port"] else DEFAULT_PORT
        if not 1 <= port <= 65535:
            raise BadAddress(f"{_shown(text)} has no port between 1 and 65535")
        return cls(host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProfileFolder:
    """The files of one account; nothing here says that they exist."""

    folder: Path
    user: str

    @property
    def account(self) -> Path:
        return self.folder / "account.json"

    @property
    def next_account(self) -> Path:
        """What takes its place once a new password is in force everywhere."""
        return self.folder / "account.next.json"

    @property
    def database(self) -> Path:
        return self.folder / "store.db"

    @property
    def remembered(self) -> Path:
        return self.folder / "remembered"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def socket(self) -> Path:
        """Where the holder listens: in the folder, or where the system takes no path so long, elsewhere."""
        inside = self.folder / "socket"
        if sys.platform != "linux" and len(os.fsencode(inside)) > MAX_PATH:  # see `unix_socket.reachable`
            import hashlib  # noqa: PLC0415 - Linux needs it not

            return short_socket_folder() / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:32]
        return inside

    @property
    def exists(self) -> bool:
        """Whether an account was made here, finished or not."""
        return self.account.exists()


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of all accounts of one person on this machine."""

    path: Path

    def __post_init__(self) -> None:
        # Absolute from here on, whatever the process does later; resolve() would follow links.
        object.__setattr__(self, "path", Path(os.path.abspath(self.path.expanduser())))  # noqa: PTH100

    @property
    def pins(self) -> Path:
        return self.path / "pins.json"

    @property
    def pins_lock(self) -> Path:
        return self.path / "pins.lock"

    def make(self) -> None:
        """Make the folder if it is missing; refuse one that others may write into."""
        make_folder(self.path)

    def profile(self, user: str) -> ProfileFolder:
        """Return where the account of a user is kept.

        :raises NameRefused: a user name is outside the grammar (so it can't leave the folder)
        """
        name = fold_user(user)
        return ProfileFolder(self.path / name, name)


def default_home() -> Home:
    """Return the folder that the system has for a user's data."""
    return Home(data_folder("securechat"))


def short_socket_folder() -> Path:
    """Return the folder for sockets whose own path is too long; the same in every process of the user."""
    # Not below /tmp, where anybody can make it first and keep us out; nor in TMPDIR: holder and one-shot
    # may have different ones and must still meet.
    return Path.home() / ".securechat-sockets"


def _ip(text: str) -> str | None:
    from ipaddress import ip_address  # noqa: PLC0415 - a one-shot through a holder reads no address

    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _host_name(text: str) -> str | None:
    try:
        host = text.encode("idna").decode("ascii").lower() if not text.isascii() else text.lower()
    except UnicodeError:
        return None
    # Digits and dots alone would be read as an IPv4 address of some old notation.
    numeric = re.fullmatch(r"[0-9.]+", host)
    return host if _HOST.fullmatch(host) and len(host) <= 253 and not numeric else None


def _shown(text: str) -> str:
    return repr(text[:80])
