"""The folder of this machine's accounts, found without waking the rooms that use it."""

import os

from securechat.cli.options import Account
from securechat.client.config import Home, ProfileFolder, default_home
from securechat.names import fold_user


def home_of(account: Account) -> Home:
    """The folder of this machine's accounts: `--home`, `SECURECHAT_HOME`, else the platform's own place."""
    return default_home() if account.home is None else Home(account.home)


def profile_of(account: Account) -> ProfileFolder:
    return home_of(account).profile(fold_user(account.user))


def private_umask() -> None:
    """Nothing this process makes is for others, whatever it was started with (L-01)."""
    os.umask(0o077)
