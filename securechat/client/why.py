"""Why a conversation does not go on, and what could not be read in it: read from the store alone."""

from collections.abc import Sequence
from typing import Final

import apsw

from securechat.client import history, holds, intents, notes
from securechat.client.events import Explanation, Message, OtherHold, Standing, Trouble
from securechat.client.groups import Groups
from securechat.client.holds import Hold
from securechat.client.notes import is_note
from securechat.client.reasons import reason
from securechat.client.records import ConversationRecord
from securechat.client.sentences import EXPIRED

MOST_TROUBLES: Final = 5
"""How many of the last troubles of a conversation are told."""


def explain(db: apsw.Connection, groups: Groups, record: ConversationRecord) -> Explanation:
    """Say how a conversation stands, and what went wrong in it last."""
    first, *others = holds.of(db, record.id) or [Hold(_under_way(db, groups, record), "", 0)]
    code = first.code
    # The notes of the holds themselves are no troubles beside them.
    begun = [history.last_noted(db, record.id, each.code) for each in (first, *others) if each.text]
    told = {each.local_id for each in begun if each is not None}
    recent = history.troubles(db, record.id, MOST_TROUBLES + len(told))
    troubles = [each for each in recent if each.local_id not in told]
    return Explanation(
        conversation=record.name,
        state=Standing.HELD if record.held else record.state,
        epoch=record.epoch,
        code=code,
        text=first.text or (reason(code).sentence if code else ""),
        advice=reason(code).advice if code else "",
        since=first.since,
        troubles=tuple(_trouble(each) for each in troubles[-MOST_TROUBLES:]),
        others=tuple(
            OtherHold(code=each.code, text=each.text, advice=reason(each.code).advice, since=each.since)
            for each in others
        ),
    )


def explain_all(
    db: apsw.Connection, groups: Groups, known: Sequence[ConversationRecord]
) -> list[Explanation]:
    """Return what is to be explained: what is of no conversation, without a name, then of each."""
    found = [_of_account(db), *(explain(db, groups, record) for record in known)]
    return [each for each in found if each.code or each.troubles]


def _of_account(db: apsw.Connection) -> Explanation:
    """Say what went wrong in no conversation that is here: invitations that came to nothing."""
    troubles = tuple(
        Trouble(
            local_id=each.id,
            sender="",
            epoch=each.epoch,
            sequence=0,
            timestamp=each.timestamp,
            code=each.code,
            text=each.text,
            advice=reason(each.code).advice,
        )
        for each in notes.of_account(db)[-MOST_TROUBLES:]
    )
    return Explanation(
        conversation="",
        state=Standing.OPENING,
        epoch=0,
        code="",
        text="",
        advice="",
        since=0,
        troubles=troubles,
    )


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
