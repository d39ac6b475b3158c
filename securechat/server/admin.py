"""What the server's owner may do while it runs. The table of methods is the whole power (N-02).

Methods, as they go over the socket (`admin_socket.py`) and as docs/operations lists them:

    users          {after?, limit?}       {users: [...], more}
    disable        {user}                 {changed, ended}: no login any more, and its sessions end now
    enable         {user}                 {changed}: wrong passwords that were counted count no more, too
    quota          {user, bytes?}         {bytes}; none is the server's default again
    drop_files     {user}                 {files}: all attachments that the user has uploaded go now
    invite         {uses?, days?, note?}  {number, token, not_after}; the token is told this once
    invites        {}                     {invites: [...]}
    revoke_invite  {number}               {changed}
    backup         {file}                 what was written
    gc             {}                     what was let go of
    status         {}                     the status

None of them reads what was said, adds a device, sets a password or touches a key: the server has
nothing that could, and here is no way to ask for what it has.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import apsw
import msgspec
from msgspec import Meta, Struct

from securechat.errors import SecureChatError
from securechat.local_rpc import Nothing
from securechat.names import NameRefused, fold_user
from securechat.protocol.messages import REFUSALS
from securechat.server import security_log
from securechat.server.backup import BackupFacts
from securechat.server.config import DAY
from securechat.server.errors import Refusal
from securechat.server.guesses import forgive
from securechat.server.invites import make_invite
from securechat.server.status import Status
from securechat.server.store.reader import Readers
from securechat.server.store.writer import Writer
from securechat.server.swept import Swept
from securechat.server.values import Clock

MAX_USERS: Final = 500
"""Accounts in one answer: one line of it stays short, and a reader's thread is soon free again."""

MAX_INVITE_DAYS: Final = 365
MAX_QUOTA: Final = 1 << 50
"""Bytes; what no disk of ours has."""

User = Annotated[str, Meta(min_length=1, max_length=32)]


