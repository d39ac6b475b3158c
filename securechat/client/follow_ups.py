"""What is said about another message: changes, withdrawals, reactions, votes, the end of a poll.

Two steps, apart: what is *judged*, by a table of checks for each kind, from what is said, by whom and of
what; and what is then *done* to the store. Who counts is the account that MLS proves, on any device: the
name and the key, for a name alone is what a server gives out. What comes before its message waits for it
(`said_of`); what comes later takes the place of what came before, in the order of the log, which is the
same for everybody.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, assert_never

import apsw
from msgspec import Struct

from securechat.client import early, forgetting, history, said_of, timers
from securechat.client.change import Change
from securechat.client.events import MessageChanged, MessageKind, MessageState, Standing
from securechat.client.records import ConversationRecord
from securechat.client.rows import EARLY, poll_of
from securechat.client.said_of import Told, is_of
from securechat.content.mimi import decode
from securechat.content.saying import Changes, Closes, Reacts, Votes, Withdraws, Words, said
from securechat.names import parse_user_uri
from securechat.text import sanitise

MAX_SHOWN: Final = 64 * 1024
"""Code points of one message on screen: more than any content of 64 KiB has."""


class Verdict(StrEnum):
    """What comes of it. `NOT_AUTHOR` and `NOT_CHANGEABLE` are also the codes of the note that stays."""

    TAKE = "take"
    WAIT = "wait"
    DROP = "drop"
    """It changes nothing: the message's words are gone, or there is nothing of that kind to say of it."""
    NOT_AUTHOR = "not_author"
    NOT_CHANGEABLE = "not_changeable"


NOTED: Final = frozenset({Verdict.NOT_AUTHOR, Verdict.NOT_CHANGEABLE})
"""Verdicts that are kept with what they are about; of the others nothing is left to be told."""


class TakesBack(Struct, frozen=True):
    """A withdrawal of a reaction: to what, of which id, and whose that is (the name, and the account key)."""

    target: bytes
    reaction: bytes
    sender: str
    account_key: bytes = b""


About = Changes | Withdraws | Reacts | Votes | Closes
Meant = About | TakesBack


class Target(Struct, frozen=True):
    """The message it is about."""

    local_id: int
    mimi_id: bytes
    sender: str
    kind: str
    deleted: bool
    content: bytes
    closed: int = 0
    """The place in the log from which on it takes no votes; 0: it does, -1: not known yet."""
    account_key: bytes = b""
    """Of who said it; empty: of before this was kept."""


class Case(Struct, frozen=True):
    """All that is judged by."""

    meant: Meant
    sender: str
    target: Target | None
    sequence: int = 0
    """Where in the log it was said; 0 if that is not known yet."""
    keys: tuple[bytes, ...] = ()
    """Of the sender, as of `Told`."""
    before: bytes = b""
    """The account key under which this user has reacted to it or voted before."""


Check = Callable[[Case], Verdict | None]


def is_here(case: Case) -> Verdict | None:
    return Verdict.WAIT if case.target is None else None


def is_the_author(case: Case) -> Verdict | None:
    """Section "Rendering and authorization of edits and deletes": nobody but its sender may."""
    target = case.target
    if target is None or target.sender != case.sender:
        return Verdict.NOT_AUTHOR
    return None if is_of(target.account_key, case.keys) else Verdict.NOT_AUTHOR


def is_own_reaction(case: Case) -> Verdict | None:
    meant = case.meant
    if not isinstance(meant, TakesBack) or meant.sender != case.sender:
        return Verdict.NOT_AUTHOR
    return None if is_of(meant.account_key, case.keys) else Verdict.NOT_AUTHOR


def is_own_voice(case: Case) -> Verdict | None:
    """Who comes by a name that another key had puts nothing in the place of what that one said."""
    return None if is_of(case.before, case.keys) else Verdict.NOT_AUTHOR


def is_still_said(case: Case) -> Verdict | None:
    return Verdict.DROP if case.target is None or case.target.deleted else None


def is_text(case: Case) -> Verdict | None:
    text = case.target is not None and case.target.kind in (MessageKind.TEXT, EARLY)
    return None if text else Verdict.NOT_CHANGEABLE


def is_no_timer(case: Case) -> Verdict | None:
    """That somebody has set how long messages stay is to be seen by who comes later."""
    timer = case.target is not None and case.target.kind == history.TIMER
    return Verdict.NOT_CHANGEABLE if timer else None


def is_in_the_poll(case: Case) -> Verdict | None:
    asked = poll_of(case.target.content) if case.target and case.target.kind == MessageKind.POLL else None
    numbers = case.meant.numbers if isinstance(case.meant, Votes) else ()
    return None if asked is not None and max(numbers, default=0) <= len(asked.options) else Verdict.DROP


def is_a_poll(case: Case) -> Verdict | None:
    poll = case.target is not None and case.target.kind == MessageKind.POLL
    return None if poll else Verdict.DROP


def is_open(case: Case) -> Verdict | None:
    """What stands before the end in the log counts, whenever it is read here."""
    closed = case.target.closed if case.target is not None else 0
    return Verdict.DROP if closed and (not case.sequence or 0 < closed < case.sequence) else None


