"""What the key log's answers must be, and what a server is caught at that gives others.

Runs inside the change that keeps what was proven; who is caught is accused in a change of its own. Two of
the server's own words that no honest log allows are evidence for anybody (``transparency.evidence``); what it
only does not prove is refused, and nothing new is believed until it does.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from securechat.client import key_log, notes, records, statements
from securechat.client.change import Change
from securechat.membership.account import step_between
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.mls.codec import decode
from securechat.mls.errors import DecodeError
from securechat.protocol.messages import LogSearched
from securechat.transparency.begun import LogBegun, check_begun, read_begun
from securechat.transparency.distinguished import Standing, check_standing
from securechat.transparency.entries import Change as Changed
from securechat.transparency.entries import LabelChange, changes_between, hash_of_statement
from securechat.transparency.errors import Refused
from securechat.transparency.evidence import (
    Evidence,
    Verdict,
    compare_heads,
    encode_evidence,
    evidence_in_answer,
    evidence_in_head,
    evidence_in_standing,
)
from securechat.transparency.heads import (
    Extension,
    HeadRefused,
    Judged,
    TreeHead,
    TrustedHead,
    accept_head,
    read_offer,
)
from securechat.transparency.search import (
    MAX_SINCE,
    Absent,
    Found,
    SearchAnswer,
    Seen,
    follow,
    read_answer,
    verify_search,
)

MOST_BEGUN: Final = 4
"""Logs that may begin in a day: an operator tries several copies, a liar would start over at will."""

_DAY: Final = "key_log_day"
_TODAY: Final = "key_logs_begun"


class Caught(Exception):
    """What the server said does not hold. ``evidence`` is encoded; empty where others can't judge it."""

    def __init__(self, code: str, rule: str, text: str, evidence: bytes = b"") -> None:
        super().__init__(f"{text} ({rule})")
        self.code = code
        self.rule = rule
        self.text = text
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer proved of a user; ``changes`` are those since what was seen, of all its parts."""

    trusted: TrustedHead
    found: Found
    statement: AccountStatement


@dataclass(slots=True)
class Judge:
    """Judges for one connection: by the key that this server proved there."""

    server_key: bytes
    now: Callable[[], int]

    def head(self, change: Change, offer: bytes, begun: bytes) -> TrustedHead:
        """Take a newer head than the one that is known.

        :raises Caught: it is none
        """
        before = key_log.known(change.db)
        known = None if before is None else before.trusted
        if known is not None and known.head.server_key != self.server_key:
            key_log.forget(change.db)  # the user took another key as the server's: nothing goes on from there
            known = None
        try:
            read = read_offer(offer)
        except Refused as refused:
            raise _caught(refused, None) from None
        case = Judged(read, known, self.server_key, self.now())
        try:
            if known is not None and case.head.log != known.head.log:
                self._another_log(change, case, begun)
                case = Judged(case.offer, None, self.server_key, case.now)
            trusted = accept_head(case)
        except HeadRefused as refused:
            raise _caught(refused, evidence_in_head(case)) from None
        except Refused as refused:
            raise _caught(refused, None) from None
        key_log.take_head(change.db, trusted, now=change.now)
        return trusted

    def search(
        self, change: Change, user: str, uri: str, answer: LogSearched, parts: "Parts"
    ) -> Answered | None:
        """Take what the log says of a user; None: ask again, for the next part or because another log began.

        :raises Caught: it does not hold
        """
        before = key_log.known(change.db)
        trusted = self.head(change, answer.offer, answer.begun)
        if before is not None and before.trusted.head.log != trusted.head.log:
            parts.begin_anew()
            return None
        seen = key_log.seen(change.db, user)
        read: SearchAnswer | None = None
        try:
            read = read_answer(answer.answer)
            at = parts.reached or (None if seen is None else seen.found.seen)
            if parts.take(at, read):
                return None
            found = verify_search(trusted, uri, read, seen=at)
        except Refused as refused:
            evidence = None
            if read is not None and seen is not None:
                evidence = evidence_in_answer(trusted, read, seen.found, server_key=self.server_key)
            raise _caught(refused, evidence) from None
        if isinstance(found, Absent):
            raise Caught(key_log.REFUSED, "entry-missing", f"its log does not know {user}")
        found = Found(found.head, found.label, found.state, found.placed, (*parts.changes, *found.since))
        return Answered(trusted, found, _statement(user, uri, found, answer.statement, parts))

    def own(
        self, change: Change, answered: Answered, user: str, chain: Sequence[bytes], parts: "Parts"
    ) -> None:
        """Hold every entry of our own label against what our account key has signed.

        :param chain: our account's statements, the oldest first; checked here
        :raises Caught: an entry is not of our making, or one of ours is missing
        """
        by_hash, changes = _own_statements(chain, user, change), answered.found.since
        seen, key = key_log.seen(change.db, user), _own_key(user, change)
        previous = None if seen is None else by_hash.get(seen.found.state.statement_hash)
        # Where the key is the one that was seen, nobody has replaced it since: each entry must be ours.
        is_same = seen is not None and key is not None and hmac.compare_digest(seen.account_key, key)
        ours = 0 if is_same else _first_of_ours(changes, by_hash)
        for place, each in enumerate(changes):
            body = by_hash.get(each.statement_hash)
            if place >= ours and not _is_ours(each, body, previous, is_first=each.revision == 1):
                text = f"entry {each.revision} of your account is not of your making"
                raise Caught(key_log.STRANGER, "own-unknown", text)
            previous = body
        local, told = parts.known, answered.statement
        if local is not None and local.account_key == told.account_key and local.serial > told.serial:
            raise Caught(key_log.REFUSED, "own-missing", f"it lacks change {local.serial} of your account")

    def stands(
        self, change: Change, user: str, size: int, standing: bytes, *, head: TreeHead, reached: int
    ) -> int:
        """Check what the log said of a user at a distinguished size; return the revision that stood there.

        :param head: the one that was believed when it was asked
        :raises Caught: it does not hold
        """
        seen, told = key_log.seen(change.db, user), None
        if seen is None:
            raise LookupError(user)
        try:
            told = decode(Standing, standing)
            return check_standing(
                head,
                size,
                told,
                label=seen.found.label,
                chain=key_log.chain(change.db, user),
                reached=reached,
            )
        except DecodeError:
            raise Caught(key_log.REFUSED, "answer-encoding", "its answer does not decode") from None
        except Refused as refused:
            evidence = None
            if told is not None:
                evidence = evidence_in_standing(head, size, told, seen.found, server_key=self.server_key)
            raise _caught(refused, evidence) from None

    def compare(self, mine: TreeHead, theirs: TreeHead, extension: Extension | None, *, who: str) -> bool:
        """Whether two heads are proven to be of one log; False if nobody has proven it yet.

        :raises Caught: they are not
        """
        try:
            compared = compare_heads(mine, theirs, server_key=self.server_key, extension=extension)
        except Refused:
            return True  # not the server's word: who passed it on, or who was in between, made it up
        if compared.verdict is Verdict.EQUIVOCATION and compared.evidence is not None:
            text = f"it showed {who} another log than this device"
            raise Caught(key_log.LIE, "fork", text, encode_evidence(compared.evidence))
        return compared.verdict is Verdict.AGREE

    def _another_log(self, change: Change, case: Judged, begun: bytes) -> None:
        """Take it that another log has begun, and say so: the old one cannot be held against it any more."""
        if case.known is None:
            return
        known = case.known.head
        word = read_begun(begun)
        check_begun(word, known, log=case.head.log, server_key=self.server_key)
        if (evidence := evidence_in_head(case)) is not None:
            text = "it goes on with a log that had ended"
            raise Caught(key_log.LIE, "went-back", text, encode_evidence(evidence))
        if _too_often(change, self.now()):
            raise Refused("begun-again", "The server has begun more logs today than any operator restores.")
        key_log.forget(change.db)
        notes.tell_account(change, key_log.BEGUN, _begun_text(word, known))


@dataclass(slots=True)
class Parts:
    """A look-up under way: a history may be too long for one answer."""

    local: bytes | None
    """The user's newest statement here before it was asked: what comes meanwhile is not held against it."""
    reached: Seen | None = None
    changes: tuple[LabelChange, ...] = ()

    @property
    def known(self) -> AccountStatement | None:
        return None if self.local is None else verify_statement(self.local)

    def begin_anew(self) -> None:
        self.reached, self.changes = None, ()

    def take(self, at: Seen | None, answer: SearchAnswer) -> bool:
        """Follow a part; whether it was one, and the next is to be asked for.

        :raises Refused: it does not follow
        """
        leaf, since = answer.prefix.leaf, answer.since
        if leaf is None or len(since) < MAX_SINCE or since[-1].revision >= leaf.state.revision:
            return False
        self.reached = follow(leaf.label, at, since)
        self.changes += since
        return True


