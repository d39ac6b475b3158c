"""What a machine is called where nobody has said otherwise."""

import socket

from securechat.membership.linking import MAX_NAME
from securechat.text import sanitise


def own_name() -> str:
    """The host's own name, short and safe to show."""
    return shown_name(socket.gethostname().split(".")[0]) or "device"


def shown_name(name: str) -> str:
    """A device's name as it may be shown, and sent: on one line, short."""
    return sanitise(" ".join(name.split()), limit=MAX_NAME)[:MAX_NAME]
