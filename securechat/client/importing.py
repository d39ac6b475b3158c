"""Messages from a file take their place in a conversation: before all others, and marked.

Whatever a file says, what comes of it can't be taken for a message that came through the server:
it is ``imported`` instead of verified, no other message can refer to it by its id, and a true
message of the same id is still shown when it comes.
"""

import apsw
import msgspec

from securechat.client import records
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.events import Kind, Standing
from securechat.client.exported import Header, NotImported, Said, safe_header, safe_said
from securechat.client.records import ConversationRecord
from securechat.client.rooms import new_room_uri


def bring_in(change: Change, device: Device, header: Header, batch: list[Said]) -> int:
    """Keep messages, oldest first, before everything that is here; return how many were new.

    Whoever hands them over, here they are judged: what is kept is shown as it is.

    :raises NotImported: they are of another account, or nobody could have written them
    """
    header, batch = safe_header(header), [safe_said(said) for said in batch]
    record = _conversation(change, device, header)
    found = change.db.execute("SELECT min(id) FROM message").fetchone()
    # Below zero, so that 0 stays nobody's: there it means "none".
    place, kept = min(found[0] or 0 if found else 0, 0), 0
    for said in reversed(batch):
        if not _is_here(change, record, said):
            place -= 1
            _insert(change, device, record, place, said)
            kept += 1
    return kept


def has_history(db: apsw.Connection, conversation: int) -> bool:
    """Whether anything of a conversation came from a file or from the archive: its place is below zero."""
    found = db.execute(
        "SELECT 1 FROM message WHERE conversation = ? AND id < 0 AND hidden = 0 LIMIT 1", (conversation,)
    ).fetchone()
    return found is not None


def _conversation(change: Change, device: Device, header: Header) -> ConversationRecord:
    if header.user != device.user:
        raise NotImported(f"these are messages of the account {header.user}, not of {device.user}")
    record = records.by_name(change.db, header.room)
    if record is None:
        direct = header.kind == "direct"
        peer = header.room[1:] if direct else ""
        if peer == device.user:
            raise NotImported("nobody has a conversation with themselves")
        return records.insert(
            change.db,
            name=header.room,
            kind=Kind(header.kind),
            # To somebody one can write at once; into a room that one is not in leads only an invitation.
            state=Standing.OPENING if direct else Standing.LEFT,
            room=device.direct_room(peer) if direct else new_room_uri(device),
            peer=peer,
            title=header.title,
            topic=header.topic,
        )
    if record.kind != header.kind:
        raise NotImported(f"{header.room} is another kind of conversation here")
    return record


def _is_here(change: Change, record: ConversationRecord, said: Said) -> bool:
    claimed = bytes.fromhex(said.id)
    found = change.db.execute(
        "SELECT 1 FROM message WHERE conversation = ?1 AND mimi_id = ?2"
        " UNION ALL SELECT 1 FROM message WHERE conversation = ?1 AND imported = ?2",
        (record.id, claimed),
    ).fetchone()
    return found is not None


def _insert(change: Change, device: Device, record: ConversationRecord, place: int, said: Said) -> None:
    # Received, also what is ours: nothing of it is ever sent again. Told, printed and shown already.
    change.db.execute(
        "INSERT INTO message (id, conversation, imported, sender, own, state, content, text, timestamp,"
        " printed, shown, reported, thread, edited, deleted)"
        " VALUES (?, ?, ?, ?, ?, 'received', ?, ?, ?, 1, 1, 2, ?, ?, ?)",
        (
            place,
            record.id,
            bytes.fromhex(said.id),
            said.sender,
            int(said.sender == device.user),
            msgspec.json.encode(said),
            "" if said.deleted else said.text,
            said.ts,
            said.thread,
            said.edited,
            int(said.deleted),
        ),
    )
