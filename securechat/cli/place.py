"""From a command's options to where an account is, for what changes the account itself."""

from securechat.cli.accounts import address_of, trust_of
from securechat.cli.options import Account
from securechat.client.account_link import Place
from securechat.client.config import Home, ServerAddress
from securechat.client.keystore import read_account
from securechat.names import fold_user


def place_of(account: Account, home: Home) -> Place:
    """Where an account of this machine is; its server is the one it was made at, if none is named."""
    user = fold_user(account.user)
    server = address_of(account) or read_account(home.profile(user)).address
    return Place(home, server, trust_of(account), user)


def new_place(account: Account, home: Home) -> Place:
    """The same for an account that is not on this machine."""
    server = address_of(account) or ServerAddress()
    return Place(home, server, trust_of(account), fold_user(account.user))
