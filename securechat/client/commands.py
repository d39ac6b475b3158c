"""What a typed line means: pure, so that every form is a test.

``@bob: hello`` and ``@bob hello`` address bob, ``#team: hello`` a room; ``@bob`` or ``#team`` alone turns to
them without sending; plain text goes to the last one addressed. ``exit`` leaves. A slash begins
a command, two a literal slash. What looks like a command and is none is never sent as text.
"""

from dataclasses import dataclass
from typing import Final

USER_MARK: Final = "@"
ROOM_MARK: Final = "#"


@dataclass(frozen=True, slots=True)
class Say:
    """Send ``text`` to a conversation; an empty ``target`` is the last one addressed."""

    target: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Address a conversation without sending anything yet."""

    target: str


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command by its canonical name, its words as typed."""

    name: str
    words: tuple[str, ...]
    rest: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The person wants to go."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line that is not sent; ``sentence`` says why."""

    sentence: str


Line = Say | Turn | Command | Leave | Nothing | Mistake

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "help": ("/help", "this list"),
    "msg": ("/msg @user TEXT", "send to someone, or to #room"),
    "create": ("/create #room [announce] [TOPIC]", "make a room; with `announce` only admins speak"),
    "invite": ("/invite @user [#room]", "add someone to a room"),
    "join": ("/join #room", "accept an invitation"),
    "leave": ("/leave [#room]", "leave a room"),
    "remove": ("/remove @user [#room]", "take someone out of a room"),
    "upgrade": ("/upgrade [@user|#room]", "move a conversation to a better cipher suite"),
    "file": ("/file PATH [CAPTION]", "send a file to the last one addressed"),
    "download": ("/download ID [FOLDER]", "save the file of a message; ID as its line shows it"),
    "picture": ("/picture [ID]", "look at a picture; it is fetched if it is not here yet"),
    "thumbnails": ("/thumbnails [on|off]", "whether small pictures go with the pictures you send"),
    "cancel": ("/cancel [NUMBER]", "stop a file on its way"),
    "newcomers": ("/newcomers [#room] [none|COUNT|all]", "what of the past is handed to who comes in"),
    "rooms": ("/rooms", "your conversations"),
    "members": ("/members [#room]", "who is in it"),
    "fingerprint": ("/fingerprint [@user|#room]", "codes to compare outside this chat"),
    "compared": (
        "/compared @user DIGITS|off [#room]",
        "note that you have compared the epoch code with someone; DIGITS begin it",
    ),
    "accept": ("/accept @user DIGITS", "go on with changed keys; DIGITS begin the new safety number"),
    "release": ("/release [@user|#room]", "go on with a conversation that is on hold"),
    "why": ("/why [@user|#room]", "why a conversation is on hold or a message cannot be read"),
    "reply": ("/reply [ID] TEXT", "answer a message; ID begins its id (/history), else it is the last"),
    "edit": ("/edit [ID] TEXT", "put other words in the place of yours, for everybody"),
    "delete": ("/delete [ID]", "withdraw a message of yours, for everybody"),
    "react": ("/react [ID] SIGN [off]", "react with an emoji, or take that back"),
    "poll": ("/poll QUESTION | OPTION | OPTION", "ask something with 2 to 20 answers"),
    "vote": ("/vote [ID] NUMBER...|off", "choose one answer or several, or none any more"),
    "close": ("/close [ID]", "end a poll of yours: later votes do not count"),
    "thread": ("/thread TOPIC [| TEXT]", "show what belongs to a topic, or say something in it"),
    "expire": ("/expire [@user|#room] 30s|5m|1h|1d|1w|off", "have messages disappear after they are read"),
    "receipts": ("/receipts [read|delivery] [on|off]", "whether others are told what you have and have read"),
    "typing": ("/typing [on|off|show|hide]", "whether others are told that you type; whether you are told"),
    "search": ('/search WORDS or "A PHRASE"', "find what was said; each line is followed by its id"),
    "history": ("/history [@user|#room] [COUNT]", "what was said in a conversation"),
    "archive": ("/archive [on|off]", "whether the server keeps your history, sealed, for your other devices"),
    "date": ("/date 2026-11-22 [@user|#room]", "what was said from a day on"),
    "mentions": ("/mentions", "messages that name you"),
    "bookmark": ("/bookmark ID [off]", "keep a message in mind, or no longer"),
    "bookmarks": ("/bookmarks", "messages kept in mind"),
    "notify": ("/notify [@user|#room] all|mentions|mute", "what of a conversation makes itself heard"),
    "unread": ("/unread", "turn to the next conversation in which something is new"),
    "draft": ("/draft [TEXT|off]", "what was begun here and not sent: show, keep or drop it"),
    "editor": ("/editor", "write what you say next in $VISUAL or $EDITOR"),
    "dnd": ("/dnd [on|off]", "do not disturb: whether new messages make themselves heard"),
    "lock": ("/lock", "clear the screen and close the account until the password is given"),
    "contacts": ("/contacts", "whose keys are known here"),
    "devices": (
        "/devices [@user|#room|list|approve CODE|rename NAME NEW|revoke NAME]",
        "whose devices read along; list shows your own, approve lets in a new one, revoke removes one",
    ),
    "verify": (
        "/verify @user [DIGITS|CODE|scan PICTURE|off]",
        "show number and code; say that the number is the same, or scan theirs; off takes that back",
    ),
    "status": ("/status", "connection, encryption, queue"),
    "quit": ("/quit", "leave (or: exit)"),
}
"""Canonical commands: usage, help."""

ACTIONS: Final[dict[str, tuple[str, ...]]] = {"devices": ("approve", "list", "rename", "revoke")}
"""Words that may follow a command first."""

ALIASES: Final[dict[str, str]] = {
    "h": "help",
    "?": "help",
    "query": "msg",
    "pm": "msg",
    "dm": "msg",
    "part": "leave",
    "kick": "remove",
    "list": "rooms",
    "who": "members",
    "names": "members",
    "correct": "edit",
    "redact": "delete",
    "topic": "thread",
    "lastlog": "search",
    "goto": "date",
    "scrollback": "history",
    "trust": "accept",
    "exit": "quit",
    "q": "quit",
}
"""What fingers type that know another client (field.md)."""


def read_line(line: str) -> Line:
    """Say what ``line`` means; total: every string has exactly one meaning."""
    text = line.strip()
    if not text:
        return Nothing()
    if text == "exit":
        return Leave()
    if text.startswith("//"):
        return Say("", text[1:])
    if text.startswith("/"):
        return _command(text[1:])
    if text[0] in {USER_MARK, ROOM_MARK} and len(text) > 1 and not text[1].isspace():
        return _addressed(text)
    return Say("", text)


def _command(text: str) -> Line:
    word, _, rest = text.partition(" ")
    name = ALIASES.get(word.lower(), word.lower())
    if name == "quit":
        return Leave()
    if name not in COMMANDS:
        return Mistake(f"no command /{word}; nothing was sent (/help lists them, // sends a slash)")
    return Command(name, tuple(rest.split()), rest.strip())


def _addressed(text: str) -> Line:
    """``@bob: text``, ``@bob:text``, ``@bob text``, ``@bob``: the name ends at a colon or a space."""
    ends = [at for at in (text.find(":"), _first_space(text)) if at != -1]
    if not ends:
        return Turn(text)
    end = min(ends)
    said = text[end + 1 :].strip()
    if text[end] != ":" and said.startswith(":"):
        said = said[1:].strip()
    return Say(text[:end], said) if said else Turn(text[:end])


def _first_space(text: str) -> int:
    return next((at for at, character in enumerate(text) if character.isspace()), -1)
