"""Where our groups stand, as the server says: page by page, with an end whatever it says.

What it has not named by then it has not named.
"""

from collections.abc import Callable, Sequence
from typing import Final

from securechat.client.session import Session
from securechat.protocol.messages import GroupStatus, Sync, Synced

MAX_PAGES: Final = 256
"""Answers of one look: an honest server fills each with up to a thousand stays, more than anybody has."""


async def each_page(
    session: Session, take: Callable[[Sequence[GroupStatus]], None], *, incarnation: int = 0
) -> None:
    """Hand on what the server says, as it comes: the next is asked for once that is taken.

    :param incarnation: the one of our own cursors; 0: not asked about
    """
    after = b""
    for _ in range(MAX_PAGES):
        answer = await session.request(Sync(after, incarnation))
        if not isinstance(answer, Synced):
            return
        take(answer.groups)
        last = max((status.group for status in answer.groups), default=after)
        if not answer.more or last <= after:
            return  # also of a server that goes on and on and tells nothing more
        after = last
