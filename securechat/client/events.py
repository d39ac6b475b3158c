"""What the engine tells its owner: frozen values, made of text that is already safe to show.

Every string from outside passed `securechat.text` before it came in here. A value says what
is so; it holds no key and no handle, so that it may be printed, queued or sent as JSON
(the tag is the JSON ``type``).
"""

from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Kind(StrEnum):
    """What a conversation is; fixed for its life (rules.md C)."""

    DIRECT = "direct"
    ROOM = "room"
    ANNOUNCEMENT = "announcement"


class Standing(StrEnum):
    """Where one stands in a conversation.

    ``opening``: nothing is at the server yet. ``held``: nothing is sealed to it until the
    matter is settled; what others send is still read.
    """

    OPENING = "opening"
    INVITED = "invited"
    JOINED = "joined"
    LEFT = "left"
    REMOVED = "removed"
    HELD = "held"


class Identity(StrEnum):
    """What somebody's account key is to us: all of their devices, now and later, are certified by it.

    ``known``: the first that was met, and it has not changed. ``verified``: it was compared outside the
    chat, by this person, for no other key than this. ``changed``: another one was seen since, and nothing is
    sent to them until it is accepted or verified.
    """

    VERIFIED = "verified"
    KNOWN = "known"
    CHANGED = "changed"


Notify = Literal["all", "mentions", "mute"]
"""What of a conversation makes itself heard."""


class MessageState(StrEnum):
    """How far a message has come."""

    QUEUED = "queued"
    SENT = "sent"
    REFUSED = "refused"
    RECEIVED = "received"
    UNREADABLE = "unreadable"
    """Could not be decrypted; kept as a placeholder with its place and a code."""
    NOT_SHOWN = "not_shown"
    """From someone without the right to speak, or something this version does not show."""


class MessageKind(StrEnum):
    """What a message is made of. ``unreadable`` has its place and a code, no words of its sender."""

    TEXT = "text"
    POLL = "poll"
    FILE = "file"
    UNREADABLE = "unreadable"


class Reaction(Struct, frozen=True):
    """One reaction to a message, and who reacted with it, by name."""

    text: str
    users: tuple[str, ...]


class PollOption(Struct, frozen=True):
    """What can be voted for, and who did, by name."""

    text: str
    voters: tuple[str, ...] = ()


class Poll(Struct, frozen=True):
    """A question and its options, in the order they are numbered, from 1."""

    question: str
    options: tuple[PollOption, ...]
    closed: bool = False


class FileInfo(Struct, frozen=True, kw_only=True):
    """A file in a message: ``size`` in bytes, ``path`` where it lies here, empty until it was fetched.

    ``name`` is ours for it (U-05). ``state`` is ``offered``, ``partial`` (some of it was fetched), ``saved``,
    or ``foreign`` (sealed in a way that we cannot open). ``thumbnail`` is a small PNG file
    of at most 4 KiB that its sender says is what a picture looks like; empty if there is none.
    """

    name: str
    content_type: str = ""
    size: int = 0
    state: str = ""
    path: str = ""
    thumbnail: bytes = b""


class Message(Struct, frozen=True, kw_only=True):
    """One message.

    ``id`` is the MIMI message id in hex (empty if it could not be read); ``timestamp`` is seconds
    since 1970: the server's for what others sent, ours for our own. ``edited`` (of the last change)
    and ``expires`` (when it disappears) too, 0 for never; ``lifetime`` is how many seconds it stays once
    it is read (ours: sent), 0 for ever. ``text`` is as it stands now: empty once its author has withdrawn it.
    """

    id: str
    local_id: int
    conversation: str
    sender: str
    own: bool
    text: str
    timestamp: int
    sequence: int
    epoch: int
    state: MessageState
    verified: str
    code: str = ""
    kind: MessageKind = MessageKind.TEXT
    reply_to: str = ""
    """The MIMI id, in hex, of the message it answers."""
    thread: str = ""
    """What it is about; empty in the main thread."""
    edited: int = 0
    deleted: bool = False
    mentions_me: bool = False
    reactions: tuple[Reaction, ...] = ()
    delivered_to: tuple[str, ...] = ()
    """Whose receipts say that they have it, and who has read it: of our own messages."""
    read_by: tuple[str, ...] = ()
    expires: int = 0
    lifetime: int = 0
    poll: Poll | None = None
    file: FileInfo | None = None


class Member(Struct, frozen=True):
    """Somebody in a conversation; ``role`` is ``owner``, ``admin``, ``member`` or ``reader``.

    ``devices`` are those that are in it, of ``listed`` that their account has; null where that is not known.
    ``identity`` is null of ourselves.
    """

    user: str
    role: str
    devices: int
    identity: Identity | None = None
    listed: int | None = None


