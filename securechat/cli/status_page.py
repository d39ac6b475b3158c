"""The page that `admin status` shows: the answer first, then what it rests on."""

import time
from collections.abc import Iterator
from typing import Final

from securechat.server.status import Status
from securechat.sizes import size_text
from securechat.text import sanitise

DAY: Final = 24 * 3600
WIDTH: Final = 14
"""Columns of the words at the left."""


def page(status: Status) -> str:
    """One line that says ``ok`` or what is wrong, then the facts."""
    return "\n".join([*_verdict(status), "", *_facts(status), *_errors(status)])


def _verdict(status: Status) -> Iterator[str]:
    if not status.problems:
        yield "ok"
    for problem in status.problems:
        yield f"WRONG: {sanitise(problem.what)}"
        yield f"       {sanitise(problem.do)}"
    for note in status.notes:
        yield f"note: {sanitise(note)}"


def _facts(status: Status) -> Iterator[str]:
    me, certificate, connections = status.identity, status.certificate, status.connections
    yield _row("up", f"{span(me.uptime)}, since {moment(me.started)}, pid {me.pid}, securechat {me.version}")
    yield _row("listening", f"{sanitise(me.listening)}, registration {me.registration}")
    yield _row("domain", f"{sanitise(me.domain)}, incarnation {me.incarnation}")
    yield _row("fingerprint", me.fingerprint)
    yield _row("certificate", f"{certificate.days} days left, until {moment(certificate.not_after)}")
    yield _row(
        "connections",
        f"{connections.logged_in} logged in, {connections.before_login} before login, "
        f"{connections.open} of {connections.total_cap} open",
    )
    yield _row("refused", f"{_counted(connections.refused)}; slow readers {connections.slow_readers}")
    yield _row("ended", _counted(connections.ended))
    yield from _store(status)
    yield from _lately(status)
    process = status.process
    yield _row(
        "process",
        f"{size_text(process.rss_bytes)} of memory, "
        f"{process.files} files of {process.files_cap or 'any number'}, "
        f"{process.tasks} tasks, at worst {process.loop_lag_ms} ms behind",
    )


def _store(status: Status) -> Iterator[str]:
    store, writing = status.store, status.writing
    yield _row(
        "users", f"{store.users} ({store.disabled} disabled), {store.devices} devices, {store.groups} groups"
    )
    yield _row(
        "database",
        f"{size_text(store.database_bytes)} and a log of {size_text(store.wal_bytes)}, "
        f"{size_text(store.free_bytes)} free",
    )
    if store.files:
        yield _row("files", f"{store.files}, {size_text(store.file_bytes)}")
    if store.oldest_entry:
        yield _row(
            "oldest entry", f"{moment(store.oldest_entry)}, {span(status.now - store.oldest_entry)} ago"
        )
    if store.last_backup:
        yield _row("last backup", f"{moment(store.last_backup)}, {span(status.now - store.last_backup)} ago")
    last = f", last {moment(writing.last)}" if writing.last else ""
    yield _row(
        "writes",
        f"p50 {writing.p50_ms} ms, p99 {writing.p99_ms} ms, synced; {writing.transactions} in all{last}",
    )


def _lately(status: Status) -> Iterator[str]:
    recent, logins = status.recent, status.logins
    yield _row("messages", f"{recent.messages_per_minute:g} a minute in the last {span(int(recent.seconds))}")
    yield _row(
        "logins",
        f"{recent.logins} lately, {recent.logins_failed} failed; {logins.logins} and {logins.failed} in all; "
        f"{logins.waiting} of {logins.waiting_cap} wait for their hash",
    )
    yield _row("limited", f"{_counted(recent.limited)} lately")


def _errors(status: Status) -> Iterator[str]:
    for error in status.errors:
        yield _row("error", f"{moment(error.time)} {sanitise(error.source)}: {sanitise(error.text)}")


def _row(word: str, said: str) -> str:
    return f"{word:<{WIDTH}}{said}"


def _counted(counts: dict[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{sanitise(name)} {count}" for name, count in most) or "none"


def moment(seconds: int) -> str:
    """A time, UTC; what is none is shown as the number it is."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def span(seconds: int) -> str:
    """How long, in the two largest units."""
    parts = (
        (seconds // DAY, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "min"),
        (seconds % 60, "s"),
    )
    said = [f"{count} {unit}" for count, unit in parts if count > 0]
    return " ".join(said[:2]) or "0 s"
