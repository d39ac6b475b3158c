"""A conversation of two whose other one has come back with other keys: it goes on as another group.

The old group has the device from before, which may be in anybody's hands, and who began anew can not
come into it. So the one who has accepted the new key makes the next group, in the place of the old one;
what was written meanwhile goes out there.
"""

from securechat.client import history, intents, records
from securechat.client.change import Change
from securechat.client.contacts import not_pinned
from securechat.client.events import Kind, Released, Standing
from securechat.client.groups import Groups
from securechat.client.holds import forget
from securechat.client.intents import What
from securechat.client.people import credential_of
from securechat.client.stay import end_stay


def reopen(change: Change, groups: Groups, user: str) -> None:
    """Have the conversation with a user made anew, if they are in it with another key than the pinned one."""
    record = records.by_name(change.db, f"@{user}")
    if record is None or record.kind is not Kind.DIRECT or record.state is not Standing.JOINED:
        return
    public = groups.public(change.db, record.id)
    leaves = public.tree.leaves() if public is not None else ()
    if user not in not_pinned(change.db, (credential_of(leaf) for _, leaf in leaves)):
        return
    end_stay(change, groups, record.id)
    history.unseal_all(change.db, record.id)
    for intent in intents.of(change.db, record.id):
        intents.remove(change.db, intent.id)
        change.settle(intent.id)
    was_held = record.held
    record = forget(change, record)
    records.update(
        change.db,
        record.id,
        state=Standing.OPENING,
        predecessor=record.group_id or b"",
        group_id=None,
        successor=b"",
    )
    if was_held:
        change.tell(Released(record.name))
    intents.add_once(change.db, record.id, What.OPEN, subject=user)
    change.wake(record.id)
