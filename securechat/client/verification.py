"""Codes that two people compare outside the chat."""

from typing import Final

import apsw

from securechat.client.contacts import contact
from securechat.client.device import Device
from securechat.client.events import Fingerprint
from securechat.client.groups import Groups
from securechat.client.records import ConversationRecord
from securechat.membership.safety_number import epoch_code, safety_number

MIN_DIGITS: Final = 5
"""One group: enough to say which of two numbers is meant; comparing is the person's part."""


def fingerprint(
    db: apsw.Connection, device: Device, account_key: bytes, groups: Groups, record: ConversationRecord
) -> Fingerprint:
    """Return the safety number with the other one of a direct conversation, and the epoch's code.

    The number stands for the pinned key: that is what is trusted, whatever was seen later.
    """
    known = contact(db, record.peer) if record.peer else None
    group = groups.group(db, record.id)
    return Fingerprint(
        record.name,
        number_with(device, account_key, record.peer, known.account_key) if known else None,
        epoch_code(group.epoch_authenticator) if group is not None else None,
        number_with(device, account_key, record.peer, known.changed_to)
        if known and known.changed_to
        else None,
        group.suite.name if group is not None else "",
    )


def number_with(device: Device, account_key: bytes, user: str, key: bytes) -> str:
    """Return the safety number of us and a user who has this account key."""
    return safety_number((device.user_uri, account_key), (device.uri_of(user), key))


def begins_with(number: str, digits: str) -> bool:
    """Whether what a person typed is the beginning of a safety number, in groups or not."""
    typed = "".join(digits.split())
    return len(typed) >= MIN_DIGITS and "".join(number.split()).startswith(typed)
