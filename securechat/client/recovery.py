"""Joining anew when an epoch's secrets are lost (rules.md D, row 2).

The server's word is never enough: we have followed the log's public commits from our own last
good state, each judged; the GroupInfo must describe exactly where that leads, tree hash and
transcript hash included. Only then is our leaf replaced by an external commit.
"""

import hmac

from securechat.mls.errors import DecodeError
from securechat.mls.framing import GroupInfo, decode_message
from securechat.mls.public_group import PublicGroup


def matches(public: PublicGroup, group_info: bytes) -> bool:
    """Whether a GroupInfo describes the epoch that we followed the log into."""
    try:
        offered = decode_message(group_info)
    except DecodeError:
        return False
    if not isinstance(offered, GroupInfo):
        return False
    ours, theirs = public.context, offered.group_context
    return (
        ours == theirs
        and hmac.compare_digest(ours.tree_hash, theirs.tree_hash)
        and hmac.compare_digest(ours.confirmed_transcript_hash, theirs.confirmed_transcript_hash)
        and hmac.compare_digest(public.confirmation_tag, offered.confirmation_tag)
    )
