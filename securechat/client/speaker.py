"""The part of `Client` that speaks: what is said, what is said of it, and what others are told of us."""

from collections.abc import Sequence

from securechat.client import timeline
from securechat.client.compose import fold_name
from securechat.client.engine import Engine
from securechat.client.events import Message
from securechat.client.settings import SIGNALS, Setting, is_on
from securechat.client.talk import Talk
from securechat.client.verbs import Verbs


class Speaker:
    """Verbs that write, and the pages of what was written; `Client` is one."""

    _engine: Engine
    _verbs: Verbs
    _talk: Talk

    def timeline(
        self, name: str, *, before: int = 0, after: int = 0, limit: int = 100, thread: str | None = None
    ) -> list[Message]:
        """Return a page of a conversation, oldest first: the last, or the last before or first after a place.

        :param before, after: ``local_id`` of a message; 0 for none
        :param thread: only this topic; ``""`` is the main thread
        """
        record = self._verbs.record(name)
        return timeline.page(
            self._engine.store.db, record.id, before=before, after=after, limit=limit, thread=thread
        )

    def said_since(self, local_id: int, limit: int = 100) -> list[Message]:
        """Return what others said after a message, in all conversations, oldest first, as it is now.

        :param local_id: the last that was dealt with; 0: all that is here
        """
        return timeline.said_since(self._engine.store.db, local_id, limit)

    async def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message:
        """Store a message and send it as soon as that can be done.

        :param to: ``@user`` (opens the conversation when needed) or ``#room``
        :param key: the caller's own name for it; repeated, also in other words, it returns the first result
        :param reply_to: the id of the message it answers, or how that begins
        :param thread: its topic; that of the message it answers if not given
        :raises UnknownConversation, UnknownMessage, NotAMember, Forbidden, NameRefused: nothing was stored
        :raises KeyUsed: nor now; the key is that of a message to somebody else
        """
        await self._look_for(to)
        return self._talk.send(to, text, key=key, reply_to=reply_to, thread=thread)

    async def edit(self, to: str, id: str, text: str) -> Message:  # noqa: A002 - the contract's name
        """Put other words in the place of a text of ours, for everybody; return the message as it is now.

        :param id: the message's id, or how that begins (at least six digits); so for all verbs below
        :raises UnknownConversation, UnknownMessage, NotAMember, Forbidden, NameRefused: nothing was changed
        """
        return self._talk.edit(to, id, text)

    async def delete(self, to: str, id: str) -> Message:  # noqa: A002 - the contract's name
        """Withdraw a message of ours for everybody; its words are gone here. Raises as `edit`."""
        message = self._talk.delete(to, id)
        self._engine.store.checkpoint()
        return message

    async def react(self, to: str, id: str, text: str, *, on: bool = True) -> Message:  # noqa: A002
        """React to a message with one sign, or take that back. Raises as `edit`."""
        return self._talk.react(to, id, text, on=on)

    async def poll(self, to: str, question: str, options: Sequence[str]) -> Message:
        """Ask something with 2 to 20 answers to choose from. Raises as `send`."""
        await self._look_for(to)
        return self._talk.poll(to, question, options)

    async def vote(self, to: str, id: str, numbers: Sequence[int]) -> Message:  # noqa: A002
        """Be for these options of a poll, counted from 1, and for no others. Raises as `edit`."""
        return self._talk.vote(to, id, numbers)

    async def close_poll(self, to: str, id: str) -> Message:  # noqa: A002 - the contract's name
        """Have a poll of ours take no more votes, for everybody. Raises as `edit`."""
        return self._talk.close_poll(to, id)

    async def typing(self, to: str, on: bool) -> bool:  # noqa: FBT001 - the contract's name
        """Say that we are typing, or no longer, if the others may know and it is not said already."""
        return self._talk.typing(to, on=on)

    def mark_read(self, to: str, id: str) -> None:  # noqa: A002 - the contract's name
        """Take note that everything up to a message was read: others may be told, timers run."""
        self._talk.mark_read(to, id)

    def set_receipts(
        self, *, read: bool | None = None, typing: bool | None = None, delivery: bool | None = None
    ) -> None:
        """Say what others are told of us; None leaves it as it is."""
        self._talk.set_signals({Setting.READ: read, Setting.TYPING: typing, Setting.DELIVERY: delivery})

    def receipts(self) -> dict[str, bool]:
        """Return what others are told of us: ``read``, ``typing``, ``delivery``."""
        return {setting.value: is_on(self._engine.store.db, setting) for setting in SIGNALS}

    async def set_expiry(self, to: str, seconds: int) -> Message:
        """Have messages of a conversation disappear so long after they are read; 0: they stay.

        Everybody in it is told, and their messages from then on do the same. Raises as `send`.
        """
        await self._look_for(to)
        return self._talk.set_expiry(to, seconds)

    async def _look_for(self, to: str) -> None:
        """A room that is not here may be in the inbox still, if we just opened."""
        name = fold_name(to)
        if name.startswith("#"):
            await self._verbs.found(name)
