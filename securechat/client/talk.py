"""What a person says in a conversation and of what was said: the part of `Client` that writes.

Each verb stores what is to be sent and does the same to our own store at once; what has no line of its own
goes out like every message, in its turn.
"""

from collections.abc import Sequence

from securechat.client import (
    compose,
    follow_ups,
    forgetting,
    history,
    receipts,
    records,
    said_of,
    timeline,
    timers,
)
from securechat.client.change import Change
from securechat.client.compose import (
    Around,
    Written,
    conversation_for,
    fold_name,
    frame_for,
    queue,
    queue_text,
)
from securechat.client.engine import Engine
from securechat.client.errors import Forbidden, KeyUsed, NotAMember, UnknownConversation, UnknownMessage
from securechat.client.events import Message, MessageKind, MessageState, Standing
from securechat.client.follow_ups import Target
from securechat.client.groups import Groups
from securechat.client.holds import try_again
from securechat.client.people import users_in
from securechat.client.records import ConversationRecord
from securechat.client.said_of import Told
from securechat.client.settings import Setting, is_on, turn
from securechat.client.typists import EVERY_SECONDS, LASTS_SECONDS
from securechat.content.errors import ContentError
from securechat.content.message import closing, framed, poll, reaction, timer, typing, vote, withdrawal
from securechat.content.mimi import REACTION, RENDER, MimiContent
from securechat.content.own_types import LEAST_TIMER, MAX_TIMER, PollAsked
from securechat.content.saying import Changes, Closes, Reacts, Votes, Withdraws, Words, is_reaction
from securechat.membership.room import may_speak, room_of
from securechat.text import sanitise


