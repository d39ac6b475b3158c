"""To whom an account sends, as its owner decided beforehand: for bots, which nobody watches.

It stops *sending* only (rules.md B). None of its settings takes a changed key unseen: whoever runs the
server could then put itself in between.
"""

from enum import StrEnum

import apsw

from securechat.client.contacts import verified_users
from securechat.client.people import users_in
from securechat.mls.ratchet_tree import RatchetTree


class Policy(StrEnum):
    """Whose keys are believed; ``first-use``: those that somebody is first met with, and no others."""

    FIRST_USE = "first-use"
    VERIFIED = "verified"
    """Only those that a person has compared outside the chat."""


def not_believed(policy: Policy, db: apsw.Connection, tree: RatchetTree, *, own: str) -> list[str]:
    """Return the users of a group that keep us from sending to it, by name."""
    if policy is Policy.FIRST_USE:
        return []  # changed keys are a hold of their own
    return sorted(users_in(tree).keys() - verified_users(db) - {own})
