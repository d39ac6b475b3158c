"""Keeping up with accounts: whose statements have changed, and what that means here (rules.md B).

Statements are asked for from the one that is known on, that one included: a server that does not show it
again has gone back, and one that shows another of its serial tells two histories. Either is said and stops
sending to that person (`reconciling`); what was known stays in force, and no revocation is taken back.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import apsw
from msgspec import Struct

from securechat.client import intents, password_news, records, statements, told_serials
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Change, Changes
from securechat.client.contacts import concerns, contact, meet_key
from securechat.client.device import Device
from securechat.client.errors import IdentityChanged, RefusedByServer, UntrustedKeys
from securechat.client.events import Notice
from securechat.client.intents import Intent, Step
from securechat.client.keystore import replace_credential, replace_statement
from securechat.client.link_requests import added_sentence
from securechat.client.notes import tell_account
from securechat.client.own_account import OwnAccount
from securechat.client.own_rows import note_devices
from securechat.client.records import ConversationRecord
from securechat.client.sentences import OWN_LIST
from securechat.client.session import Session
from securechat.membership import account
from securechat.membership.account import Certified, certificate_problem
from securechat.membership.identity import read_identity
from securechat.membership.statement import StatementRefused, verify_statement
from securechat.names import parse_client_uri
from securechat.protocol.messages import ChangedAccounts, Devices, GetChangedAccounts, GetDevices

OLDER: Final = "statement_older"
"""The server shows less of an account than was known here."""

FORKED: Final = "statement_forked"
"""It shows another history of an account than was known here."""

WITHHELD: Final = "statement_withheld"
"""It does not show a statement that others have seen."""

ATTEMPTS: Final = 3
"""To ask for an account of which more is learned meanwhile."""

MAX_PAGES: Final = 64
"""Answers about whose statements have changed that are taken at one login: some 16,000 accounts."""

VERSION: Final = "statements"
"""The counter that rises with whatever is learned of any account."""


class Trouble(Struct, frozen=True):
    """What is wrong with what the server shows of an account; ``code`` is a hold's, empty for nothing."""

    code: str = ""
    expected: int = 0
    """The serial of a statement that somebody has shown us, or is said to be there."""


def trouble(db: apsw.Connection, user: str) -> Trouble:
    row: Any = db.execute("SELECT trouble, expected FROM account_news WHERE user = ?", (user,)).fetchone()
    return Trouble() if row is None else Trouble(*row)


def version(db: apsw.Connection) -> int:
    """Return a number that is another one once anything more is known of any account."""
    return records.counter(db, VERSION)


def is_behind(db: apsw.Connection, user: str) -> bool:
    """Whether there is a newer statement of a user than the one that is known."""
    return statements.known_serial(db, user) < max(trouble(db, user).expected, told_serials.newest(db, user))


def expect(change: Change, user: str, serial: int) -> None:
    """Note that there is a statement of a user of this serial: it is asked for."""
    if serial <= max(trouble(change.db, user).expected, statements.known_serial(change.db, user)):
        return
    change.db.execute(
        "INSERT INTO account_news (user, expected) VALUES (?, ?)"
        " ON CONFLICT (user) DO UPDATE SET expected = excluded.expected",
        (user, serial),
    )
    stir(change)


def take_evidence(change: Change, device: Device, data: bytes) -> None:
    """Take the statement that came with a commit: it is signed by its account, whoever brought it.

    What is not the next one of the account that we know is asked for where it belongs.
    """
    try:
        statement = verify_statement(data)
    except StatementRefused:
        return  # it was evidence of nothing, or the commit would have needed it to be
    user = statements.user_of(statement)
    key = pinned(change.db, device, user)
    known = statements.newest_bytes(change.db, user)
    if key != statement.account_key or known is None:
        return
    if statement.serial == verify_statement(known).serial and data != known:
        _say(change, device, user, FORKED)
        return
    try:
        _keep(change, device, user, [data], key)
    except StatementRefused:
        expect(change, user, statement.serial)


def take(change: Change, device: Device, user: str, shown: list[bytes]) -> None:
    """Take what the server shows of an account, the statement that is known first; keep what is wrong."""
    known = statements.newest_bytes(change.db, user)
    key = pinned(change.db, device, user)
    if known is not None and key is not None and verify_statement(known).account_key != key:
        known = None  # of the account key of before: the one that was accepted since has a chain of its own
    if known is not None and not shown:
        _say(change, device, user, OLDER)
        return
    if known is not None and shown[0] != known:
        if not _is_of_new_keys(change, device, user, shown, key):
            _say(change, device, user, FORKED)
        return
    following = shown if known is None else shown[1:]
    try:
        if following:
            _keep(change, device, user, following, key or verify_statement(following[-1]).account_key)
    except StatementRefused:
        if not _is_of_new_keys(change, device, user, following, key):
            _say(change, device, user, FORKED)
        return
    told_serials.forget(change.db, user)
    _say(change, device, user, WITHHELD if is_behind(change.db, user) else "")


def pinned(db: apsw.Connection, device: Device, user: str) -> bytes | None:
    """Return the account key that we know a user by; None of a stranger."""
    if user == device.user:
        return device.account_keys[0]
    known = contact(db, user)
    return None if known is None else known.account_key