class Conversation(Struct, frozen=True, kw_only=True):
    """A conversation as it stands: what a list of rooms shows.

    ``unread`` and ``mentions`` count what others said and no chat has shown; ``last`` is the last thing
    said, on one line, at ``last_time`` (seconds since 1970, 0 if nothing was). ``notify`` is ``all``,
    ``mentions`` or ``mute``, ``draft`` what was typed and not sent. ``verified``: the other one's key was
    compared outside the chat. ``expires_after``: seconds until what is said disappears, 0 never. ``identity``
    is of all the others together: ``changed`` if it is of one, ``verified`` if it is of all; null of nobody.
    """

    name: str
    kind: Kind
    state: Standing
    epoch: int
    suite: str
    members: tuple[Member, ...]
    title: str
    topic: str
    invited_by: str
    may_speak: bool
    held_code: str = ""
    held_text: str = ""
    unread: int = 0
    mentions: int = 0
    last: str = ""
    last_time: int = 0
    notify: str = "all"
    draft: str = ""
    verified: bool = False
    expires_after: int = 0
    identity: Identity | None = None


class Contact(Struct, frozen=True, kw_only=True):
    """Somebody whose account key is known here, since ``since`` (seconds since 1970).

    ``verified``: the key was compared outside the chat, at ``verified_since``. ``changed``: another was
    seen later and is not accepted; ``changed_number`` is the safety number with that one, else empty.
    ``code`` is what we show them to scan: text of capitals and digits.
    """

    user: str
    verified: bool
    changed: bool
    since: int
    safety_number: str
    conversations: tuple[str, ...]
    identity: Identity = Identity.KNOWN
    verified_since: int = 0
    changed_number: str = ""
    code: str = ""


class KeyLogEntry(Struct, frozen=True):
    """What the server's key log says of one's own account at ``timestamp``; ``changes`` in its words."""

    revision: int
    changes: tuple[str, ...]
    timestamp: int


class HeardHead(Struct, frozen=True):
    """A head that ``user`` said they were shown; ``agrees``: it is proven to be of one log with ours."""

    user: str
    size: int
    heard: int
    agrees: bool


class KeyLogLie(Struct, frozen=True):
    """What the server was caught at; ``evidence``, if there is any, convinces whoever knows its key."""

    code: str
    text: str
    advice: str
    since: int
    evidence: bytes


class KeyLog(Struct, frozen=True, kw_only=True):
    """What was checked of the server's key log; ``kept`` is false of a server that has none.

    ``size`` entries under the head of ``signed``, which was taken at ``taken`` and extends all since the
    first one, of ``first_size`` entries, at ``first_taken``. ``people`` were looked up in it.
    """

    kept: bool
    size: int = 0
    signed: int = 0
    taken: int = 0
    first_size: int = 0
    first_taken: int = 0
    entries: tuple[KeyLogEntry, ...] = ()
    people: int = 0
    heard: tuple[HeardHead, ...] = ()
    caught: tuple[KeyLogLie, ...] = ()


class DeviceInfo(Struct, frozen=True, kw_only=True):
    """A device that reads along: ``device`` is its name at the server, ``this`` whether it is this one."""

    user: str
    device: str
    own: bool
    this: bool
    conversations: tuple[str, ...]


class LinkOffer(Struct, frozen=True, kw_only=True):
    """A new device that asks to be linked, and showed the code that was typed.

    ``name`` is what it calls itself, ``device`` its name at the server; ``address`` is where the server says
    that it is, ``asked`` when (seconds since 1970). ``number`` is what it is approved by.
    """

    number: int
    name: str
    device: str
    address: str
    asked: int


class OwnDevice(Struct, frozen=True, kw_only=True):
    """A device of our own account; ``this``: the one that says so. Times: seconds since 1970, 0 if not known.

    ``name`` is what its owner calls it, empty if nothing. ``idle``: it was not seen for so long that it is
    offered for being taken off (M-17).
    """

    device: str
    name: str = ""
    this: bool
    since: int
    seen: int
    idle: bool = False


class Revocation(Struct, frozen=True, kw_only=True):
    """A device was taken off: of ``conversations`` that it was in, it still is in ``left``."""

    device: str
    conversations: int
    left: int


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that could not be read, or went wrong, at a place of a conversation.

    ``sender`` and ``sequence`` are empty where they are not known; ``timestamp`` is seconds since 1970.
    """

    local_id: int
    sender: str
    epoch: int
    sequence: int
    timestamp: int
    code: str
    text: str
    advice: str


class OtherHold(Struct, frozen=True, kw_only=True):
    """One more reason why a conversation is on hold; ``since`` as in `Explanation`."""

    code: str
    text: str
    advice: str
    since: int


class Explanation(Struct, frozen=True, kw_only=True):
    """How a conversation stands and why: a code, a sentence, what to do, and the last troubles, oldest first.

    ``code``, ``text`` and ``advice`` are empty when it just goes on; ``since`` is seconds since 1970, 0 if
    not known. A conversation may be on hold for more than one reason: these are of the most serious.
    """

    conversation: str
    state: Standing
    epoch: int
    code: str
    text: str
    advice: str
    since: int
    troubles: tuple[Trouble, ...]
    others: tuple[OtherHold, ...] = ()


class Transfer(Struct, frozen=True, kw_only=True):
    """A file on its way: ``number`` names it until it is there, ``done`` of ``total`` bytes are.

    ``conversation`` is the one it is sent to, or the message with it is in. ``total`` is 0 until it is known.
    """

    number: int
    name: str
    conversation: str
    sending: bool
    done: int = 0
    total: int = 0


class Compared(Struct, frozen=True, kw_only=True):
    """That we have compared a group's code with somebody, as is noted on this device and nowhere else.

    ``present``: it was of the present epoch.
    """

    user: str
    epoch: int
    since: int
    present: bool


class Fingerprint(Struct, frozen=True):
    """Codes to compare outside the chat: of two people, and of a group's present epoch."""

    conversation: str
    safety_number: str | None
    epoch_code: str | None
    changed_number: str | None = None
    """The safety number with keys of theirs that were seen later and are not accepted."""
    suite: str = ""
    """The name of the group's cipher suite; empty where there is no group."""
    compared: tuple[Compared, ...] = ()
    """With whom we have compared the epoch's code, or an earlier one's."""


