"""A conversation in a store, and words about its messages as they come from the log: no network, no MLS."""

from pathlib import Path

from securechat.client import follow_ups, history, records
from securechat.client.change import Change
from securechat.client.events import Event, Kind, Message, MessageChanged, MessageKind, MessageState, Standing
from securechat.client.follow_ups import Verdict
from securechat.client.rows import EARLY
from securechat.client.said_of import Told
from securechat.content import message
from securechat.content.message import Frame, framed, text_part
from securechat.content.mimi import REACTION, MimiContent, encode, message_id
from securechat.content.own_types import PollAsked
from securechat.content.saying import Changes, Closes, Reacts, Votes, Withdraws, said
from tests.client.parts import DOMAIN, NOW, a_device, a_store
from tests.client.parts import Told as Changed

ROOM = f"mimi://{DOMAIN}/r/0123456789abcdef"


class Spoken:
    """What alice has of a room with bob and carol."""

    def __init__(self, folder: Path) -> None:
        self.device = a_device("alice")
        self.store = a_store(folder)
        self._changed = Changed(self.store)
        self.changes = self._changed.changes
        self._salts = 0
        self._sequence = 1
        with self.changes.change() as change:
            self.record = records.insert(
                change.db, name="#team", kind=Kind.ROOM, state=Standing.JOINED, room=ROOM
            )

    @property
    def events(self) -> list[Event]:
        return [event for change in self._changed.done for event in change.events]

    @property
    def last_change(self) -> Change:
        return self._changed.done[-1]

    @property
    def changed(self) -> list[Message]:
        return [event.message for event in self.events if isinstance(event, MessageChanged)]

    def frame(self, sender: str, about: bytes | None = None) -> Frame:
        self._salts += 1
        return Frame(
            salt=self._salts.to_bytes(16, "big"),
            sender_uri=self.device.uri_of(sender),
            room_uri=ROOM,
            in_reply_to=about,
        )

    def hears(self, sender: str, text: str, *, settle: bool = True) -> bytes:
        """A text of somebody, kept; return its id."""
        return self.keeps(sender, framed(text_part(text), self.frame(sender)), text=text, settle=settle)

    def hears_poll(self, sender: str, *options: str) -> bytes:
        content = message.poll(PollAsked("Tea?", options), self.frame(sender))
        return self.keeps(sender, content, text="Tea?", kind=MessageKind.POLL)

    def key_of(self, sender: str) -> bytes:
        return self.device.account_keys[0] if sender == "alice" else sender.encode().ljust(32, b"\0")

    def keeps(
        self,
        sender: str,
        content: MimiContent,
        *,
        text: str,
        kind: str = MessageKind.TEXT,
        about: bytes | None = None,
        settle: bool = True,
        key: bytes = b"",
    ) -> bytes:
        encoded = encode(content)
        mimi_id = self.id_of(sender, content)
        arrival = history.Arrival(
            sender=sender,
            own=sender == "alice",
            state=MessageState.SENT if sender == "alice" else MessageState.RECEIVED,
            content=encoded,
            mimi_id=mimi_id,
            text=text,
            timestamp=NOW,
            sequence=1,
            epoch=1,
            kind=kind,
            about=about,
            account_key=key or self.key_of(sender),
        )
        with self.changes.change() as change:
            kept = history.add_received(change.db, self.record.id, arrival)
            assert kept is not None
            if settle:
                follow_ups.settle(change, self.record, kept.local_id, mimi_id, me=self.device.user_uri)
        return mimi_id

    def id_of(self, sender: str, content: MimiContent) -> bytes:
        return message_id(encode(content), sender_uri=self.device.uri_of(sender), room_uri=ROOM)

    def comes(self, sender: str, content: MimiContent, *, sequence: int = 0, key: bytes = b"") -> Verdict:
        """Words about a message come from the log, at its end or at this place.

        :param key: of the sender's account, if it is not the one that we know
        """
        self._sequence = sequence or self._sequence + 1
        about = said(content, domain=DOMAIN)
        assert isinstance(about, Changes | Withdraws | Reacts | Votes | Closes)
        told = Told(
            sender=sender,
            mimi_id=self.id_of(sender, content),
            timestamp=NOW + 5,
            content=encode(content),
            sequence=self._sequence,
            keys=(key or self.key_of(sender),),
        )
        with self.changes.change() as change:
            verdict = follow_ups.take(change, self.record, about, told, me=self.device.user_uri)
        if verdict is Verdict.WAIT and isinstance(about, Changes):
            text = f"(changed) {about.words.text}"
            self.keeps(sender, content, text=text, kind=EARLY, about=about.target, key=key)
        return verdict

    def edits(self, sender: str, target: bytes, text: str) -> Verdict:
        return self.comes(sender, framed(text_part(text), self.frame(sender), replaces=target))

    def withdraws(self, sender: str, target: bytes) -> Verdict:
        return self.comes(sender, message.withdrawal(target, self.frame(sender)))

    def reacts(self, sender: str, target: bytes, text: str) -> bytes:
        content = message.reaction(text, self.frame(sender, target))
        self.comes(sender, content)
        return self.id_of(sender, content)

    def takes_back(self, sender: str, reaction: bytes) -> Verdict:
        return self.comes(sender, message.withdrawal(reaction, self.frame(sender), disposition=REACTION))

    def votes(self, sender: str, target: bytes, *numbers: int) -> Verdict:
        return self.comes(sender, message.vote(numbers, self.frame(sender, target)))

    def closes(self, sender: str, target: bytes) -> Verdict:
        return self.comes(sender, message.closing(self.frame(sender, target)))

    def says(self, content: MimiContent, target: bytes) -> int:
        """Our own words about a message, which count here at once; return their number here."""
        about = said(content, domain=DOMAIN)
        assert isinstance(about, Votes | Closes)
        encoded, mimi_id = encode(content), self.id_of("alice", content)
        key = self.key_of("alice")
        told = Told(sender="alice", keys=(key,), mimi_id=mimi_id, timestamp=NOW, content=b"")
        draft = history.Draft(
            sender="alice",
            text="",
            content=encoded,
            mimi_id=mimi_id,
            timestamp=NOW,
            kind=history.FOLLOW_UP,
            hidden=True,
            about=target,
            account_key=key,
        )
        with self.changes.change() as change:
            queued = history.add_outgoing(change.db, self.record.id, draft)
            follow_ups.take(change, self.record, about, told, me=self.device.user_uri)
        return queued.local_id

    def is_placed(self, local_id: int, sequence: int) -> None:
        """The log has our words at this place."""
        with self.changes.change() as change:
            follow_ups.placed(change, self.record, local_id, sequence)

    def now(self, mimi_id: bytes) -> Message:
        row = self.store.row("SELECT id FROM message WHERE mimi_id = ?", (mimi_id,))
        assert row is not None
        return history.message(self.store.db, row[0])

    def everywhere(self, word: str) -> list[str]:
        """Every table that has a word in any of its columns, in any of the shadows of an index too."""
        names = self.store.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        found = []
        for (name,) in names:
            rows = self.store.rows(f'SELECT * FROM "{name}"')  # noqa: S608 - our own schema
            if any(word.encode() in _bytes(value) for row in rows for value in row):
                found.append(name)
        return found


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
