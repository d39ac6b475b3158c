"""Gathers a server's facts for `admin status` and for metrics. Never waits on the loop's thread."""

import asyncio
import contextlib
import importlib
import importlib.util
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw
from msgspec.structs import replace

from securechat.server.attachment_disk import FOLDER, Disk
from securechat.server.attachments import floor_of
from securechat.server.certificate import Certificate
from securechat.server.config import DAY, ServerConfig
from securechat.server.counters import Counters
from securechat.server.descriptors import VERY_MANY, allowed
from securechat.server.hub import Hub
from securechat.server.identity import ServerIdentity
from securechat.server.lately import Lately, percentile
from securechat.server.listener import Listener
from securechat.server.login_hash import MAX_WAITING, LoginHasher
from securechat.server.logs import LatestErrors
from securechat.server.status import (
    CertificateStatus,
    ConnectionStatus,
    ErrorSeen,
    Identity,
    LoginStatus,
    ProcessStatus,
    Status,
    StoreStatus,
    WritingStatus,
    judge,
    remarks,
)
from securechat.server.store.reader import Readers
from securechat.server.values import Clock
from securechat.version import __version__

_COUNTS: Final = """
    SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM account WHERE disabled IS NOT NULL),
        (SELECT count(*) FROM client WHERE revoked IS NULL), (SELECT count(*) FROM conversation),
        (SELECT last_backup FROM server), (SELECT incarnation FROM server)
"""
_FILES: Final = "SELECT count, bytes FROM files_of WHERE account = 0"
_OLDEST: Final = """
    SELECT min((SELECT time FROM entry WHERE conversation = c.id AND sequence > c.expired
        ORDER BY sequence LIMIT 1)) FROM conversation c
"""


@dataclass(frozen=True, slots=True)
class Overview:
    """What there is to look at. ``certificate`` is asked each time: it may have been renewed."""

    config: ServerConfig
    path: Path
    """The database's."""
    identity: ServerIdentity
    certificate: Callable[[], Certificate]
    listener: Listener
    hub: Hub
    hasher: LoginHasher
    readers: Readers
    counters: Counters
    lately: Lately
    errors: LatestErrors
    now: Clock
    started: int = field(default_factory=lambda: int(time.time()))

    async def status(self) -> Status:
        """Everything, judged."""
        store, incarnation = await self.readers.run(self._store)
        rss, files = await asyncio.to_thread(lambda: (resident_bytes(), open_files()))
        status = Status(
            now=self.now(),
            identity=self._identity(incarnation),
            certificate=certificate_status(self.certificate(), self.now()),
            connections=self._connections(),
            logins=self._logins(),
            store=store,
            writing=self._writing(),
            recent=self.lately.recent(asyncio.get_running_loop().time()),
            errors=[ErrorSeen(time=e.time, source=e.source, text=e.text) for e in self.errors.lines],
            process=process_status(rss, files, lag=self.lately.worst_lag),
        )
        return replace(status, problems=judge(status), notes=remarks(status))

    def _identity(self, incarnation: int) -> Identity:
        return Identity(
            version=__version__,
            pid=os.getpid(),
            started=self.started,
            uptime=max(0, self.now() - self.started),
            domain=self.identity.domain,
            fingerprint=self.identity.fingerprint,
            incarnation=incarnation,
            listening=f"{self.config.host}:{self.listener.port}",
            registration=self.config.admits,
        )

    def _connections(self) -> ConnectionStatus:
        door, counters = self.listener.status(), self.counters
        return ConnectionStatus(
            open=door.open,
            logged_in=len(self.hub),
            before_login=door.before_login,
            total_cap=door.most,
            accepted=counters.connections_accepted,
            refused=dict(counters.connections_refused),
            ended=dict(counters.connections_ended),
            slow_readers=counters.slow_readers,
        )

    def _logins(self) -> LoginStatus:
        return LoginStatus(
            logins=self.counters.logins,
            failed=self.counters.logins_failed,
            waiting=self.hasher.waiting,
            waiting_cap=MAX_WAITING,
        )

    def _store(self, db: apsw.Connection) -> tuple[StoreStatus, int]:
        """In a reader's thread: counts, and what the file system says."""
        users, disabled, devices, groups, backup, incarnation = db.execute(_COUNTS).fetchone() or (0,) * 6
        (oldest,) = db.execute(_OLDEST).fetchone() or (0,)
        files, file_bytes = db.execute(_FILES).fetchone() or (0, 0)
        store = StoreStatus(
            users=users,
            disabled=disabled,
            devices=devices,
            groups=groups,
            database_bytes=file_size(self.path),
            wal_bytes=file_size(self.path.with_name(self.path.name + "-wal")),
            free_bytes=shutil.disk_usage(self.path.parent).free,
            free_floor=self.config.quotas.free_bytes,
            oldest_entry=oldest or 0,
            last_backup=backup or 0,
            files=files,
            file_bytes=file_bytes,
            files_free=Disk(self.config.data / FOLDER).room(),
            files_floor=floor_of(self.config.quotas),
        )
        return store, incarnation or 0

    def _writing(self) -> WritingStatus:
        latest = list(self.counters.latest_transactions)
        return WritingStatus(
            transactions=self.counters.transactions,
            last=int(self.counters.last_transaction),
            p50_ms=round(percentile(latest, 0.5) * 1000, 2),
            p99_ms=round(percentile(latest, 0.99) * 1000, 2),
        )


def certificate_status(certificate: Certificate, now: int) -> CertificateStatus:
    return CertificateStatus(
        file=str(certificate.path),
        sha256=certificate.digest.hex(),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        days=(certificate.not_after - now) // DAY,
    )


def process_status(rss: int, files: int, *, lag: float) -> ProcessStatus:
    cap = allowed()
    return ProcessStatus(
        rss_bytes=rss,
        files=files,
        files_cap=cap if cap < VERY_MANY else 0,
        tasks=len(asyncio.all_tasks()),
        loop_lag_ms=round(lag * 1000, 2),
    )


def resident_bytes() -> int:
    """Memory of this process now; where the system does not say, the most it has had."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGESIZE")
    if importlib.util.find_spec("resource") is None:  # Windows
        return 0
    resource = importlib.import_module("resource")
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else most * 1024


def open_files() -> int:
    """Descriptors of this process, one by one; 0 where the system does not say."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return sum(1 for _ in Path(folder).iterdir())
    return 0


def file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