class Status(Struct, frozen=True, kw_only=True):
    """How an account stands; ``fingerprint`` is the server's, the last four are counts."""

    user: str
    server: str
    domain: str
    fingerprint: str
    connected: bool
    encryption: str
    conversations: int
    queued: int
    undecryptable: int
    unprinted: int


class Connected(Struct, frozen=True, tag="connected"):
    """Logged in at a server of this fingerprint; new conversations are in the encryption named."""

    user: str
    server: str
    domain: str
    fingerprint: str
    encryption: str


class Disconnected(Struct, frozen=True, tag="disconnected"):
    """``retry_in`` is in seconds; None if there will be no further attempt."""

    reason: str
    retry_in: float | None


class MessageReceived(Struct, frozen=True, tag="message"):
    """Somebody said something, and it is stored here."""

    message: Message


class MessageChanged(Struct, frozen=True, tag="changed"):
    """A message was edited, withdrawn, reacted to, voted on, closed, delivered, read or fetched."""

    message: Message


class Typing(Struct, frozen=True, tag="typing"):
    """Somebody begins to write, or has stopped."""

    conversation: str
    user: str
    on: bool


class MessageAcknowledged(Struct, frozen=True, tag="acknowledged"):
    """The server has it on disk."""

    message: Message


class MessageRefused(Struct, frozen=True, tag="refused"):
    """The server does not take a message of ours, for good."""

    message: Message
    code: str
    text: str


class Invited(Struct, frozen=True, tag="invited"):
    """Somebody asks us in; nothing is shown of a room, or sent to it, before it is joined."""

    conversation: str
    by: str


class Joined(Struct, frozen=True, tag="joined"):
    """One is in a conversation now."""

    conversation: str


class MembersChanged(Struct, frozen=True, tag="members"):
    """Somebody added or removed people; who removed themselves has left."""

    conversation: str
    by: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


class Removed(Struct, frozen=True, tag="removed"):
    """One is no longer in the conversation; what was said stays readable."""

    conversation: str
    by: str


class Undecryptable(Struct, frozen=True, tag="undecryptable"):
    """A message cannot be read, for the reason of this code; its placeholder is among the messages."""

    conversation: str
    sender: str
    epoch: int
    code: str


class NotShown(Struct, frozen=True, tag="not_shown"):
    """A message was kept and is not shown, for the reason of this code: nothing goes without a trace."""

    conversation: str
    sender: str
    epoch: int
    code: str


class Held(Struct, frozen=True, tag="held"):
    """Nothing is sent to a conversation until the matter is settled."""

    conversation: str
    code: str
    text: str


class Released(Struct, frozen=True, tag="released"):
    """A conversation goes on."""

    conversation: str


class FileMoved(Struct, frozen=True, tag="file"):
    """A file of ours goes up (``sending``), or one comes down: so many bytes of so many are there.

    ``number`` names it on its way; ``stopped``: it goes no further, and not all of it is there.
    """

    name: str
    done: int
    total: int
    sending: bool
    number: int = 0
    stopped: bool = False


class HistoryMoved(Struct, frozen=True, tag="history"):
    """History of before comes: so many of about so many messages, the newest first.

    ``oldest`` is how far back it goes by now, in seconds since 1970. ``finished``: this is all there is.
    ``conversation``: the room whose members handed it over; empty where it is our own, from our archive.
    """

    done: int
    total: int
    oldest: int
    finished: bool = False
    conversation: str = ""


class Notice(Struct, frozen=True, tag="notice"):
    """Something a person should know, by its code."""

    code: str
    text: str


Event = (
    Connected
    | Disconnected
    | MessageReceived
    | MessageChanged
    | Typing
    | MessageAcknowledged
    | MessageRefused
    | Invited
    | Joined
    | MembersChanged
    | Removed
    | Undecryptable
    | NotShown
    | Held
    | Released
    | FileMoved
    | HistoryMoved
    | Notice
)
