"""Codes that two people compare outside the chat."""

import apsw

from securechat.client.contacts import contact
from securechat.client.device import Device
from securechat.client.events import Fingerprint
from securechat.client.groups import Groups
from securechat.client.records import ConversationRecord
from securechat.membership.safety_number import epoch_code, safety_number


def fingerprint(
    db: apsw.Connection, device: Device, account_key: bytes, groups: Groups, record: ConversationRecord
) -> Fingerprint:
    """Return the safety number with the other one of a direct conversation, and the epoch's code.

    The number stands for the pinned key: that is what is trusted, whatever was seen later.
    """
    known = contact(db, record.peer) if record.peer else None
    number = None
    if known is not None:
        number = safety_number(
            (device.user_uri, account_key), (device.uri_of(record.peer), known.account_key)
        )
    group = groups.group(db, record.id)
    code = epoch_code(group.epoch_authenticator) if group is not None else None
    return Fingerprint(record.name, number, code)
