"""Parts of the engine without a server: a store, a device, a session that only notes."""

import asyncio
import secrets
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.change import Change, Changes
from securechat.client.device import Device
from securechat.client.store import ClientStore, create_store
from securechat.membership.identity import make_client_credential, new_local_id
from securechat.membership.room import PRODUCT_SUITES, capabilities
from securechat.membership.signing import new_key, public_of
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.credential import BasicCredential
from securechat.mls.key_package import Identity
from securechat.protocol.messages import Answer, RequestBody

DOMAIN = "chat.example"
NOW = 1_800_000_000


def a_store(folder: Path) -> ClientStore:
    return create_store(folder / "store.db", secrets.token_bytes(32))


def changes_of(store: ClientStore) -> Changes:
    return Changes(store, done=lambda _: None, undone=lambda _: None, clock=lambda: NOW)


class Told:
    """Changes whose outcome is kept: what was done after the commit, and what was undone."""

    def __init__(self, store: ClientStore) -> None:
        self.done: list[Change] = []
        self.undone: list[Change] = []
        self.changes = Changes(store, done=self.done.append, undone=self.undone.append, clock=lambda: NOW)


def a_device(
    user: str,
    suites: tuple[int, ...] = PRODUCT_SUITES,
    *,
    account_key: Ed25519PrivateKey | None = None,
    generation: int = 1,
) -> Device:
    account_key, device_key = account_key or new_key(), new_key()
    client = new_local_id()
    credential = make_client_credential(
        domain=DOMAIN,
        user=user,
        client=client,
        account_key=account_key,
        signature_key_public=public_of(device_key),
        suites=suites,
        generation=generation,
    )
    signer = SUITE_3.signature.load(device_key.private_bytes_raw())
    identity = Identity(BasicCredential(credential), signer, capabilities(suites))
    return Device(user, client, DOMAIN, identity, suites)


class NotingSession:
    """A session that keeps what it is given and answers when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self.futures: list[asyncio.Future[Answer]] = []
        self.asked: list[RequestBody] = []
        self.answers: list[Answer] = []
        self._news = asyncio.Event()

    async def sent_again(self, count: int) -> None:
        """Wait until so many named requests were sent."""
        while len(self.sent) < count:
            self._news.clear()
            await self._news.wait()

    def send_named(self, name: int, body: bytes) -> "asyncio.Future[Answer]":
        self.sent.append((name, body))
        self._news.set()
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    async def request(self, body: RequestBody) -> Answer:
        self.asked.append(body)
        return self.answers.pop(0)

    def named(self, index: int) -> object:
        return msgspec.msgpack.decode(self.sent[index][1])


async def a_moment() -> None:
    """Let the tasks of the loop run until they wait for something."""
    for _ in range(20):
        await asyncio.sleep(0)
