"""A server with a second story of its key log, for some: a fork of the store."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from securechat.protocol.messages import (
    Answer,
    ExtendLog,
    GetTreeHead,
    MonitorLog,
    RequestBody,
    SearchLog,
)
from securechat.server import transparency
from securechat.server.app import App
from securechat.server.errors import Refusal
from securechat.server.session import Session
from securechat.server.store.sqlite import open_database
from securechat.server.transparency_rows import record_statement, standing
from securechat.server.transparency_start import publish

Twist = Callable[[str, RequestBody, Answer], Answer]


class LyingLog:
    """From now on, who is in ``users`` is answered from a copy of the log, which goes its own way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, app: App, folder: Path) -> None:
        self.users: set[str] = set()
        self.twist: Twist = lambda _user, _body, answer: answer
        self._app = app
        self._path = folder / "second" / "server.db"
        self._path.parent.mkdir(mode=0o700)
        with closing(open_database(app.config.data / "server.db")) as first:
            first.execute("VACUUM INTO ?", (str(self._path),))
        self._path.chmod(0o600)
        self._db = open_database(self._path)
        honest = Session._find_answer

        async def answer(session: Session, body: RequestBody) -> Answer:
            user = "" if session._caller is None else session._caller.user
            if user not in self.users:
                return await honest(session, body)
            told = self._answer(body)
            return self.twist(user, body, await honest(session, body) if told is None else told)

        monkeypatch.setattr(Session, "_find_answer", answer)

    def close(self) -> None:
        self._db.close()

    def publish(self, user: str, statement: bytes) -> None:
        """Give a user a next statement in the second story."""
        db = self._db
        row: Any = db.execute("SELECT id, statement FROM account WHERE user = ?", (user,)).fetchone()
        db.execute("BEGIN IMMEDIATE")
        record_statement(db, user, statement, row[1], now=self._app._now())
        db.execute("UPDATE account SET statement = ? WHERE id = ?", (statement, row[0]))
        db.execute("COMMIT")

    def statement_of(self, user: str) -> bytes:
        row: Any = self._db.execute("SELECT statement FROM account WHERE user = ?", (user,)).fetchone()
        return bytes(row[0])

    def _answer(self, body: RequestBody) -> Answer | None:
        db, now = self._db, self._app._now()
        with db:
            publish(db, self._path, self._app.identity.key, standing(db).state, now=now)
        known = standing(db)
        assert known.head is not None
        match body:
            case GetTreeHead():
                return transparency._offered(db, known, known.head, body.log, body.size)
            case SearchLog():
                return _told(transparency._search(db, known, known.head, body))
            case MonitorLog():
                return _told(transparency._monitor(db, body))
            case ExtendLog():
                return transparency._extend(db, body)
            case _:
                return None


def _told(found: Answer | Refusal) -> Answer:
    if isinstance(found, Refusal):
        raise found
    return found
