"""What can go wrong with the inside of a message.

SecureChatError
└── ContentError    the bytes are not MIMI content of the pinned draft, or break one of its limits
"""

from securechat.errors import SecureChatError


class ContentError(SecureChatError):
    """The inside of a message is not MIMI content; the text is one sentence that says why."""
