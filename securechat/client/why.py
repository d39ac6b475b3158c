"""Why a conversation does not go on, and what could not be read in it: read from the store alone."""

from collections.abc import Sequence
from typing import Final

import apsw

from securechat.client import history, intents
from securechat.client.events import Explanation, Message, Standing, Trouble
from securechat.client.groups import Groups
from securechat.client.notes import is_note
from securechat.client.reasons import reason
from securechat.client.records import ConversationRecord
from securechat.client.sentences import EXPIRED

MOST_TROUBLES: Final = 5
"""How many of the last troubles of a conversation are told."""


def explain(db: apsw.Connection, groups: Groups, record: ConversationRecord) -> Explanation:
    """Say how a conversation stands, and what went wrong in it last."""
    code = record.held_code or _under_way(db, groups, record)
    # One more: the note of the hold itself is no trouble beside it.
    recent = history.troubles(db, record.id, MOST_TROUBLES + 1)
    begun = history.last_noted(db, record.id, code) if record.held else None
    others = [each for each in recent if begun is None or each.local_id != begun.local_id]
    return Explanation(
        conversation=record.name,
        state=Standing.HELD if record.held else record.state,
        epoch=record.epoch,
        code=code,
        text=record.held_text or (reason(code).sentence if code else ""),
        advice=reason(code).advice if code else "",
        since=begun.timestamp if begun is not None else 0,
        troubles=tuple(_trouble(each) for each in others[-MOST_TROUBLES:]),
    )


def explain_all(
    db: apsw.Connection, groups: Groups, known: Sequence[ConversationRecord]
) -> list[Explanation]:
    """Return those conversations that have something to explain."""
    found = [explain(db, groups, record) for record in known]
    return [each for each in found if each.code or each.troubles]


def _under_way(db: apsw.Connection, groups: Groups, record: ConversationRecord) -> str:
    if record.state is Standing.OPENING:
        waits = history.to_seal(db, record.id, limit=1) or intents.of(db, record.id)
        return "opening" if waits else ""
    following = groups.public(db, record.id) is not None and groups.group(db, record.id) is None
    return "rejoining" if following else ""


def _trouble(message: Message) -> Trouble:
    code = message.code
    own_words = is_note(message) or code == EXPIRED
    return Trouble(
        local_id=message.local_id,
        sender=message.sender,
        epoch=message.epoch,
        sequence=message.sequence,
        timestamp=message.timestamp,
        code=code,
        text=message.text.strip("()") if own_words else reason(code).sentence,
        advice=reason(code).advice,
    )
