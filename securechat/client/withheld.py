"""A log that does not go on although the server says that there is more of it.

An honest server gives what follows, or says that it has expired. An answer that was on its way when
more came is no lie; one that stays so is, and the user is told.
"""

import asyncio
from math import inf
from typing import Final

from securechat.client import notes, records
from securechat.client.change import Changes
from securechat.client.events import Notice
from securechat.client.sentences import LOG_WITHHELD, NO_TIME

PATIENCE: Final = 20.0
"""Seconds that a server may announce what it does not give."""


MOST_BETWEEN: Final = PATIENCE / 2
"""Seconds that count of what passes between two answers: nobody may have asked for longer, as there was no
connection. So two of them accuse no honest server that has no time now and then, and who cuts the line after
each is found with the third."""


class Withheld:
    """How long the log of a conversation does not go on, by the loop's clock."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._waited: dict[int, float] = {}

    def goes_on(self, conversation: int) -> None:
        self._last.pop(conversation, None)
        self._waited.pop(conversation, None)

    def lasts(self, conversation: int) -> bool:
        """Whether it has lasted so long that it is to be said; once, until it goes on."""
        now = asyncio.get_running_loop().time()
        passed = min(now - self._last.get(conversation, now), MOST_BETWEEN)
        waited = self._waited.get(conversation, 0.0) + passed
        is_long = waited >= PATIENCE
        self._last[conversation], self._waited[conversation] = now, -inf if is_long else waited
        return is_long

    def tell(self, changes: Changes, conversation: int) -> None:
        """Say it, if it lasts."""
        if self.lasts(conversation):
            with changes.change() as change:
                record = records.by_id(change.db, conversation)
                notes.tell(change, record, "log_withheld", LOG_WITHHELD.format(name=record.name))


def tell_no_time(changes: Changes, since: float | None) -> float:
    """Say once that there has been no time for an answer for long; return since when, to be given again."""
    now = asyncio.get_running_loop().time()
    if since is None:
        return now
    if now - since < PATIENCE:
        return since
    with changes.change() as change:
        change.tell(Notice("unanswered", NO_TIME))
    return inf
