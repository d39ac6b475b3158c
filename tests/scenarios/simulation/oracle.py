"""Knows what everybody did, and says what must not be (rules.md A and D).

It believes no check of the client: what two clients saw of a log is compared here, who said what is
written down when it is said, and whatever a client shows, seals or passes over is held against that.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest import mock

from securechat.client import log_chain, records
from securechat.client.change import Change
from securechat.client.doubt import CHANGED
from securechat.client.events import (
    Event,
    Held,
    Invited,
    Joined,
    MessageReceived,
    Notice,
    Released,
    Removed,
    Undecryptable,
)
from securechat.client.handshakes import Handshakes
from securechat.client.outbox import Outbox, Purpose
from securechat.client.reading import Reader
from securechat.client.records import ConversationRecord
from securechat.client.sentences import HOLDS
from securechat.protocol.messages import Entry, SendMessage

TOLD: Final = frozenset(
    {
        "refused_commit",
        "rejoined",
        "welcome_refused",
        "conflict",
        "server_restored",
        "untrusted_keys",
        "refused_proposal",
        "expired",
        "inbox_altered",
        "not_said_again",
    }
)
"""Notices by which somebody learns that something is not as it was."""


@dataclass(frozen=True, slots=True)
class Said:
    sender: str
    room: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A ciphertext, and the log that its sender had seen when it was made."""

    sender: str
    group: bytes
    seen: tuple[bytes, ...]
    ended: dict[int, bytes]
    """How the log of earlier epochs had ended."""


@dataclass
class Oracle:
    """One run's."""

    evil: set[str] = field(default_factory=set)
    """People of whom nothing is expected."""
    said: dict[str, Said] = field(default_factory=dict)
    sealed: dict[bytes, Sealed] = field(default_factory=dict)
    evidence: dict[tuple[str, bytes], str] = field(default_factory=dict)
    """What somebody has read of a group that proves a fork, until they are told and go on on purpose."""
    shown: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    told: dict[str, Counter[str]] = field(default_factory=dict)
    """What somebody was told that is not as it should be, by code."""
    stays: dict[tuple[str, bytes], int] = field(default_factory=dict)
    """The epoch in which somebody entered a group, the last time."""
    read: set[tuple[str, str]] = field(default_factory=set)
    """Who has been delivered which text's ciphertext, while holding the group's secrets."""
    texts: dict[bytes, str] = field(default_factory=dict)
    """What a ciphertext holds."""
    ended: dict[tuple[str, bytes], dict[int, bytes]] = field(default_factory=dict)
    """How the log of each epoch ended for somebody, where nothing was brought back by members."""
    hidden: int = 0
    """Messages that somebody lacks, was never delivered and was told nothing of."""
    wrong: list[str] = field(default_factory=list)

    def say(self, text: str, sender: str, room: str) -> None:
        self.said[text] = Said(sender, room)

    def complain(self, text: str) -> None:
        self.wrong.append(text)

    def hear(self, name: str, record: ConversationRecord | None, event: Event) -> None:
        """An event that a client told its owner."""
        told = self.told.setdefault(name, Counter())
        match event:
            case MessageReceived():
                self._check_shown(name, record, event)
            case Held():
                told[event.code] += 1
                if event.code not in HOLDS or not event.text:
                    self.complain(f"{name} is held without a reason: {event}")
            case Released() if record is not None and told["server_restored"]:
                # Its place was found again by our own chain, and what others claim is compared anew.
                self.released(name, record.group_id)
            case Undecryptable():
                told[event.code] += 1
            case Removed():
                told["removed"] += 1
            case Invited() | Joined() if record is not None and record.group_id is not None:
                self.stays[name, record.group_id] = record.epoch
                self.evidence.pop((name, record.group_id), None)
            case Notice(code="internal", text=text) if "something failed here" in text:
                self.complain(f"{name}: {text}")
            case Notice() if event.code in TOLD:
                told[event.code] += 1
            case _:
                pass

    def released(self, name: str, group: bytes | None) -> None:
        """The user has seen why, and goes on."""
        if group is not None:
            self.evidence.pop((name, group), None)

    def forgets(self, name: str) -> None:
        """A profile went back: what it showed since it will show again."""
        self.shown.pop(name, None)
        for known in (self.evidence, self.ended):
            for key in [key for key in known if key[0] == name]:
                del known[key]

    def _check_shown(self, name: str, record: ConversationRecord | None, event: MessageReceived) -> None:
        message = event.message
        said = self.said.get(message.text)
        room = record.room if record is not None else "?"
        if said is None:
            self.complain(f"{name} was shown what nobody said: {message}")
        elif said.room != room or (said.sender != message.sender and message.verified != CHANGED):
            # Under a name that is not known to be its sender's it is shown as such.
            self.complain(f"{name} was shown {message.text!r} as {message.sender}'s in {room}; it is {said}")
        shown = self.shown.setdefault(name, set())
        if (room, message.text) in shown:
            self.complain(f"{name} was shown {message.text!r} twice")
        shown.add((room, message.text))

    def note_sealed(self, name: str, change: Change, conversation: int, body: SendMessage) -> None:
        record = records.by_id(change.db, conversation)
        digest = hashlib.sha256(body.message).digest()
        ended = dict(self.ended.get((name, body.group), {}))
        seen = tuple(log_chain.values(change.db, conversation))
        self.sealed[digest] = Sealed(name, body.group, seen, ended)
        for (text,) in change.db.execute(
            "SELECT text FROM message WHERE conversation = ? AND sealed = ?", (conversation, digest)
        ):
            self.texts[digest] = str(text)
        if name in self.evil:
            return
        if record.held:
            self.complain(f"{name} sealed to {record.name}, which is held: {record.held_code}")
        if (name, body.group) in self.evidence:
            self.complain(f"{name} sealed to {record.name} after evidence: {self.evidence[name, body.group]}")

    def proof(self, name: str, seen: list[bytes], entry: Entry, *, opened: bool) -> str | None:
        """Why this entry, to somebody who had seen so much, proves that the log was doctored."""
        made = self.sealed.get(hashlib.sha256(entry.body).digest())
        if made is None:
            return None if opened else f"entry {entry.sequence} is nobody's"
        if made.sender == name:
            return None
        if tuple(seen[: len(made.seen)]) != made.seen:
            return f"entry {entry.sequence} by {made.sender} is of a log that went otherwise"
        return None

    def check_ends(self, name: str, record: ConversationRecord, entry: Entry) -> None:
        """Whoever reads somebody for whom an earlier epoch ended otherwise has learnt it by then."""
        made = self.sealed.get(hashlib.sha256(entry.body).digest())
        ours = self.ended.get((name, record.group_id or b""), {})
        if made is None or record.held or any(self._may_not_compare(each) for each in (name, made.sender)):
            return
        for epoch in made.ended.keys() & ours.keys():
            if made.ended[epoch] != ours[epoch]:
                otherwise = f"epoch {epoch} ended otherwise for {made.sender}"
                self.complain(f"{name} goes on in {record.name} although {otherwise}")

    def _may_not_compare(self, name: str) -> bool:
        """Whether somebody was told already, or a restored server may have ended epochs otherwise."""
        told = self.told.get(name, Counter())
        return name in self.evil or bool(told["log_altered"] or told["server_restored"])


