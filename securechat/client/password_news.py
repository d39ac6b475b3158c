"""What a device learns of its account's password: changed elsewhere, or a change of ours that holds (A-09).

A change of ours is in force when its statement is in the account's chain, whatever came after it, and whether
or not the answer ever came here.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import apsw

from securechat.client import password_rows, records
from securechat.client.events import Notice
from securechat.client.keystore import replace_password
from securechat.client.password_rows import Fate, PasswordChange
from securechat.membership.statement import verify_statement

COUNTER: Final = "password_changed"
"""When it was last changed, in seconds since 1970, as far as this device has told."""

EXPECTED: Final = "password_own"
"""1: this device has changed it, or is new, so that the next time that is heard of is no news."""

CODE: Final = "password_changed"

OLDER: Final = "password_older"
"""The code of the notice that one of before opens the account again."""

_OLDER: Final = (
    "the server came back from a copy that is older than your last password: the one of before opens your"
    " account there again, and a recovery key that was made since does not; change the password once more,"
    " and make another recovery key"
)


def expect(db: apsw.Connection) -> None:
    """The next change that a server names is ours."""
    records.set_counter(db, EXPECTED, 1)


def note_chain(db: apsw.Connection, chain: Collection[bytes]) -> None:
    """Note what became of a change of ours that is under way, if these statements say.

    :param db: in the caller's transaction
    :param chain: statements that were taken as our account's
    """
    pending = password_rows.get(db)
    if pending is None or pending.state is not Fate.OPEN:
        return
    ours = verify_statement(pending.statement).serial
    if pending.statement in chain:
        take(db, pending)
    elif any(verify_statement(each).serial == ours for each in chain):
        password_rows.mark(db, Fate.OVERTAKEN)


def take(db: apsw.Connection, pending: PasswordChange) -> None:
    """Have the account key open by the new password; in the caller's transaction.

    What is left is the account file: the next who opens the profile puts it in its place.
    """
    replace_password(db, login_salt=pending.login_salt, account_key_sealed=pending.account_key_sealed)
    password_rows.mark(db, Fate.IN_FORCE)
    expect(db)


def news(db: apsw.Connection, changed: int, *, latest: int) -> Notice | None:
    """Return what is to be told of a change that a login names, and note it; None: there is no news.

    While a change of ours is under way it is not known whose that is: the next login tells.

    :param latest: nothing later is believed, in seconds since 1970
    """
    pending = password_rows.get(db)
    if pending is not None and pending.state is Fate.OPEN:
        return None
    known = db.execute("SELECT value FROM counter WHERE name = ?", (COUNTER,)).fetchone()
    own = records.counter(db, EXPECTED) > 0
    is_older = known is not None and changed < known[0]
    changed = min(changed, latest)
    records.set_counter(db, COUNTER, changed)
    records.set_counter(db, EXPECTED, 0)
    if is_older:
        return Notice(OLDER, _OLDER)
    if known is None or own or changed <= known[0]:
        return None
    day = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%d %H:%M")
    return Notice(
        CODE,
        f"the password of this account was changed on {day} UTC; this device opens with the one of before"
        " until you change it here too, and if it was not you, use `securechat recover` now",
    )