class AdminRefused(SecureChatError):
    """A definite no: one sentence for the person who asked, and what a command ends with."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Users(Struct, frozen=True, forbid_unknown_fields=True):
    after: Annotated[str, Meta(max_length=32)] = ""
    limit: Annotated[int, Meta(ge=1, le=MAX_USERS)] = MAX_USERS


class OfUser(Struct, frozen=True, forbid_unknown_fields=True):
    user: User


class Quota(Struct, frozen=True, forbid_unknown_fields=True):
    user: User
    bytes: Annotated[int, Meta(ge=1, le=MAX_QUOTA)] | None = None


class MakeInvite(Struct, frozen=True, forbid_unknown_fields=True):
    uses: Annotated[int, Meta(ge=1, le=10_000)] = 1
    days: Annotated[int, Meta(ge=1, le=MAX_INVITE_DAYS)] = 7
    note: Annotated[str, Meta(max_length=200)] = ""


class RevokeInvite(Struct, frozen=True, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=1)]


class BackUp(Struct, frozen=True, forbid_unknown_fields=True):
    file: Annotated[str, Meta(min_length=1, max_length=4096)]


Params = Users | OfUser | Quota | MakeInvite | RevokeInvite | BackUp | Nothing

METHODS: Final[dict[str, type[Struct]]] = {
    "users": Users,
    "disable": OfUser,
    "enable": OfUser,
    "quota": Quota,
    "drop_files": OfUser,
    "invite": MakeInvite,
    "invites": Nothing,
    "revoke_invite": RevokeInvite,
    "backup": BackUp,
    "gc": Nothing,
    "status": Nothing,
}
"""Every method, with its parameters."""

CHANGES: Final = frozenset(METHODS) - {"users", "invites", "status"}
"""What is written into the log when it was done."""


@dataclass(frozen=True, slots=True)
class Reach:
    """All that administration can touch."""

    readers: Readers
    writer: Writer
    now: Clock
    eject: Callable[[int], int]
    """End the sessions of an account; how many there were."""
    drop_files: Callable[[int], Awaitable[int]]
    """Let go of the attachments of an account; how many there were."""
    sweep: Callable[[], Awaitable[Swept]]
    back_up: Callable[[Path], Awaitable[BackupFacts]]
    status: Callable[[], Awaitable[Status]]


class Administration:
    """Does what the table names; for the loop's thread, which it never keeps."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._heavy = asyncio.Lock()
        """One backup or sweep at a time, however many ask."""
        self._methods: dict[str, Callable[[Any], Awaitable[Any]]] = {
            "users": self._users,
            "disable": self._disable,
            "enable": self._enable,
            "quota": self._quota,
            "drop_files": self._drop_files,
            "invite": self._invite,
            "invites": self._invites,
            "revoke_invite": self._revoke,
            "backup": self._back_up,
            "gc": self._gc,
            "status": self._status,
        }

    async def do(self, method: str, params: Struct) -> Any:  # noqa: ANN401 - JSON
        """Run a method of the table.

        :raises SecureChatError: a definite no
        """
        try:
            result = await self._methods[method](params)
        except Refusal as refusal:
            raise _told(refusal) from None
        if method in CHANGES:
            security_log.tell("admin", action=method, user=str(getattr(params, "user", "")))
        return result

    async def _users(self, params: Users) -> dict[str, Any]:
        rows = await self._reach.readers.run(
            lambda db: db.execute(_USERS, (params.after, params.limit + 1)).fetchall()
        )
        users = [dict(zip(USER_FIELDS, row, strict=True)) for row in rows[: params.limit]]
        return {"users": users, "more": len(rows) > params.limit}

    async def _disable(self, params: OfUser) -> dict[str, Any]:
        name, now = _folded(params.user), self._reach.now()

        def disable(db: apsw.Connection) -> tuple[int, bool]:
            account, disabled = _account(db, name)
            db.execute("UPDATE account SET disabled = ? WHERE id = ? AND disabled IS NULL", (now, account))
            return account, disabled is None

        account, changed = await self._reach.writer.find(disable)
        # After the commit: whoever logs in from here on is refused, whoever was in is found here.
        ended = self._reach.eject(account)
        if ended:
            security_log.tell("ejected", user=name, sessions=ended)
        return {"changed": changed, "ended": ended}

    async def _enable(self, params: OfUser) -> dict[str, Any]:
        name = _folded(params.user)

        def enable(db: apsw.Connection) -> bool:
            account, disabled = _account(db, name)
            db.execute("UPDATE account SET disabled = NULL WHERE id = ?", (account,))
            return forgive(db, account) or disabled is not None

        return {"changed": await self._reach.writer.find(enable)}

    async def _quota(self, params: Quota) -> dict[str, Any]:
        name = _folded(params.user)

        def set_quota(db: apsw.Connection) -> None:
            account, _ = _account(db, name)
            db.execute("UPDATE account SET quota = ? WHERE id = ?", (params.bytes, account))

        await self._reach.writer.find(set_quota)
        return {"bytes": params.bytes}

    async def _drop_files(self, params: OfUser) -> dict[str, Any]:
        name = _folded(params.user)
        account, _ = await self._reach.readers.run(lambda db: _account(db, name))
        async with self._heavy:
            return {"files": await self._reach.drop_files(account)}

    async def _invite(self, params: MakeInvite) -> dict[str, Any]:
        made = await self._reach.writer.find(
            lambda db: make_invite(
                db, uses=params.uses, days=params.days, note=params.note, now=self._reach.now()
            )
        )
        return {"number": made.number, "token": made.token, "not_after": made.not_after}

    async def _invites(self, _params: Nothing) -> dict[str, Any]:
        limit = self._reach.now() - 30 * DAY
        rows = await self._reach.readers.run(lambda db: db.execute(_INVITES, (limit,)).fetchall())
        return {"invites": [dict(zip(INVITE_FIELDS, row, strict=True)) for row in rows]}

    async def _revoke(self, params: RevokeInvite) -> dict[str, Any]:
        def revoke(db: apsw.Connection) -> bool:
            db.execute("DELETE FROM invite WHERE id = ?", (params.number,))
            return db.changes() > 0

        return {"changed": await self._reach.writer.find(revoke)}

    async def _back_up(self, params: BackUp) -> Any:  # noqa: ANN401 - JSON
        file = Path(params.file)
        if not file.is_absolute():
            raise AdminRefused("name the backup's file by its whole path")
        async with self._heavy:
            facts = await self._reach.back_up(file)
        now = self._reach.now()
        await self._reach.writer.find(lambda db: db.execute("UPDATE server SET last_backup = ?", (now,)))
        return {
            "file": str(facts.path),
            "bytes": facts.size,
            "seconds": round(facts.seconds, 2),
            "users": facts.accounts,
            "groups": facts.groups,
        }

    async def _gc(self, _params: Nothing) -> Any:  # noqa: ANN401 - JSON
        async with self._heavy:
            return msgspec.to_builtins(await self._reach.sweep())

    async def _status(self, _params: Nothing) -> Any:  # noqa: ANN401 - JSON
        return msgspec.to_builtins(await self._reach.status())


USER_FIELDS: Final = (
    *("user", "created", "disabled", "devices", "seen", "stored", "quota", "failed_logins", "file_bytes"),
)
_USERS: Final = """
    SELECT a.user, a.created, a.disabled, count(c.id), coalesce(max(c.seen), 0), coalesce(sum(c.stored), 0),
        a.quota, a.failed_logins, coalesce((SELECT bytes FROM files_of WHERE account = a.id), 0)
    FROM account a LEFT JOIN client c ON c.account = a.id
    WHERE a.user > ? GROUP BY a.user ORDER BY a.user LIMIT ?
"""

INVITE_FIELDS: Final = ("number", "note", "uses", "used", "created", "not_after")
_INVITES: Final = """
    SELECT id, note, uses, used, created, not_after FROM invite WHERE not_after > ? ORDER BY id DESC LIMIT 500
"""


def _told(refusal: Refusal) -> AdminRefused:
    refused = refusal.refused
    return AdminRefused(refused.text or REFUSALS[refused.code], _EXIT.get(refused.code, 1))


_EXIT: Final = {"busy": 75, "internal": 2, "quota": 5}
"""docs/cli.md; what is not here the caller can mend."""


def _folded(user: str) -> str:
    try:
        return fold_user(user.removeprefix("@"))
    except NameRefused as problem:
        raise AdminRefused(str(problem)) from None


def _account(db: apsw.Connection, user: str) -> tuple[int, int | None]:
    found = db.execute("SELECT id, disabled FROM account WHERE user = ?", (user,)).fetchone()
    if found is None:
        raise Refusal("unknown_user", f"there is no account {user} here")
    account, disabled = found
    return int(account), disabled