@contextmanager
def watching(oracle: Oracle) -> Iterator[None]:
    """Look at what all clients seal and read, until the block ends."""
    read, put, entered = Reader._message, Outbox.put, Handshakes._entered

    def look(reader: Reader, change: Change, record: ConversationRecord, entry: Entry) -> Any:
        name = reader.device.user
        has_secrets = reader.groups.group(change.db, record.id) is not None
        seen = log_chain.values(change.db, record.id)
        unreadable = _unreadable(change, record)
        after = read(reader, change, record, entry)
        if not has_secrets or name in oracle.evil or record.group_id is None:
            return after
        text = oracle.texts.get(hashlib.sha256(entry.body).digest(), "")
        repeated = text != "" and (name, text) in oracle.read
        oracle.read.add((name, text))
        opened = _unreadable(change, record) == unreadable
        # What was read before can't be opened again, so its claim proves nothing the second time.
        proof = None if repeated else oracle.proof(name, seen, entry, opened=opened)
        if proof is not None:
            oracle.evidence[name, record.group_id] = proof
            if not after.held:
                oracle.complain(f"{name} goes on in {record.name} although {proof}")
        elif opened and not repeated:
            oracle.check_ends(name, after, entry)
        return after

    def enter(handshakes: Handshakes, change: Change, record: ConversationRecord, *more: Any) -> Any:
        entry = next(each for each in more if isinstance(each, Entry))
        ended = oracle.ended.setdefault((handshakes.device.user, record.group_id or b""), {})
        if not entry.offered:
            ended[record.epoch] = log_chain.present(change.db, record.id).value
        return entered(handshakes, change, record, *more)

    def seal(outbox: Outbox, change: Change, purpose: Purpose, body: Any, **more: Any) -> int:
        name = put(outbox, change, purpose, body, **more)
        if purpose is Purpose.SEND:
            user = outbox._session._credentials.user
            oracle.note_sealed(user, change, more["conversation"], body)
        return name

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Reader, "_message", look))
        stack.enter_context(mock.patch.object(Outbox, "put", seal))
        stack.enter_context(mock.patch.object(Handshakes, "_entered", enter))
        yield


def _unreadable(change: Change, record: ConversationRecord) -> int:
    rows = change.db.execute(
        "SELECT id FROM message WHERE conversation = ? AND state = 'unreadable'", (record.id,)
    )
    return len(rows.fetchall())
