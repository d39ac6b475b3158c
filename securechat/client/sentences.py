"""One sentence for everything that stops or troubles a conversation, by its code.

The code is what scripts and reports rely on; the sentence is for the user (rules.md D).
"""

from typing import Final

HOLDS: Final[dict[str, str]] = {
    "identity_changed": "the keys of {who} have changed; nothing is sent until you /accept them",
    "untrusted_keys": "the server offered keys that {who} did not sign; nothing is sent to them ({why})",
    "invalid_entry": "the server delivered what no honest server lets through ({why}); reading stops here",
    "missing_commit": "the server no longer has a change of this group that we need; reading stops here",
    "log_altered": "the server's record differs from what {who} saw; compare the code of /fingerprint",
    "update_needed": "this conversation follows newer rules; update securechat to go on",
}

STOPPED: Final = frozenset({"invalid_entry", "missing_commit", "update_needed"})
"""Holds under which not even reading goes on."""

UNREADABLE: Final[dict[str, str]] = {
    "no_secrets": "(cannot be read: the keys of that epoch were lost)",
    "wrong_epoch": "(cannot be read: it is not of the epoch it stands in)",
    "expired": "(missing: the server kept it no longer)",
    "content": "(cannot be read: it is not a message this version knows)",
    "own_lost": "(sent from this device, but its text is no longer known here)",
}
UNREADABLE_ELSE: Final = "(cannot be decrypted: {code})"


def unreadable(code: str) -> str:
    return UNREADABLE.get(code, UNREADABLE_ELSE.format(code=code))
