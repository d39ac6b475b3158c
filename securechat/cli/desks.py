"""Which desk a one-shot gets: the holder's, or its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from securechat.cli.desk import Desk
from securechat.cli.held_desk import HeldDesk
from securechat.cli.home import home_of
from securechat.cli.options import Account, known_password
from securechat.client.errors import NoHolder
from securechat.client.forwarding import connected
from securechat.names import fold_user


@asynccontextmanager
async def desk_of(account: Account, password: str | None = None) -> AsyncIterator[Desk]:
    """The account's desk: the holder's if there is one, else our own, for which the password is needed.

    :param password: None asks for it where it is needed
    :raises ClientError: neither can be had
    """
    profile = home_of(account).profile(fold_user(account.user))
    try:
        async with connected(profile) as line:
            yield HeldDesk(line, profile)
            return
    except NoHolder:
        pass
    from securechat.cli.own_desk import own_desk  # noqa: PLC0415 - half of a one-shot's time, needed by few

    async with own_desk(account, password or known_password(account)) as desk:
        yield desk
