"""What can go wrong in the key directory, and whose fault it is.

TransparencyError
├── VrfRefused      a VRF key or proof is not one (RFC 9381: "INVALID")
├── Refused         what the directory said does not hold; ``rule`` names what was found
│   ├── HeadRefused  a tree head: all that was found (``heads.py``)
│   └── OwnRefused   one's own label: the entries that nobody of one's own made (``monitor.py``)
├── MissingNode     our own store has no such node, or another one than its name says
└── MisusedTree     our own caller asked for something that cannot be done

A client treats the first two alike: nothing of the answer is believed. ``rule`` is a short stable
name that tests, logs and users' reports rely on.
"""

from securechat.errors import SecureChatError


class TransparencyError(SecureChatError):
    """Anything that the key directory's rules forbid, or that was asked of it in vain."""


class VrfRefused(TransparencyError):
    """A VRF key, point, scalar or proof that RFC 9381 calls INVALID."""


class Refused(TransparencyError):
    """What the directory said does not hold."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{text} ({rule})")
        self.rule = rule
        self.text = text


class MissingNode(TransparencyError):
    """A node that the store must have is not there, or is not what its name says."""


class MisusedTree(TransparencyError):
    """Our own caller asked for something that cannot be done."""
