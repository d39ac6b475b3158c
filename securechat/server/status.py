"""What a person asks at 3 a.m.: is it well, and if not, what is wrong and what to do.

``Status`` is facts; ``judge`` looks at them with a table of checks and says what is wrong. No user,
group, address or path of a client's stands in it (G-01).
"""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from securechat.server.config import DAY
from securechat.sizes import size_text

MANY_DAYS: Final = 14
"""Days before a certificate's end at which somebody should act."""

SLOW_COMMIT_MS: Final = 500.0
LARGE_WAL: Final = 512 * 1024 * 1024
"""Bytes: it is begun anew long before, unless something holds it."""

FEW_FILES: Final = 0.9
OLD_BACKUP: Final = 7 * DAY


class Problem(Struct, frozen=True):
    """What is wrong, and what to do about it."""

    what: str
    do: str


class Identity(Struct, frozen=True, kw_only=True):
    version: str
    pid: int
    started: int
    uptime: int
    domain: str
    fingerprint: str
    incarnation: int
    listening: str
    registration: str


class CertificateStatus(Struct, frozen=True, kw_only=True):
    file: str
    sha256: str
    not_before: int
    not_after: int
    days: int


class ConnectionStatus(Struct, frozen=True, kw_only=True):
    open: int
    logged_in: int
    before_login: int
    total_cap: int
    accepted: int
    refused: dict[str, int]
    ended: dict[str, int]
    slow_readers: int


class LoginStatus(Struct, frozen=True, kw_only=True):
    logins: int
    failed: int
    waiting: int
    waiting_cap: int


class StoreStatus(Struct, frozen=True, kw_only=True):
    users: int
    disabled: int
    devices: int
    groups: int
    database_bytes: int
    wal_bytes: int
    free_bytes: int
    free_floor: int
    """Below it nothing is taken that makes the database larger."""
    oldest_entry: int
    """Time of the oldest log entry that is kept; 0 where there is none."""
    last_backup: int
    """0: none since the database was made."""
    files: int = 0
    """Attachments, whole or not."""
    file_bytes: int = 0
    """What they have, or will have, on the disk; 64 KiB at least of each."""
    files_free: int = 0
    """On their disk, and there are names left."""
    files_floor: int = 0
    """Below it no attachment is taken."""


class WritingStatus(Struct, frozen=True, kw_only=True):
    """Transactions, each with its sync: the last few hundred."""

    transactions: int
    last: int
    p50_ms: float
    p99_ms: float


class RecentStatus(Struct, frozen=True, kw_only=True):
    """The last minutes, at most five."""

    seconds: float
    messages_per_minute: float
    logins: int
    logins_failed: int
    refused: dict[str, int]
    limited: dict[str, int]


class ErrorSeen(Struct, frozen=True, kw_only=True):
    """A line of the log at ERROR or above; its number is in it, where a peer was told one."""

    time: int
    source: str
    text: str


class ProcessStatus(Struct, frozen=True, kw_only=True):
    rss_bytes: int
    files: int
    files_cap: int
    tasks: int
    loop_lag_ms: float


class Status(Struct, frozen=True, kw_only=True):
    """Times are seconds since 1970, sizes bytes."""

    now: int
    problems: list[Problem] = []
    notes: list[str] = []
    identity: Identity
    certificate: CertificateStatus
    connections: ConnectionStatus
    logins: LoginStatus
    store: StoreStatus
    writing: WritingStatus
    recent: RecentStatus
    errors: list[ErrorSeen]
    process: ProcessStatus


Problems = Iterator[Problem]


def certificate_ends(status: Status) -> Problems:
    certificate = status.certificate
    renew = f"put a new one at {certificate.file}, then send SIGHUP"
    if status.now > certificate.not_after:
        yield Problem("the certificate has expired", renew)
    elif status.now < certificate.not_before:
        yield Problem("the certificate is not valid yet", "look at this machine's clock, then at the file")
    elif certificate.days < MANY_DAYS:
        yield Problem(f"the certificate ends in {certificate.days} days", renew)


def disk_is_full(status: Status) -> Problems:
    store = status.store
    free = f"free space on the disk of the database ({size_text(store.free_bytes)} left)"
    if store.free_bytes < store.free_floor:
        yield Problem("nothing new is taken: the disk is nearly full", free)
    elif store.free_bytes < 4 * store.free_floor:
        yield Problem("the disk is filling up", free)


def files_are_refused(status: Status) -> Problems:
    store = status.store
    if store.files_free < store.files_floor:
        yield Problem(
            f"no file is taken: {size_text(store.files_free)} are free for files",
            "free space; `admin users` says whose files lie here, `admin drop-files USER` lets go of them",
        )


def wal_is_large(status: Status) -> Problems:
    if status.store.wal_bytes > LARGE_WAL:
        yield Problem(
            f"the write-ahead log has {size_text(status.store.wal_bytes)}",
            "something holds it open: end long backups and other programs that read server.db",
        )


def disk_is_slow(status: Status) -> Problems:
    if status.writing.p99_ms > SLOW_COMMIT_MS:
        yield Problem(
            f"one write in a hundred takes {status.writing.p99_ms:.0f} ms",
            "look at the disk: what else writes to it, and is it well (smartctl, dmesg)",
        )


def loop_lags(status: Status) -> Problems:
    if status.process.loop_lag_ms > SLOW_COMMIT_MS:
        yield Problem(
            f"the server is {status.process.loop_lag_ms:.0f} ms behind",
            "look at the machine's load (top); it may need more processor",
        )


def connections_are_full(status: Status) -> Problems:
    connections = status.connections
    if connections.open >= connections.total_cap:
        yield Problem(
            f"all {connections.total_cap} connections are in use",
            "raise connections.total and the limit of open files together",
        )


def files_run_out(status: Status) -> Problems:
    process = status.process
    if process.files_cap and process.files > FEW_FILES * process.files_cap:
        yield Problem(
            f"{process.files} of {process.files_cap} files are open", "raise LimitNOFILE of the service"
        )


def logins_wait(status: Status) -> Problems:
    logins = status.logins
    if logins.waiting >= logins.waiting_cap:
        yield Problem(
            "logins by password are told to come back: too many at once",
            "if it lasts, look at recent refusals: somebody may be guessing passwords",
        )


def something_failed(status: Status) -> Problems:
    lately = [error for error in status.errors if status.now - error.time < 3600]
    if lately:
        yield Problem(
            f"{len(lately)} errors in the last hour",
            "read them below and in the log; a mistake of ours deserves a report",
        )


CHECKS: Final[tuple[Callable[[Status], Problems], ...]] = (
    certificate_ends,
    disk_is_full,
    files_are_refused,
    wal_is_large,
    disk_is_slow,
    loop_lags,
    connections_are_full,
    files_run_out,
    logins_wait,
    something_failed,
)
"""In the order in which a person should read them."""


def judge(status: Status) -> list[Problem]:
    """Everything that is wrong; none is well."""
    return [problem for check in CHECKS for problem in check(status)]


def remarks(status: Status) -> list[str]:
    """What is worth knowing and wakes nobody up."""
    age = status.now - status.store.last_backup
    if not status.store.last_backup:
        return ["there is no backup yet: securechat admin backup FILE"]
    return [f"the last backup is {age // DAY} days old"] if age > OLD_BACKUP else []
