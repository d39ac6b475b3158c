"""What can go wrong in MLS, and whose fault it is.

MLSError
├── DecodeError          the bytes are not a valid encoding
├── RuleError            a rule of RFC 9420 is broken; ``rule`` names it
│   ├── ValidationError  ... and everybody can see it: the server, a newcomer, every member
│   └── SecretError      ... and only who holds the secrets can tell
├── WrongGroup           a message of another group
├── StaleEpoch           a message of another epoch of this group
└── UsageError           our own caller asked for something that cannot be done

``rule`` is a short stable name ("leaf-signature", "duplicate-add") that tests, logs and users'
reports rely on; ``clause`` is the section of RFC 9420 where the rule stands.
"""

from securechat.errors import SecureChatError


class MLSError(SecureChatError):
    """Anything that MLS forbids, or that was asked of it in vain."""


class DecodeError(MLSError):
    """The bytes are not a valid encoding of what was expected."""


class RuleError(MLSError):
    """A rule of the protocol is broken."""

    def __init__(self, rule: str, clause: str, detail: str = "") -> None:
        super().__init__(f"{rule} (RFC 9420 section {clause}){': ' if detail else ''}{detail}")
        self.rule = rule
        self.clause = clause
        self.detail = detail


class ValidationError(RuleError):
    """A public rule is broken: whoever follows the group without secrets sees it too."""


class SecretError(RuleError):
    """A rule is broken that only a holder of the group's secrets can check."""


class WrongGroup(MLSError):
    """The message belongs to another group."""


class StaleEpoch(MLSError):
    """The message belongs to another epoch."""

    def __init__(self, *, message_epoch: int, group_epoch: int) -> None:
        super().__init__(f"the message is of epoch {message_epoch}, the group is in epoch {group_epoch}")
        self.message_epoch = message_epoch
        self.group_epoch = group_epoch


class UsageError(MLSError):
    """Our own caller asked for something that cannot be done."""
