"""A short connection on which an account itself is changed: by device, recovery key or password."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from securechat.client import password_news, statements
from securechat.client.challenge import challenge_on, device_login
from securechat.client.config import Home, ServerAddress
from securechat.client.connect import open_trusted
from securechat.client.errors import RefusedByServer, ServerUntrusted, Unreachable, refusal
from securechat.client.keystore import Keys
from securechat.client.link import Link
from securechat.client.session import LOGIN_SECONDS
from securechat.client.store import ClientStore
from securechat.client.trust import Pin, Trust
from securechat.membership.login import Purpose, fingerprint
from securechat.membership.passwords import Parameters, PasswordKeys, stretch
from securechat.membership.recovery_key import RecoveryKey, RecoveryKeys, derive
from securechat.membership.signing import public_of
from securechat.protocol.messages import (
    Answer,
    GetVault,
    LoggedIn,
    LogInForRecovery,
    LogInWithPassword,
    PasswordParameters,
    PasswordSalt,
    RequestBody,
    SealedVault,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an account is, and how far its server is trusted."""

    home: Home
    server: ServerAddress
    trust: Trust
    user: str
    """Folded."""


@asynccontextmanager
async def opened(place: Place, pin: Pin | None = None) -> AsyncIterator[Link]:
    """A link to the server, on which nobody has logged in yet."""
    link = await open_trusted(place.server, place.home, place.trust, account_pin=pin)
    try:
        if pin is not None and link.hello.domain != pin.domain:
            raise ServerUntrusted(
                f"the server at {place.server} is {link.hello.domain}; "
                f"the account {place.user} belongs to {pin.domain}",
                fingerprint=fingerprint(link.hello.identity_key),
            )
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def as_device(place: Place, keys: Keys) -> AsyncIterator[Link]:
    """A link on which this device has logged in.

    :raises RefusedByServer: the server does not know this device
    """
    async with opened(place, Pin(keys.server_key, keys.domain)) as link:
        login = device_login(link, keys.device_key, domain=keys.domain, user=keys.user, client=keys.client)
        try:
            await asked(link, login)
        except RefusedByServer as no:
            if no.code != "wrong_credentials":
                raise
            text = f"the server at {place.server} does not know this device of {keys.user}"
            raise refusal(no.code, text) from no
        yield link


async def is_known(place: Place, keys: Keys) -> bool:
    """Whether the server knows this device: then it has taken what was sent."""
    try:
        async with as_device(place, keys):
            return True
    except RefusedByServer as no:
        if no.code != "wrong_credentials":
            raise
        return False


async def log_in_for_recovery(link: Link, user: str, key: RecoveryKey) -> tuple[RecoveryKeys, LoggedIn]:
    """Prove the recovery key, and return what it opens, and what the server says of itself.

    :raises RefusedByServer: ``wrong_credentials``: it is not this user's, or nobody is called so
    """
    domain = link.hello.domain
    keys = derive(key, domain=domain, user=user)
    challenge = challenge_on(link, Purpose.RECOVERY, domain=domain, user=user, client="")
    login = LogInForRecovery(user, challenge.nonce, keys.login_key.sign(challenge.to_sign))
    logged_in = await _told(
        link, login, f"this is not the recovery key of {user} at {domain}, or nobody is called so there"
    )
    assert isinstance(logged_in, LoggedIn)  # noqa: S101 - the connection holds answers to their kinds
    return keys, logged_in


async def password_salt(link: Link, user: str) -> PasswordSalt:
    """What a password of a user is stretched with; of whoever is not there it looks the same."""
    found = await asked(link, PasswordParameters(user))
    assert isinstance(found, PasswordSalt)  # noqa: S101 - the connection holds answers to their kinds
    return found


async def log_in_with_password(
    link: Link, user: str, password: str, found: PasswordSalt | None = None
) -> tuple[PasswordKeys, bytes]:
    """Prove the password; return what it opens, and the salt that it is stretched with.

    :param found: `password_salt`, where it was asked for already
    :raises RefusedByServer: ``wrong_credentials``: it is wrong, or nobody is called so
    """
    domain = link.hello.domain
    found = found or await password_salt(link, user)
    parameters = Parameters(found.passes, found.memory_kib, found.lanes)
    keys = await asyncio.to_thread(
        stretch, password, domain=domain, user=user, salt=found.salt, parameters=parameters
    )
    challenge = challenge_on(link, Purpose.PASSWORD, domain=domain, user=user, client="")
    signature = keys.login_key.sign(challenge.to_sign)
    login = LogInWithPassword(user, public_of(keys.login_key), challenge.nonce, signature)
    await _told(link, login, f"the password is not that of {user} at {domain}, or nobody is called so there")
    return keys, found.salt


async def asked(link: Link, body: RequestBody) -> Answer:
    """Ask, and wait for the answer for so long and no longer.

    :raises RefusedByServer: a definite no
    :raises Disconnected, Unreachable: it is not known what became of it
    """
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            return await link.request(body)
    except TimeoutError:
        raise Unreachable("the server does not answer; run the same command again to go on") from None


async def own_statement(link: Link, store: ClientStore, keys: Keys, user_uri: str, *, now: int) -> bytes:
    """Take what our account has said of itself since we looked; return the newest.

    :raises StatementRefused: the server hands out what the account did not sign
    """
    known = statements.known_serial(store.db, keys.user)
    chain = await statements.fetch(link.request, keys.user, after=known)
    with store.transaction() as db:
        statements.take(db, keys.user, chain, user_uri=user_uri, account_key=keys.account_key, now=now)
        password_news.note_chain(db, chain)
        return statements.newest_bytes(db, keys.user) or keys.statement


async def sealed_vault(link: Link) -> bytes | None:
    """The account's vault, sealed; None if there is none."""
    try:
        found = await asked(link, GetVault())
    except RefusedByServer as no:
        if no.code == "no_vault":
            return None
        raise
    assert isinstance(found, SealedVault)  # noqa: S101 - the connection holds answers to their kinds
    return found.sealed


async def _told(link: Link, login: RequestBody, wrong: str) -> Answer:
    try:
        return await asked(link, login)
    except RefusedByServer as no:
        if no.code == "wrong_credentials":
            raise refusal(no.code, wrong) from no
        raise
