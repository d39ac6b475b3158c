"""From a command's options to the client library: the home folder, the trust in a server, an open client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from securechat.cli.home import home_of
from securechat.cli.options import Account, can_ask
from securechat.cli.speech import tell
from securechat.client.client import Client
from securechat.client.config import ServerAddress
from securechat.client.keystore import unlock
from securechat.client.policy import Policy
from securechat.client.remembered import remember
from securechat.client.store_key import StoreKey
from securechat.client.trust import Trust
from securechat.locale.catalogue import say, tr
from securechat.own_memory import keep_memory_to_itself


def address_of(account: Account) -> ServerAddress | None:
    """The server named on the command line; None means the one that `register` remembered."""
    return None if account.server is None else ServerAddress.parse(account.server)


def trust_of(account: Account) -> Trust:
    """How far a server may be trusted; without a terminal nobody is asked, so the answer is no."""
    return trust_in(account.cafile, account.fingerprint, accept_new=account.accept_new)


def trust_in(cafile: Path | None, fingerprint: str | None, *, accept_new: bool) -> Trust:
    """The same, by the options themselves."""
    return Trust(
        cafile=cafile,
        fingerprint=fingerprint,
        accept_new=accept_new,
        confirm=_confirm if can_ask() else None,
    )


@asynccontextmanager
async def opened_client(
    account: Account,
    password: str | StoreKey,
    *,
    offline: bool = False,
    people: Policy = Policy.FIRST_USE,
) -> AsyncIterator[Client]:
    """The account's client, owner of its profile until the block ends."""
    keep_memory_to_itself()
    client = await Client.open(
        home_of(account),
        account.user,
        password,
        trust=trust_of(account),
        server=address_of(account),
        offline=offline,
        people=people,
    )
    try:
        await remember_if_asked(account, password)
        yield client
    finally:
        await client.close()


async def remember_if_asked(account: Account, secret: str | StoreKey) -> None:
    """With `--remember`, keep what the password opened in the system's keyring."""
    if account.remember and isinstance(secret, str):
        await asyncio.to_thread(_remember, account, secret)


def _remember(account: Account, password: str) -> None:
    profile = home_of(account).profile(account.user)
    name = remember(profile, unlock(profile, password))
    tell(
        say(
            "the {keyring} has what opens this device now; `securechat logout {user}` takes it out",
            keyring=name,
            user=profile.user,
        )
    )


async def _confirm(fingerprint: str) -> bool:
    tell(tr("This server is new here. Its fingerprint is"))
    click.echo(f"    {fingerprint}", err=True)
    tell(tr("Compare it with what the server printed when it started."))
    asked = tr("Trust it from now on? Type yes")
    answer = str(click.prompt(asked, default="no", show_default=False, err=True)).strip().lower()
    return answer in {"yes", tr("yes")}
