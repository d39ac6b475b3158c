"""How far a message is its sender's, and the words for what is less than that.

Every view draws these words beside the sender, where no text can reach (U-04). What is not in the
table is drawn as doubtful too: a view that knows nothing of a new value must not vouch for it.
"""

from typing import Final

from securechat.locale.catalogue import mark

KNOWN: Final = "known"
"""Signed by a device that the account key certifies which was pinned when we first met."""

CHANGED: Final = "changed"
"""The sender's device is certified, but by another account key than the pinned one."""

IMPORTED: Final = "imported"
"""It came from a file, which proves nothing: neither who said it nor that anybody did."""

_WORDS: Final = {KNOWN: "", CHANGED: mark("keys changed"), IMPORTED: mark("imported")}


def doubt(verified: str) -> str:
    """The words for a message's ``verified``, in English; empty if there is no doubt."""
    return _WORDS.get(verified, mark("not verified"))
