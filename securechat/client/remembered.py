"""The store's key in the system's keyring, for who asked for it (`--remember`).

What is kept there is the store's own key, not the password: it opens this machine's history and
device, and not the account key, which the password alone opens (rules.md B). Only keyrings that are
known to seal what they keep are used: the library `keyring` has others, and once took one that
writes in the clear. A mark in the profile's folder says that there is something to ask for, and by what name.
"""

import contextlib
import hashlib
import importlib
import os
import re
from typing import Any, Final

from securechat.client.config import ProfileFolder
from securechat.client.errors import ClientError, StoreDamaged
from securechat.client.keystore import read_account
from securechat.client.private_files import read_file, replace_file
from securechat.client.store import KEY_SIZE
from securechat.client.store_key import StoreKey

SERVICE: Final = "securechat"

SEALED: Final = {
    "keyring.backends.SecretService": "Secret Service",
    "keyring.backends.libsecret": "Secret Service",
    "keyring.backends.kwallet": "KWallet",
    "keyring.backends.macOS": "macOS Keychain",
    "keyring.backends.Windows": "Windows Credential Locker",
}
"""The modules of the backends that are used: each is the system's own, sealed by its login."""

_ENTRY: Final = re.compile(r"[\x21-\x7e]{1,400} [0-9a-f]{16}")


class NoKeyring(ClientError):
    """There is no keyring here that can be trusted with a key; nothing was kept."""


def remember(profile: ProfileFolder, key: bytes) -> str:
    """Keep the store's key; return the name of the keyring that has it now.

    The mark comes first, with the name of the entry: whatever happens then, `forget` finds what there is.

    :raises NoKeyring: it is not known to be kept
    """
    backend, name = _backend()
    entry = _entry(profile)
    replace_file(profile.remembered, entry.encode())
    with _told(name):
        backend.set_password(SERVICE, entry, key.hex())
    return name


def recalled(profile: ProfileFolder) -> StoreKey | None:
    """Return the key if one is kept; None if not.

    :raises NoKeyring: it is in a keyring that can't be asked now
    :raises StoreDamaged: the mark is not what was written
    """
    entry = remembered_as(profile)
    if not entry:
        return None
    backend, name = _backend()
    with _told(name):
        found = backend.get_password(SERVICE, entry)
    with contextlib.suppress(TypeError, ValueError):
        if len(raw := bytes.fromhex(found)) == KEY_SIZE:
            return StoreKey(raw)
    return None  # somebody took it out: the password opens as before


def forget(profile: ProfileFolder) -> None:
    """Take the key out of the keyring, if it was ever put there. Nothing else of the account is needed.

    :raises NoKeyring: it can't be asked; the key is still there
    :raises StoreDamaged: the mark is not what was written, so the entry's name is not known
    """
    entry = remembered_as(profile)
    if not entry:
        return
    backend, name = _backend()
    with _told(name):
        if backend.get_password(SERVICE, entry) is not None:
            backend.delete_password(SERVICE, entry)
    profile.remembered.unlink()


def remembered_as(profile: ProfileFolder) -> str:
    """Return the name of the entry in the keyring; empty if nothing was put there.

    :raises StoreDamaged: the mark is not what was written
    """
    try:
        mark = read_file(profile.remembered)
    except FileNotFoundError:
        return ""
    with contextlib.suppress(UnicodeDecodeError):
        entry = mark.decode("ascii")
        if _ENTRY.fullmatch(entry) and entry.startswith(f"{profile.user}@"):
            return entry
    raise StoreDamaged(f"{profile.remembered} is damaged; look for an entry {SERVICE!r} in your keyring")


def _backend() -> tuple[Any, str]:
    """The first keyring of the system that is known to seal."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise NoKeyring("remembering needs: pip install 'securechat[keyring]'") from None
    chosen = keyring.get_keyring()
    for each in getattr(chosen, "backends", None) or [chosen]:
        if name := SEALED.get(type(each).__module__):
            return each, name
    raise NoKeyring(f"this system has no keyring that seals what it keeps (found {type(chosen).__module__})")


@contextlib.contextmanager
def _told(name: str) -> Any:  # noqa: ANN401 - a context manager
    errors = importlib.import_module("keyring.errors")
    try:
        yield
    except errors.KeyringError as problem:
        raise NoKeyring(f"the {name} did not answer: {type(problem).__name__}") from problem


def _entry(profile: ProfileFolder) -> str:
    """One entry for each folder: two of one name on one machine are two accounts."""
    where = hashlib.sha256(os.fsencode(profile.folder)).hexdigest()[:16]
    return f"{profile.user}@{read_account(profile).domain} {where}"