def stir(change: Change) -> None:
    """More is known of an account: every conversation is looked at again."""
    records.set_counter(change.db, VERSION, version(change.db) + 1)
    for record in records.every(change.db):
        change.wake(record.id)


def _keep(change: Change, device: Device, user: str, chain: list[bytes], key: bytes) -> None:
    before = statements.known_serial(change.db, user)
    statement, steps = statements.take(
        change.db, user, chain, user_uri=device.uri_of(user), account_key=key, now=change.now
    )
    if user == device.user:
        replace_statement(change.db, chain[-1], chain)
        password_news.note_chain(change.db, chain)
        _tell_own(change, user, steps)
    if statement.serial != before:
        stir(change)


def _is_of_new_keys(change: Change, device: Device, user: str, chain: list[bytes], key: bytes | None) -> bool:
    """Whether it does not follow as it is another account of the name: for the user to settle (D-04)."""
    try:
        last = verify_statement(chain[-1])
    except StatementRefused:
        return False
    if user == device.user or key is None or last.account_key == key:
        return False
    if last.user.decode() != device.uri_of(user):
        return False
    known = contact(change.db, user)
    if known is not None and known.changed_to != last.account_key:
        meet_key(change.db, user, last.account_key)
        change.tell(Notice(IdentityChanged.code, str(IdentityChanged(user))))
        stir(change)
    return True


def _is_anothers(chain: list[bytes], key: bytes | None) -> bool:
    try:
        return bool(chain) and verify_statement(chain[-1]).account_key != key
    except StatementRefused:
        return False


def _say(change: Change, device: Device, user: str, code: str) -> None:
    """Keep what is wrong with an account, or that nothing is any more; of our own it is told at once."""
    if trouble(change.db, user).code == code:
        return
    if code and user == device.user:
        tell_account(change, code, OWN_LIST)
    change.db.execute(
        "INSERT INTO account_news (user, trouble, since) VALUES (?, ?, ?) ON CONFLICT (user)"
        " DO UPDATE SET trouble = excluded.trouble, since = excluded.since",
        (user, code, change.now),
    )
    stir(change)


def _tell_own(change: Change, user: str, steps: tuple[account.Step, ...]) -> None:
    """Say what became of our own account: whoever did it, the owner of this device is to know."""
    gone = sum(len(step.gone) for step in steps)
    for added in (each for step in steps for each in step.added):
        client = parse_client_uri(added.client).name
        change.tell(Notice("device_added", added_sentence(change.db, user, client)))
    if gone:
        change.tell(Notice("device_revoked", f"devices that were removed from your account: {gone}"))


class Looker(Protocol):
    """Who waits for statements of users: `reconciling.Reconciler`."""

    def begin(self) -> None: ...
    def answered(self, record: ConversationRecord, users: Collection[str]) -> None: ...


class Judge(Protocol):
    """Who judges what a claim has brought: `claims.Claims`."""

    def whose(self, intent: Intent) -> str: ...
    def judge(self, change: Change, record: ConversationRecord, intent: Intent) -> None: ...


