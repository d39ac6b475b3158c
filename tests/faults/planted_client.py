"""python -m tests.faults.planted_client: clients with a fault planted: the ratchet is stored after sending.

A harness that does not catch this one proves nothing.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from unittest import mock

from securechat.client.change import Change
from securechat.client.groups import Groups
from securechat.mls.group import Group
from tests.faults.client_process import serve
from tests.faults.kills_server import hurried_clients
from tests.faults.power_client import cheap_passwords

LATE: Final = 0.02
"""Seconds between the sending and the storing."""


@contextmanager
def late_ratchets(late: float = LATE) -> Iterator[None]:
    """What a message uses up is stored a little later, but whole; an epoch is stored as it should be."""
    keep, keep_secrets = Groups.keep, Groups.keep_secrets

    def kept_late(groups: Groups, change: Change, conversation: int, group: Group) -> None:
        if groups.group(change.db, conversation) is group:  # an epoch that is over has no rows any more
            with change.db:
                keep_secrets(groups, change, conversation, group)

    def kept_later(groups: Groups, change: Change, conversation: int, group: Group) -> None:
        asyncio.get_running_loop().call_later(late, kept_late, groups, change, conversation, group)

    def kept(groups: Groups, change: Change, conversation: int, group: Group) -> None:
        with mock.patch.object(Groups, "keep_secrets", keep_secrets):
            keep(groups, change, conversation, group)

    with mock.patch.object(Groups, "keep_secrets", kept_later), mock.patch.object(Groups, "keep", kept):
        yield


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    with cheap_passwords(), hurried_clients(), late_ratchets():
        serve()
