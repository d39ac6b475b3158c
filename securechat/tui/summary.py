"""A message on one line: for a quotation, a notification, a list."""

from typing import Final

from securechat.client.events import Message, MessageState
from securechat.locale.catalogue import tr
from securechat.tui.wrap import clean

MAX_SUMMARY: Final = 1024
"""Code points of a text that are looked at for one line of it."""


def summary(message: Message) -> str:
    """The beginning of a message on one line."""
    if message.state is MessageState.UNREADABLE:
        return tr("cannot be decrypted")
    if message.deleted:
        return tr("withdrawn")
    if message.poll is not None:
        return clean(message.poll.question)
    if message.file is not None:
        said = f"{message.file.name} {caption(message)[:MAX_SUMMARY]}"
        return clean(" ".join(said.split()))
    return clean(" ".join(message.text[:MAX_SUMMARY].split()))


def caption(message: Message) -> str:
    """What a file's sender says of it: the first line of the text only names the file."""
    return message.text.partition("\n")[2]
