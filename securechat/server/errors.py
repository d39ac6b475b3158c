"""What can go wrong in the server.

SecureChatError
├── ConfigError   the server does not start with these options
├── StoreFailed   the database can't be trusted to keep what it is given: the server stops
└── Refusal       a definite no to one request (docs/protocol.md lists the codes)
"""

from typing import ClassVar

from securechat.errors import SecureChatError
from securechat.protocol.messages import Refused


class ConfigError(SecureChatError):
    pass


class StoreFailed(SecureChatError):
    exit_code: ClassVar[int] = 2
    """Not the user's doing: the command ends as for a fault of ours, and a supervisor may look."""


class Refusal(SecureChatError):
    """Raised where a request is judged; the session makes a ``Refused`` of it."""

    def __init__(
        self, code: str, text: str = "", *, head: int = 0, detail: bytes = b"", retry_after: int = 0
    ) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.refused = Refused(0, code, text[:512], head, detail, retry_after)