def _caught(refused: Refused, evidence: Evidence | None) -> Caught:
    if evidence is not None:
        return Caught(key_log.LIE, refused.rule, refused.text, encode_evidence(evidence))
    return Caught(key_log.REFUSED, refused.rule, refused.text)


def _statement(user: str, uri: str, found: Found, data: bytes, parts: Parts) -> AccountStatement:
    """The statement that the log names, held against what was handed out before."""
    try:
        statement = verify_statement(data)
    except StatementRefused as refused:
        raise Caught(key_log.REFUSED, "statement", str(refused)) from None
    last = parts.known
    flaw = ""
    if statement.user != uri.encode() or not found.names(data):
        flaw = f"what it hands out of {user} is not what its log names"
    # A changed key has a way of its own: the user decides (D-04).
    elif last is not None and last.account_key == statement.account_key:
        if last.serial > statement.serial:
            flaw = f"its log is behind what it has handed out of {user}"
        elif last.serial == statement.serial and parts.local != data:
            flaw = f"its log names another statement of {user} than it gave out"
    if flaw:
        raise Caught(key_log.REFUSED, "statement", flaw)
    return statement


def _own_statements(chain: Sequence[bytes], user: str, change: Change) -> dict[bytes, bytes]:
    """Our statements by their hash: each the account key's, and each following the one before."""
    key = _own_key(user, change)
    try:
        for place, body in enumerate(chain):
            this = verify_statement(body) if place == 0 else step_between(body, chain[place - 1])[0]
            if key is not None and this.account_key != key:
                text = "a statement of ours is signed by another account key"
                raise Caught(key_log.STRANGER, "own-statements", text)
    except StatementRefused as refused:
        raise Caught(key_log.STRANGER, "own-statements", str(refused)) from None
    return {hash_of_statement(body): body for body in chain}