class Talk:
    """Speaks for one account."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._typed: dict[int, float] = {}
        """When we last said that we are typing, by conversation."""

    def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message:
        """Store a text and send it as soon as that can be done; see `Client.send`."""
        with self._engine.changes.change() as change:
            known = history.by_key(change.db, key) if key is not None else None
            if known is not None:
                if known.conversation != fold_name(to):
                    raise KeyUsed(known.conversation)
                return known
            record = self._open(change, to)
            target = self._target(change, record, reply_to) if reply_to else None
            if target is not None and not thread:
                thread = history.message(change.db, target.local_id).thread
            message = queue_text(
                change,
                self._engine.device,
                record,
                text,
                now=self._now,
                key=key,
                around=Around(
                    reply_to=target.mimi_id if target is not None else None,
                    topic_id=self._topic(change, record, thread),
                    people=self._people(record),
                    groups=self._groups(record),
                ),
            )
            self._typed.pop(record.id, None)
            change.wake(record.id)
        return message

    def edit(self, to: str, id: str, text: str) -> Message:  # noqa: A002 - the contract's name
        with self._engine.changes.change() as change:
            record, target = self._own(change, to, id)
            if target.kind != MessageKind.TEXT:
                raise Forbidden("not_changeable", "only a text can be changed; withdraw the message instead")
            part = compose.checked_text(text, self._people(record))
            before = history.message(change.db, target.local_id)
            frame = frame_for(
                self._engine.device,
                record,
                in_reply_to=bytes.fromhex(before.reply_to) or None,
                topic_id=self._topic(change, record, before.thread),
            )
            content = framed(part, frame, replaces=target.mimi_id)
            about = Changes(target.mimi_id, Words(text))
            return self._follow(change, record, target, content, about)

    def delete(self, to: str, id: str) -> Message:  # noqa: A002 - the contract's name
        with self._engine.changes.change() as change:
            record, target = self._own(change, to, id)
            if target.kind == history.TIMER:
                raise Forbidden("not_changeable", "that a timer was set stays to be seen; set another one")
            # Nobody has what is not sent yet or was refused: nobody is told.
            if history.withdraw_unsent(change.db, target.local_id) or self._was_refused(change, target):
                forgetting.withdraw(change.db, record.id, target.local_id, target.mimi_id)
                return history.message(change.db, target.local_id)
            frame = frame_for(self._engine.device, record, passing=True)
            content = withdrawal(target.mimi_id, frame, disposition=RENDER)
            return self._follow(change, record, target, content, Withdraws(target.mimi_id))

    def react(self, to: str, id: str, text: str, *, on: bool = True) -> Message:  # noqa: A002
        device = self._engine.device
        with self._engine.changes.change() as change:
            record, target = self._found(change, to, id)
            known = said_of.own_reaction(change.db, record.id, target.mimi_id, device.user, text)
            if on is (known is not None):
                return history.message(change.db, target.local_id)
            frame = frame_for(device, record, in_reply_to=target.mimi_id, passing=True)
            if known is not None:
                content = withdrawal(known, frame, disposition=REACTION)
                return self._follow(change, record, target, content, Withdraws(known))
            if not is_reaction(text):
                raise Forbidden("bad_request", "a reaction is one sign: an emoji or a letter")
            content = reaction(text, frame)
            return self._follow(change, record, target, content, Reacts(target.mimi_id, (text,)))

    def poll(self, to: str, question: str, options: Sequence[str]) -> Message:
        asked = PollAsked(question.strip(), tuple(option.strip() for option in options))
        with self._engine.changes.change() as change:
            record = self._open(change, to)
            try:
                content = poll(asked, frame_for(self._engine.device, record))
            except ContentError as problem:
                raise Forbidden("bad_request", str(problem)) from None
            text = sanitise(asked.question, multiline=True)
            written = Written(content=content, kind=MessageKind.POLL, text=text)
            message = queue(
                change, self._engine.device, record, written, now=self._now, groups=self._groups(record)
            )
            change.wake(record.id)
        return message

    def vote(self, to: str, id: str, numbers: Sequence[int]) -> Message:  # noqa: A002
        with self._engine.changes.change() as change:
            record, target = self._found(change, to, id)
            shown = history.message(change.db, target.local_id).poll
            if shown is None:
                raise Forbidden("bad_request", "that message is no poll")
            if shown.closed:
                raise Forbidden("bad_request", "that poll is closed")
            chosen = tuple(sorted(set(numbers)))
            if any(not 1 <= number <= len(shown.options) for number in chosen):
                raise Forbidden("bad_request", f"the options are 1 to {len(shown.options)}")
            frame = frame_for(self._engine.device, record, in_reply_to=target.mimi_id, passing=True)
            return self._follow(change, record, target, vote(chosen, frame), Votes(target.mimi_id, chosen))

    def close_poll(self, to: str, id: str) -> Message:  # noqa: A002 - the contract's name
        """Have a poll of ours take no more votes, by the order of the log."""
        with self._engine.changes.change() as change:
            record, target = self._own(change, to, id)
            shown = history.message(change.db, target.local_id).poll
            if shown is None:
                raise Forbidden("bad_request", "that message is no poll")
            if shown.closed:
                raise Forbidden("bad_request", "that poll is closed")
            frame = frame_for(self._engine.device, record, in_reply_to=target.mimi_id, passing=True)
            return self._follow(change, record, target, closing(frame), Closes(target.mimi_id))

    def set_expiry(self, to: str, seconds: int) -> Message:
        """Have messages of a conversation disappear so many seconds after they are read; 0: they stay."""
        if seconds and not LEAST_TIMER <= seconds <= MAX_TIMER:
            raise Forbidden("bad_request", f"the timer is 0 or {LEAST_TIMER} seconds to a year")
        with self._engine.changes.change() as change:
            record = self._open(change, to)
            content = timer(seconds, frame_for(self._engine.device, record, passing=True))
            written = Written(content=content, kind=history.TIMER, text=timers.sentence(seconds))
            message = queue(
                change, self._engine.device, record, written, now=self._now, groups=self._groups(record)
            )
            timers.apply(change.db, record.id)
            change.wake(record.id)
        return message

    def typing(self, to: str, *, on: bool) -> bool:
        """Say that we are typing, or no longer; whether it was said.

        Not while something waits to be sent, nor more often than others need it, nor to strangers.
        """
        engine = self._engine
        record = records.by_name(engine.store.db, fold_name(to))
        if record is None or engine.connected is None or not record.may_send:
            return False
        now, last = engine.clock(), self._typed.get(record.id, 0.0)
        lasts = 0 <= now - last < LASTS_SECONDS
        if (lasts and now - last < EVERY_SECONDS) if on else not lasts:
            return False
        db, others = engine.store.db, self._people(record).keys()
        allowed = is_on(db, Setting.TYPING) and receipts.may_signal(db, record, others)
        if not allowed or not self._may_speak(record) or history.waiting(db, record.id):
            return False
        self._typed[record.id] = now if on else 0.0
        with engine.changes.change() as change:
            content = typing(frame_for(engine.device, record, passing=True), on=on)
            written = Written(content=content, kind=history.TYPING, hidden=True)
            queue(change, engine.device, record, written, now=self._now)
            change.wake(record.id)
        return True

    def mark_read(self, to: str, id: str) -> None:  # noqa: A002 - the contract's name
        """Take note that everything up to a message was read."""
        with self._engine.changes.change() as change:
            record, target = self._found(change, to, id, withdrawn=True)
            receipts.read_up_to(change, record.id, target.local_id, now=self._engine.clock())

    def set_signals(self, settings: dict[Setting, bool | None]) -> None:
        with self._engine.changes.change() as change:
            for setting, on in settings.items():
                if on is not None:
                    turn(change.db, setting, on=on)

    def _open(self, change: Change, to: str) -> ConversationRecord:
        """Return the conversation to speak in; see `Client.send`."""
        record = conversation_for(change, self._engine.device, fold_name(to))
        self._check_may_speak(record)
        return try_again(change, record)

    def _found(
        self,
        change: Change,
        to: str,
        id: str,  # noqa: A002 - the contract's name
        *,
        withdrawn: bool = False,
    ) -> tuple[ConversationRecord, Target]:
        record = records.by_name(change.db, fold_name(to))
        if record is None:
            raise UnknownConversation(fold_name(to))
        if not withdrawn:
            if record.state not in (Standing.OPENING, Standing.JOINED):
                raise NotAMember(record.name)
            self._check_may_speak(record)
        target = self._target(change, record, id)
        if target.deleted and not withdrawn:
            raise UnknownMessage(id.lower())
        return record, target

    def _own(self, change: Change, to: str, id: str) -> tuple[ConversationRecord, Target]:  # noqa: A002
        record, target = self._found(change, to, id)
        if target.sender != self._engine.device.user:
            raise Forbidden("not_author", "only who wrote a message can change, withdraw or close it")
        return record, target

    def _was_refused(self, change: Change, target: Target) -> bool:
        return history.message(change.db, target.local_id).state is MessageState.REFUSED

    def _target(self, change: Change, record: ConversationRecord, id: str) -> Target:  # noqa: A002
        mimi_id = timeline.by_prefix(change.db, record.id, id)
        target = follow_ups.find(change.db, record.id, mimi_id)
        if target is None:
            raise UnknownMessage(id.lower())
        return target

    def _follow(
        self,
        change: Change,
        record: ConversationRecord,
        target: Target,
        content: MimiContent,
        about: follow_ups.About,
    ) -> Message:
        """Queue words about a message, and let them count here as they will everywhere."""
        if self._was_refused(change, target):
            raise Forbidden("bad_request", "that message was never sent")
        kind = history.WITHDRAWAL if isinstance(about, Withdraws) else history.FOLLOW_UP
        written = Written(content=content, kind=kind, hidden=True, about=target.mimi_id)
        queued = queue(
            change, self._engine.device, record, written, now=self._now, groups=self._groups(record)
        )
        told = Told(
            sender=self._engine.device.user,
            mimi_id=bytes.fromhex(queued.id),
            keys=self._engine.device.account_keys,
            timestamp=self._now,
            content=b"",
        )
        follow_ups.take(change, record, about, told, me=self._engine.device.user_uri)
        change.wake(record.id)
        return history.message(change.db, target.local_id)

    def _groups(self, record: ConversationRecord) -> Groups | None:
        """Return those whose epochs may be told: without a connection nobody knows who will read a room."""
        return self._engine.groups if record.peer or self._engine.connected is not None else None

    def _topic(self, change: Change, record: ConversationRecord, thread: str) -> bytes:
        if not thread:
            return b""
        known = timeline.topic_of(change.db, record.id, thread)
        if known is None:
            raise Forbidden("bad_request", "a topic is a short text of one line")
        return known

    def _people(self, record: ConversationRecord) -> dict[str, str]:
        """Return the other users of a conversation, with their URIs."""
        public = self._engine.groups.public(self._engine.store.db, record.id)
        device = self._engine.device
        users = users_in(public.tree) if public is not None else {record.peer: 1} if record.peer else {}
        return {user: device.uri_of(user) for user in users if user != device.user}

    def _may_speak(self, record: ConversationRecord) -> bool:
        public = self._engine.groups.public(self._engine.store.db, record.id)
        return public is None or may_speak(room_of(public.context), self._engine.device.user_uri)

    def _check_may_speak(self, record: ConversationRecord) -> None:
        if record.state is Standing.JOINED and not record.held and not self._may_speak(record):
            raise Forbidden("forbidden", f"only some may speak in {record.name}, and you are not among them")

    @property
    def _now(self) -> int:
        return int(self._engine.clock())
