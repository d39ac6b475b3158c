"""From a command's options to the account: through the process that holds it, or held by this one.

What a command is given is a `Face`; it does not know which of the two it is. Only holding needs the
password, and only then the rooms of the client are imported: they are half of a one-shot's time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from securechat.cli.home import profile_of
from securechat.cli.options import Account, given_password, known_password
from securechat.cli.speech import tell
from securechat.client.errors import HolderLeft, NoHolder, ProfileBusy, StoreDamaged
from securechat.client.face import Face, own_face
from securechat.client.forwarding import connected
from securechat.client.store_key import StoreKey

OPENING_ATTEMPTS: Final = 50
OPENING_PAUSE: Final = 0.1
"""Between a holder's lock and its socket lies the stretching of its password: five seconds outlast it."""

TAKE_OVER_ATTEMPTS: Final = 50
TAKE_OVER_PAUSE: Final = 0.2
"""A process that is being killed closes its socket before its lock; ten seconds outlast any such end."""


@asynccontextmanager
async def face_of(
    account: Account, password: str | None = None, *, offline: bool = False
) -> AsyncIterator[Face]:
    """The account: through its holder if there is one, else as its holder until the block ends.

    :param password: None asks for it where it is needed
    :param offline: for what only reads and writes the store: without a holder nothing is connected
    :raises ClientError: neither can be had
    """
    async with AsyncExitStack() as stack:
        try:
            face = await stack.enter_async_context(held_face(account))
        except NoHolder:
            face = await stack.enter_async_context(
                holding(account, password or secret_of(account), offline=offline)
            )
        yield face


def secret_of(account: Account) -> str | StoreKey:
    """What opens the account: a password that was given, the keyring's key, or what is typed now."""
    password = given_password(account)
    if password is not None:
        return password
    profile = profile_of(account)
    if profile.remembered.exists():
        from securechat.client.remembered import NoKeyring, recalled  # noqa: PLC0415 - see above

        try:
            key = recalled(profile)
        except (NoKeyring, StoreDamaged) as problem:  # the password opens it all the same
            tell(f"securechat: {problem}")
        else:
            if key is not None:
                return key
    return known_password(account)


@asynccontextmanager
async def held_face(account: Account) -> AsyncIterator[Face]:
    """The account through its holder.

    :raises NoHolder: nobody holds it
    """
    async with connected(profile_of(account)) as face:
        yield face


@asynccontextmanager
async def next_face(account: Account) -> AsyncIterator[Face]:
    """The account after its holder has left: through the next one, or held here if a password was given.

    :raises NoHolder, ProfileBusy, HolderLeft: nobody has taken its place in ten seconds
    """
    password = given_password(account)
    async with AsyncExitStack() as stack:
        for attempts_left in reversed(range(TAKE_OVER_ATTEMPTS)):
            following = held_face(account) if password is None else face_of(account, password)
            try:
                face = await stack.enter_async_context(following)
            except (HolderLeft, NoHolder, ProfileBusy):
                if not attempts_left:
                    raise
                await asyncio.sleep(TAKE_OVER_PAUSE)
            else:
                yield face
                return


@asynccontextmanager
async def holding(
    account: Account, password: str | StoreKey, *, offline: bool = False
) -> AsyncIterator[Face]:
    """The account, held by this process until the block ends, or by who was faster.

    :raises ProfileBusy: another process holds it, and does not serve it
    """
    async with AsyncExitStack() as stack:
        yield await _client_or_holder(stack, account, password, offline=offline)


async def _client_or_holder(
    stack: AsyncExitStack, account: Account, password: str | StoreKey, *, offline: bool
) -> Face:
    from securechat.cli.accounts import opened_client  # noqa: PLC0415 - see above

    for attempts_left in reversed(range(OPENING_ATTEMPTS)):
        try:
            client = opened_client(account, password, offline=offline)
            return own_face(await stack.enter_async_context(client))
        except ProfileBusy:
            if not attempts_left:
                raise
        try:
            return await stack.enter_async_context(held_face(account))
        except NoHolder:
            await asyncio.sleep(OPENING_PAUSE)
    raise AssertionError("the last attempt raised")
