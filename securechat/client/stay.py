"""The end of a stay in a group: what was kept for it goes, what was said remains."""

from securechat.client import epoch_codes, kept_commits, log_chain, log_ends, pending, staged, successors
from securechat.client.change import Change
from securechat.client.groups import Groups


def end_stay(change: Change, groups: Groups, conversation: int) -> None:
    """Delete a group's state and all that only its members need: we are out, or it never came about."""
    groups.drop(change, conversation)
    staged.drop(change.db, conversation)
    successors.clear(change.db, conversation)
    pending.clear(change.db, conversation)
    kept_commits.drop_all(change.db, conversation)
    log_chain.clear(change.db, conversation)
    log_ends.forget(change.db, conversation)
    epoch_codes.forget(change.db, conversation)
