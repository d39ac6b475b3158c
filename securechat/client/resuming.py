"""Events for a consumer that was away: what others said meanwhile, then what happens.

The cursor is a message's number here: whoever keeps the last one it has dealt with takes up there. At
least once: what comes while we look back may be told twice.
"""

from collections.abc import AsyncGenerator
from typing import Final

from securechat.client.events import Event, Message, MessageReceived, MessageState, Undecryptable
from securechat.client.face import Face

PAGE: Final = 200
"""Messages that are looked back on at once."""


async def events_since(face: Face, local_id: int) -> AsyncGenerator[Event, None]:
    """Tell whether there is a connection, what others said after this message, then what happens.

    :param local_id: 0: everything that is here
    """
    events = await face.events()  # before we look back: nothing falls between the two
    async for event in events:
        yield event
        break
    while page := await face.said_since(local_id, PAGE):
        for message in page:
            yield _told(message)
        local_id = page[-1].local_id
    async for event in events:
        yield event


def _told(message: Message) -> Event:
    """The event that it was when it came."""
    if message.state is MessageState.UNREADABLE:
        return Undecryptable(message.conversation, message.sender, message.epoch, message.code)
    return MessageReceived(message)