@dataclass(slots=True)
class AccountNews:
    """Asks the server; what it learns is taken in changes."""

    changes: Changes
    session: Session
    device: Device
    looker: Looker
    claims: Judge
    top_up: Callable[[], Awaitable[None]]
    """Leave key packages with the certificate that we have now."""
    _turns: weakref.WeakValueDictionary[str, asyncio.Lock] = field(
        default_factory=weakref.WeakValueDictionary
    )
    """One look-up of a user at a time: of two the slower one would seem to show another history."""
    _own: OwnAccount = field(init=False)

    def __post_init__(self) -> None:
        self._own = OwnAccount(self.changes, self.session.request, self.device)

    async def see_to(self, conversation: int, users: Collection[str], brought: Intent | None) -> None:
        """Ask for what a conversation needs to go on."""
        if users:
            await self._look_up(conversation, users)
        if brought is not None:
            await self._judge(conversation, brought)

    async def _look_up(self, conversation: int, users: Collection[str]) -> None:
        """Ask for the statements of users that a conversation waits for."""
        for user in sorted(users):
            await self.refresh(user)
        with self.changes.change() as change:
            self.looker.answered(records.by_id(change.db, conversation), users)
            change.wake(conversation)

    async def _judge(self, conversation: int, intent: Intent) -> None:
        """Have what a claim brought judged by the newest statement of its user."""
        await self.refresh(self.claims.whose(intent))
        with self.changes.change() as change:
            still = intents.get(change.db, intent.id)
            if still is not None and still.step is Step.BROUGHT:
                self.claims.judge(change, records.by_id(change.db, conversation), still)

    async def changed(self, user: str, serial: int) -> None:
        """The server says that an account has a new statement.

        Ours may be here already, with a commit; then it is our certificate that is asked for.
        """
        # 1 is told of nobody who was known, but of an account that was begun anew.
        db = self.changes.db
        is_known = 1 < serial <= statements.known_serial(db, user) and not trouble(db, user).code
        if user != self.device.user and is_known:
            return
        try:
            await self.refresh(user)
        except RefusedByServer as refused:
            if refused.code not in NOT_NOW:
                raise
            with self.changes.change() as change:
                if told_serials.note(change.db, user, serial):
                    stir(change)  # whoever is in a conversation with them asks again

    async def catch_up(self) -> None:
        """Ask whose statements have changed since we were here, and for those; first of all our own.

        A certificate that was replaced must be known before anything is committed with it.
        """
        self.looker.begin()
        await self.refresh(self.device.user)
        for user in _troubled(self.changes.db):
            await self._look_again(user)
        after = _seen(self.changes.db)
        for _ in range(MAX_PAGES):  # the rest at the next login: what was seen is kept
            answer = await self.session.request(GetChangedAccounts(after))
            if not isinstance(answer, ChangedAccounts):
                return
            for each in answer.accounts:
                if concerns(self.changes.db, each.user, own=self.device.user):
                    await self._look_again(each.user, each.serial)
            if answer.head == after and not answer.more:
                return
            after, more = answer.head, answer.more and answer.head > after
            with self.changes.change() as change:
                change.db.execute("UPDATE profile SET changes_seen = ?", (after,))
            if not more:
                return

    async def _look_again(self, user: str, serial: int = 0) -> None:
        """Ask for an account's newest statement; what cannot be had now keeps nobody else's waiting."""
        try:
            await self.refresh(user)  # also of a serial that is known: the account may have begun anew
        except (RefusedByServer, UntrustedKeys) as no:
            if isinstance(no, RefusedByServer) and no.code not in NOT_NOW:
                raise
            with self.changes.change() as change:
                if told_serials.note(change.db, user, serial):
                    stir(change)  # whoever is in a conversation with them asks again

    async def refresh(self, user: str) -> None:
        """Ask for the newest statement of a user; what it says is taken.

        :raises Disconnected, RefusedByServer: it could not be asked for now
        """
        turn = self._turns.setdefault(user, asyncio.Lock())
        async with turn:
            for _ in range(ATTEMPTS):
                if await self._asked(user):
                    break
        if user == self.device.user:
            await self._renew()
            if not trouble(self.changes.db, user).code:
                await self._own.keep()

    async def _asked(self, user: str) -> bool:
        """Take what the server shows of an account; False if more was learned of it meanwhile."""
        db = self.changes.db
        body = statements.newest_bytes(db, user)
        known = statements.newest(db, user)
        key = pinned(db, self.device, user)
        of_before = known is not None and key is not None and known.account_key != key
        after = 0 if known is None or of_before else known.serial - 1
        try:
            shown = await statements.fetch(self.session.request, user, after=after)
            if not shown and after:  # less than was known: gone back, or another account with the name
                begun = await statements.fetch(self.session.request, user, after=0)
                shown = begun if _is_anothers(begun, key) else []
        except RefusedByServer as refused:
            if refused.code != "unknown_user":
                raise
            shown = []
        if not shown and user == self.device.user and known is not None and await self._own.offer():
            shown = await statements.fetch(self.session.request, user, after=after)
        with self.changes.change() as change:
            if statements.newest_bytes(change.db, user) != body:
                return False  # held against that it would look like another history
            take(change, self.device, user, shown)
        return True

    async def _renew(self) -> None:
        """Take our new certificate, where the account has issued all of them anew."""
        statement = statements.newest(self.changes.db, self.device.user)
        if statement is None or self.device.generation >= statement.generation:
            return
        answer = await self.session.request(GetDevices())
        own = next(
            (each for each in answer.devices if each.client == self.device.client)
            if isinstance(answer, Devices)
            else iter(()),
            None,
        )
        if own is None:
            return  # we are none of them any more
        certified = Certified(own.client, self.device.identity.signature_key.public, own.credential)
        if certificate_problem(certified, statement) is not None:
            return
        with self.changes.change() as change:
            adopt(change, self.device, own.credential)
        await self.top_up()


def adopt_own(change: Change, device: Device, made: account.NextStatement) -> None:
    """Take the next statement of our own account, which we made ourselves and the server has."""
    if verify_statement(made.statement).serial > statements.known_serial(change.db, device.user):
        replace_statement(change.db, made.statement)
    own = next((each for each in made.reissued if each.client == device.client), None)
    if own is not None:
        adopt(change, device, own.credential)
    note_devices(change.db, verify_statement(made.statement), (*made.added, *made.reissued))
    stir(change)


def adopt(change: Change, device: Device, credential: bytes) -> None:
    """Be who a new certificate says; it goes into each group with our next path."""
    if read_identity(credential).generation <= device.generation:
        return
    replace_credential(change.db, credential)
    device.renew(credential)
    stir(change)


def _troubled(db: apsw.Connection) -> list[str]:
    """The users of whom the server has shown what does not hold: perhaps it shows better now."""
    return [user for (user,) in db.execute("SELECT user FROM account_news WHERE trouble <> '' ORDER BY user")]


def _seen(db: apsw.Connection) -> int:
    row = db.execute("SELECT changes_seen FROM profile").fetchone()
    return 0 if row is None else int(row[0])
