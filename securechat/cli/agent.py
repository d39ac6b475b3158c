"""`securechat agent`: the account's holder without a screen, for every other command and program."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator

import click

from securechat.cli.accounts import opened_client
from securechat.cli.agent_log import log, log_event
from securechat.cli.faces import secret_of
from securechat.cli.home import home_of, private_umask
from securechat.cli.options import Account, account_options
from securechat.client.client import Client
from securechat.client.events import Disconnected, Event
from securechat.client.policy import Policy
from securechat.client.store_key import StoreKey
from securechat.names import fold_user
from securechat.server.logs import Layout, log_to_stderr


@click.command()
@account_options
@click.option(
    "--trust",
    "people",
    type=click.Choice([policy.value for policy in Policy]),
    default=Policy.FIRST_USE.value,
    show_default=True,
    help="To whom it sends: also to people met for the first time, or only where all were compared.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How a line of the log on stderr looks.",
)
def agent(account: Account, people: str, log_format: Layout) -> None:
    """Hold USER's account, connected, until SIGTERM: other commands go through it and need no password.

    Prints `ready` and the path of its socket once it can be used. The log says everything that happened
    and what became of every message that was not shown; it has no text of any message and no name of a file.
    """
    private_umask()
    secret = secret_of(account)
    log_to_stderr(logging.INFO, log_format)
    asyncio.run(_hold(account, secret, Policy(people)))


async def _hold(account: Account, secret: str | StoreKey, people: Policy) -> None:
    async with _signalled() as stop, opened_client(account, secret, people=people) as client:
        events = client.events()
        click.echo(f"ready {home_of(account).profile(fold_user(account.user)).socket}")
        sys.stdout.flush()
        logging_ = asyncio.create_task(_log_until_over(client, events), name="log")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait((logging_, stopping), return_when=asyncio.FIRST_COMPLETED)
            if logging_.done():
                await logging_
        finally:
            for task in (logging_, stopping):
                task.cancel()
            await asyncio.gather(logging_, stopping, return_exceptions=True)
            log.info("ends")


async def _log_until_over(client: Client, events: AsyncIterator[Event]) -> None:
    """Log what happens; raises what ended the session for good, so that whoever started us is told."""
    async for event in events:
        log_event(event)
        if isinstance(event, Disconnected) and event.retry_in is None:
            await client.caught_up()


@contextlib.asynccontextmanager
async def _signalled() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and Ctrl-C set while the block runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C is an exception there
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
            taken.append(number)
    try:
        yield stop
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