CHECKS: Final[dict[type, tuple[Check, ...]]] = {
    Changes: (is_here, is_the_author, is_still_said, is_text),
    Withdraws: (is_here, is_the_author, is_still_said, is_no_timer),
    Reacts: (is_own_voice, is_here, is_still_said),
    TakesBack: (is_own_reaction,),
    Votes: (is_own_voice, is_here, is_still_said, is_in_the_poll, is_open),
    Closes: (is_here, is_the_author, is_still_said, is_a_poll, is_open),
}
"""What is said -> what it has to stand, in this order."""


def judge(case: Case) -> Verdict:
    verdicts = (check(case) for check in CHECKS[type(case.meant)])
    return next((verdict for verdict in verdicts if verdict is not None), Verdict.TAKE)


def take(change: Change, record: ConversationRecord, about: About, told: Told, *, me: str) -> Verdict:
    """Judge what was said, and do it.

    A change that waits (`WAIT`) is not kept: whoever asks gives it a line of its own (`early`).

    :param me: our own URI: whether we are named is ours to say
    """
    db = change.db
    meant = _meant(db, record.id, about)
    target = find(db, record.id, meant.target)
    if target is None and isinstance(meant, Changes | Withdraws):
        target = _instead(db, record.id, meant, told)
    before = _before(db, record.id, meant, told, target)
    verdict = judge(Case(meant, told.sender, target, told.sequence, told.keys, before))
    if verdict is Verdict.WAIT:
        _wait(db, record.id, about, told)
    elif verdict is Verdict.TAKE:
        _do(change, record.id, meant, told, target, me=me)
        if isinstance(about, Withdraws) and target is not None and target.kind == EARLY:
            said_of.put_early(db, record.id, about, told)  # the message itself may come yet
        if target is not None:
            _tell(change, record, target.local_id)
    return verdict


def settle(change: Change, record: ConversationRecord, local_id: int, mimi_id: bytes, *, me: str) -> None:
    """Let what waited for a message count, now that it is here."""
    db = change.db
    waited = said_of.take_early(db, record.id, mimi_id)
    target = find(db, record.id, mimi_id)
    if target is None:
        return
    asked = poll_of(target.content) if target.kind == MessageKind.POLL else None
    counted = said_of.end_wait(db, record.id, mimi_id, options=len(asked.options) if asked else 0)
    domain = parse_user_uri(me).domain
    for line in early.lines(db, record.id, mimi_id):
        what = said(decode(line.told.content), domain=domain) if line.told.content else None
        verdict = take(change, record, what, line.told, me=me) if isinstance(what, Changes) else Verdict.DROP
        early.close(db, record.id, line, verdict if verdict in NOTED else "")
    for told in waited:
        about = said(decode(told.content), domain=domain)
        if isinstance(about, Changes | Withdraws | Closes):
            verdict = take(change, record, about, told, me=me)
            if verdict in NOTED:
                note(change, record, about, told, code=verdict)
    if counted:
        _tell(change, record, local_id)


def placed(change: Change, record: ConversationRecord, local_id: int, sequence: int) -> None:
    """Our own words about a message have their place in the log: a vote after the end of its poll is none."""
    db = change.db
    sender, meant = _own_words(db, local_id)
    target = find(db, record.id, meant.target) if meant is not None else None
    if target is None or target.deleted:
        return
    match meant:
        case Closes():
            said_of.close_poll(db, target.local_id, sequence=sequence)
        case Votes() if 0 < target.closed < sequence:
            said_of.undo_vote(db, record.id, target.mimi_id, sender)
            _tell(change, record, target.local_id)
        case Votes(numbers=numbers):
            said_of.place_vote(db, record.id, Votes(target.mimi_id, numbers), sender)


def refused(change: Change, conversation: int, local_id: int) -> None:
    """Our own words about a message were not taken: a poll that they closed goes on."""
    _, meant = _own_words(change.db, local_id)
    target = find(change.db, conversation, meant.target) if isinstance(meant, Closes) else None
    if target is not None:
        said_of.open_poll(change.db, target.local_id)
        change.tell(MessageChanged(history.message(change.db, target.local_id)))


def _own_words(db: apsw.Connection, local_id: int) -> tuple[str, Closes | Votes | None]:
    """Return who we are, and what we said of a poll."""
    row = db.execute(
        "SELECT sender, content FROM message WHERE id = ? AND kind = ?", (local_id, history.FOLLOW_UP)
    ).fetchone()
    if row is None or not row[1]:
        return "", None
    meant = said(decode(row[1]), domain="")
    return row[0], meant if isinstance(meant, Closes | Votes) else None


