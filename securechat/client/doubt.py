"""How far somebody is who they seem to be, and the words for it: three for a person, on every face.

Views draw what is said of a message beside its sender, where no text can reach (U-04). What is not in
the table is drawn as doubtful too: a view that knows nothing of a new value must not vouch for it.
"""

from typing import Final

from securechat.client.events import Identity
from securechat.locale.catalogue import mark

KNOWN: Final = "known"
"""Signed by a device that the account key certifies which was pinned when we first met."""

CHANGED: Final = "changed"
"""The sender's device is certified, but by another account key than the pinned one."""

IMPORTED: Final = "imported"
"""It came from a file, which proves nothing: neither who said it nor that anybody did."""

IDENTITY_WORDS: Final = {
    Identity.VERIFIED: mark("verified"),
    Identity.KNOWN: mark("known"),
    Identity.CHANGED: mark("changed"),
}
"""What is said of a person, and nothing else is."""

SHARED: Final = "shared:"
"""Followed by a user's name: who let us into a room has handed it over, and nothing else proves it."""

REVOKED: Final = "revoked"
"""The sender's device was revoked by its account, as we knew when the message came."""

_WORDS: Final = {KNOWN: "", IMPORTED: mark("imported"), REVOKED: mark("from a removed device")}

SHARED_BY: Final = mark("from history, shared by @{user}")


def doubt(verified: str) -> str:
    """The words for a message's ``verified``, in English; empty if there is no doubt."""
    if verified.startswith(SHARED):
        return SHARED_BY.format(user=verified.removeprefix(SHARED))
    return _WORDS.get(verified, IDENTITY_WORDS[Identity.CHANGED])


def identity_word(identity: Identity | None) -> str:
    """The word for a person's ``identity``, in English; empty for ourselves."""
    return IDENTITY_WORDS[identity] if identity is not None else ""
