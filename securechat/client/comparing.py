"""With whom a person has compared the code of a conversation's epoch: their own notes, told to nobody.

A note is of one epoch. A later epoch says the same of the one before, so an old note still says that
nobody had parted the group by then; whoever wants to know it of now compares again.
"""

import apsw

from securechat.client.change import Change
from securechat.client.errors import NotTheSame, UnknownUser
from securechat.client.events import Compared
from securechat.client.groups import Groups
from securechat.client.people import users_in
from securechat.client.records import ConversationRecord
from securechat.membership.safety_number import begins_with, epoch_code


def noted(db: apsw.Connection, record: ConversationRecord, code: str) -> tuple[Compared, ...]:
    """Return with whom codes of a conversation were compared, by name.

    :param code: the present epoch's; empty where there is none
    """
    rows = db.execute(
        "SELECT user, code, epoch, since FROM compared WHERE conversation = ? ORDER BY user", (record.id,)
    )
    return tuple(
        Compared(user=user, epoch=epoch, since=since, present=bool(code) and code == compared)
        for user, compared, epoch, since in rows
    )


def note(change: Change, groups: Groups, record: ConversationRecord, user: str, digits: str) -> None:
    """Note that the present epoch's code was compared with somebody; without digits take the note back.

    :raises UnknownUser: they are not in it
    :raises NotTheSame: its code begins otherwise
    """
    if not digits.strip():
        change.db.execute("DELETE FROM compared WHERE conversation = ? AND user = ?", (record.id, user))
        return
    group = groups.group(change.db, record.id)
    if group is None or user not in users_in(group.public.tree):
        raise UnknownUser("unknown_user", f"{user} is not in the conversation {record.name}")
    code = epoch_code(group.epoch_authenticator)
    if not begins_with(code, digits):
        raise NotTheSame(
            user,
            f"that is not the code of {record.name} now: one of you may not have the last change of it yet. "
            f"Look again with /fingerprint {record.name}; if it stays another, {record.name} was parted",
        )
    change.db.execute(
        "INSERT OR REPLACE INTO compared (conversation, user, code, epoch, since) VALUES (?, ?, ?, ?, ?)",
        (record.id, user, code, group.epoch, change.now),
    )
