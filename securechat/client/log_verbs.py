"""The part of `Client` that says what was checked of the server's key log."""

from securechat.client import key_log
from securechat.client.engine import Engine
from securechat.client.events import HeardHead, KeyLog, KeyLogEntry, KeyLogLie
from securechat.client.reasons import reason


class LogVerbs:
    """The key log of one account's server; `Client` is one."""

    _engine: Engine

    def key_log(self) -> KeyLog:
        """Return what was checked of the server's key log, and what it was caught at. Asks nobody."""
        db = self._engine.store.db
        caught = tuple(
            KeyLogLie(each.code, each.text, reason(each.code).advice, each.since, each.evidence)
            for each in key_log.lies(db)
        )
        known = key_log.known(db)
        if known is None:
            return KeyLog(kept=False, caught=caught)
        head = known.trusted.head
        return KeyLog(
            kept=True,
            size=head.size,
            signed=head.timestamp,
            taken=known.taken,
            first_size=known.first_size,
            first_taken=known.first_taken,
            entries=tuple(
                KeyLogEntry(each.revision, tuple(one.name.lower() for one in each.changes), each.timestamp)
                for each in key_log.chain(db, self._engine.keys.user)
            ),
            people=key_log.people(db, but=self._engine.keys.user),
            heard=tuple(
                HeardHead(user, theirs.size, since, verdict == "agree")
                for user, theirs, since, verdict in key_log.heard(db, compared=True)
            ),
            caught=caught,
        )
