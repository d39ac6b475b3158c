"""What can go wrong on the wire.

SecureChatError
└── ProtocolError            the conversation with the peer cannot go on
    ├── LocalProtocolError   our own caller asked for a step out of order
    └── RemoteProtocolError  the peer sent something the protocol forbids

A local error is a bug on our side and is not caught. A remote error ends the connection:
the connections turn it into a Goodbye and one last ``Closed``.
"""

from securechat.errors import SecureChatError


class ProtocolError(SecureChatError):
    pass


class LocalProtocolError(ProtocolError):
    pass


class RemoteProtocolError(ProtocolError):
    pass