def note(change: Change, record: ConversationRecord, about: About, told: Told, *, code: str) -> None:
    """Keep what does not count, with the reason: it is not shown, and not hidden either."""
    words = about.words.text if isinstance(about, Changes) else ""
    history.add_received(
        change.db,
        record.id,
        history.Arrival(
            sender=told.sender,
            state=MessageState.NOT_SHOWN,
            content=told.content,
            mimi_id=told.mimi_id,
            text=sanitise(words, multiline=True, limit=MAX_SHOWN),
            timestamp=told.timestamp,
            sequence=0,
            epoch=record.epoch,
            code=code,
            about=about.target,
            account_key=told.key,
            expires=timers.unread_end(decode(told.content).expires, now=change.now),
        ),
    )


_SELECT: Final = "SELECT id, mimi_id, sender, kind, deleted, content, closed, account_key FROM message"


def find(db: apsw.Connection, conversation: int, mimi_id: bytes) -> Target | None:
    """Return the message of this id, or whose last change has it."""
    for column in ("mimi_id", "version"):
        row = db.execute(
            f"{_SELECT} WHERE conversation = ? AND {column} = ? AND (hidden = 0 OR kind = 'gone')",
            (conversation, mimi_id),
        ).fetchone()
        if row is not None:
            return _target(row)
    return None


def _target(row: Sequence[Any]) -> Target:
    local_id, mimi_id, sender, kind, deleted, content, closed, key = row
    return Target(local_id, mimi_id, sender, kind, bool(deleted), content, closed, key)


def _instead(db: apsw.Connection, conversation: int, meant: Changes | Withdraws, told: Told) -> Target | None:
    """Return what stands in place of a message that is not shown here: what its author said of it."""
    line = early.line_of(db, conversation, meant.target, told)
    if line is not None:
        return find(db, conversation, line)
    return _unseen(db, conversation, meant.target) if isinstance(meant, Withdraws) else None


def _unseen(db: apsw.Connection, conversation: int, mimi_id: bytes) -> Target | None:
    """Return the message of this id that is kept and not shown: its author may take it back too."""
    row = db.execute(
        f"{_SELECT} WHERE conversation = ? AND mimi_id = ? AND state = 'not_shown'",
        (conversation, mimi_id),
    ).fetchone()
    return _target(row) if row is not None else None


def _meant(db: apsw.Connection, conversation: int, about: About) -> Meant:
    """Tell the withdrawal of a reaction from that of a message, and a version of a message from it."""
    if isinstance(about, Withdraws):
        reaction = said_of.reaction_of(db, conversation, about.target)
        if reaction is not None:
            target, sender, key = reaction
            return TakesBack(target, about.target, sender, key)
    return about


def _before(db: apsw.Connection, conversation: int, meant: Meant, told: Told, target: Target | None) -> bytes:
    """Return the account key under which the sender has reacted or voted there before."""
    if not isinstance(meant, Reacts | Votes):
        return b""
    place = target.mimi_id if target is not None else meant.target
    return said_of.said_under(db, conversation, place, told.sender, vote=isinstance(meant, Votes))


def _wait(db: apsw.Connection, conversation: int, about: About, told: Told) -> None:
    match about:
        case Changes():
            pass  # `incoming` gives it a line of its own
        case Withdraws() | Closes():
            said_of.put_early(db, conversation, about, told)
        case Reacts():
            said_of.put_reactions(db, conversation, about, told, waiting=True)
        case Votes():
            said_of.put_vote(db, conversation, about, told, waiting=True)
        case _:
            assert_never(about)


def _do(
    change: Change, conversation: int, meant: Meant, told: Told, target: Target | None, *, me: str
) -> None:
    db = change.db
    if isinstance(meant, TakesBack):
        said_of.drop_reaction(db, conversation, meant.reaction, told.sender)
        return
    if target is None:
        raise AssertionError("what counts is about a message that is here")
    match meant:
        case Changes():
            _put_words(db, target.local_id, meant.words, told, me=me)
        case Withdraws():
            forgetting.withdraw(db, conversation, target.local_id, target.mimi_id)
            change.forgot = True
        case Reacts():
            first = Reacts(target.mimi_id, meant.texts, meant.instead_of)
            said_of.put_reactions(db, conversation, first, told, waiting=False)
        case Votes():
            first_vote = Votes(target.mimi_id, meant.numbers)
            said_of.put_vote(db, conversation, first_vote, told, waiting=False)
        case Closes():
            said_of.close_poll(db, target.local_id, sequence=told.sequence)
        case _:
            assert_never(meant)


def _put_words(db: apsw.Connection, local_id: int, words: Words, told: Told, *, me: str) -> None:
    # Of ours the first content stays: it is what is sent again should the server have lost it.
    db.execute(
        "UPDATE message SET text = ?, edited = ?, version = ?, mentions_me = ?,"
        " content = CASE WHEN own = 0 THEN ? ELSE content END WHERE id = ?",
        (
            sanitise(words.text, multiline=True, limit=MAX_SHOWN),
            max(told.timestamp, 1),
            told.mimi_id,
            int(me in words.people),
            told.content,
            local_id,
        ),
    )


def _tell(change: Change, record: ConversationRecord, local_id: int) -> None:
    if record.state is not Standing.INVITED and not history.is_hidden(change.db, local_id):
        change.tell(MessageChanged(history.message(change.db, local_id)))