def _own_key(user: str, change: Change) -> bytes | None:
    local = statements.newest(change.db, user)
    return None if local is None else local.account_key


def _first_of_ours(changes: tuple[LabelChange, ...], by_hash: dict[bytes, bytes]) -> int:
    """The place from which on every entry must be ours: a key of before signed what this device may not know.

    It is where the key was last replaced, or the first entry of ours if that is earlier.
    """
    replaced = [i for i, each in enumerate(changes) if Changed.ACCOUNT_KEY_REPLACED in each.changes]
    known = [i for i, each in enumerate(changes) if each.statement_hash in by_hash]
    return min((*replaced[-1:], *known[:1])) if replaced else 0


def _is_ours(change: LabelChange, body: bytes | None, previous: bytes | None, *, is_first: bool) -> bool:
    """Whether an entry is of a statement of ours and says what that changed."""
    if body is None:
        return False
    this = verify_statement(body)
    if this.serial != change.serial:
        return False
    if is_first:
        return change.changes == (Changed.ACCOUNT_REGISTERED,)
    if previous is None:
        return True  # what it came after is not here: of a key of before, or seen and checked already
    return change.changes == changes_between(verify_statement(previous), this)


def _begun_text(word: LogBegun, known: TreeHead) -> str:
    lost = "" if word.before is None else f" (it says {word.before.size})"
    return (
        f"the server has begun another key log; the one before had {known.size} entries{lost} and cannot be "
        "held against it any more"
    )


def _too_often(change: Change, now: int) -> bool:
    db, day = change.db, now // 86_400
    if records.counter(db, _DAY) != day:
        records.set_counter(db, _DAY, day)
        records.set_counter(db, _TODAY, 0)
    today = records.counter(db, _TODAY) + 1
    records.set_counter(db, _TODAY, today)
    return today > MOST_BEGUN
