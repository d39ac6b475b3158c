"""The first key packages, left at the server right after registration.

So others can write to somebody who registered and has not opened the client yet. Stored before
they are sent, like every named request: what is not answered now goes out at the first opening.
"""

import asyncio
from typing import Final

from securechat.client.device import device_of
from securechat.client.errors import ClientError
from securechat.client.key_packages import publication
from securechat.client.keystore import Keys
from securechat.client.link import Link
from securechat.client.outbox import Purpose, encoded, forget_request, store_request
from securechat.client.store import ClientStore

PUBLISH_SECONDS: Final = 5
"""How long registration waits for it; it is no part of having an account."""


async def leave_key_packages(link: Link, store: ClientStore, keys: Keys, *, now: int) -> None:
    device = device_of(keys)
    requests: list[tuple[int, bytes]] = []
    with store.transaction() as db:
        for suite in device.suites:
            body = publication(db, device, suite, fresh=0, has_last_resort=False, now=now)
            if body is not None:
                data = encoded(body)
                requests.append((store_request(db, Purpose.PUBLISH, data), data))
    try:
        async with asyncio.timeout(PUBLISH_SECONDS):
            for name, data in requests:
                await link.send_named(name, data)
                with store.transaction() as db:
                    forget_request(db, name)
    except (ClientError, TimeoutError):
        return
