"""Messages of ours that can't be sent after all: each is marked and told, none just vanishes."""

from typing import Final

from securechat.client import follow_ups, history, timers
from securechat.client.change import Change
from securechat.client.events import MessageRefused, Notice

CHANGE_REFUSED: Final = "what you said of a message was not taken; others see it as before"


def refuse(change: Change, conversation: int, code: str, text: str) -> None:
    """Refuse all that is queued and not in flight."""
    for waiting in history.to_seal(change.db, conversation, limit=-1):
        refuse_one(change, conversation, waiting.local_id, code, text)


def refuse_one(change: Change, conversation: int, local_id: int, code: str, text: str) -> None:
    refused = history.mark_refused(change.db, local_id, code, now=change.now)
    if refused is None:
        return
    if not history.is_hidden(change.db, local_id):
        timers.apply(change.db, conversation)
        change.tell(MessageRefused(refused, code, text))
    elif not history.is_passing(change.db, local_id):
        follow_ups.refused(change, conversation, local_id)
        change.tell(Notice(code, f"{refused.conversation}: {CHANGE_REFUSED}: {text}"))
