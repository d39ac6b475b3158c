"""The root of everything that can go wrong on purpose.

SecureChatError
├── mls.errors.MLSError            a message, tree or key that RFC 9420 forbids
├── protocol.errors.ProtocolError  the conversation with the peer cannot go on
├── content.errors.ContentError    the inside of a message is not MIMI content
├── NameRefused                    a user or room name outside the grammar
└── ...                            each package draws its own branch

An error that is not a SecureChatError is a bug on our side; nobody catches it.
"""


class SecureChatError(Exception):
    """Anything the project raises knowingly. Its text is one sentence for a person."""
