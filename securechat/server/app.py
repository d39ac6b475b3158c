"""Wires a server together, runs it, and stops it so that nothing acknowledged is lost."""

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import apsw

from securechat.own_memory import keep_memory_to_itself
from securechat.server import security_log
from securechat.server.account_changes import AccountChanges
from securechat.server.accounts import Accounts
from securechat.server.admin import Administration, Reach
from securechat.server.admin_socket import AdminSocket
from securechat.server.attachments import Attachments
from securechat.server.backup import BackupFacts, back_up, begin_incarnation_if_due
from securechat.server.certificate import (
    LOCAL_NAMES,
    Certificate,
    make_if_missing,
    read_certificate,
    renew_own,
)
from securechat.server.config import ServerConfig
from securechat.server.counters import Counters
from securechat.server.descriptors import raise_limit
from securechat.server.desk import Desk
from securechat.server.errors import ConfigError, StoreFailed
from securechat.server.faults import survived
from securechat.server.health import Health
from securechat.server.http import HttpPort
from securechat.server.hub import Hub
from securechat.server.identity import ServerIdentity, load_identity
from securechat.server.lately import Lately
from securechat.server.links import Rendezvous
from securechat.server.listener import Listener
from securechat.server.login import Logins
from securechat.server.login_hash import LoginHasher
from securechat.server.logs import LatestErrors
from securechat.server.overview import Overview, certificate_status
from securechat.server.quota import DiskSpace
from securechat.server.rate_limit import RateLimiter, check_names
from securechat.server.retention import Retention, Sweeper
from securechat.server.riders import Riders
from securechat.server.services import Services
from securechat.server.steady_clock import SteadyClock, last_known
from securechat.server.store.reader import Readers
from securechat.server.store.sqlite import prepare_database
from securechat.server.store.writer import Writer
from securechat.server.tls import load_certificate
from securechat.server.transparency import KeyLog
from securechat.server.transparency_start import begin_if_due, is_behind

GARBAGE_OBJECTS: Final = 25_000
"""Objects more than before at which Python looks for cycles; its usual 700 are one read of a busy line."""

RENEWAL_SECONDS: Final = 24 * 3600
"""Between two looks at the certificate's end."""

DRAIN_SECONDS: Final = 5
"""How long a stop waits for peers to take their last words."""

log = logging.getLogger("securechat.server")


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


class App:
    """A server that runs. Made by ``running``; belongs to one event loop."""

    def __init__(self, config: ServerConfig) -> None:
        """Prepare folder, database, identity and certificate.

        :raises ConfigError: an option or a file is wrong; the text says which
        :raises StoreFailed: the database can't be used
        """
        self.config = config
        check_names(config.rates)
        self._path = path = prepare_database(config.data)
        known = last_known(path)
        # By no clock that was left behind: offers of what the copy lacks are taken from then on, for a time.
        self.identity = _begun(config, path, now=max(known, now()))
        names = LOCAL_NAMES if config.host in LOCAL_NAMES else (*LOCAL_NAMES, config.host)
        self.made_certificate = make_if_missing(config.certificate_file, names)
        # What can fail comes before any thread starts.
        _renewed(read_certificate(config.certificate_file))
        self.certificate, context = load_certificate(config.certificate_file)
        self._now = SteadyClock(now, max(known, now()))
        aging = SteadyClock(self._now, known)
        self.services = Services(self.identity.domain, config.quotas, config.retention, self._now)
        self.counters = Counters()
        self.hub = Hub()
        self.failure: StoreFailed | None = None
        self._riders = Riders(self.services.delivery)
        self._hasher = LoginHasher()
        self._readers = Readers(path)
        self._stopping = asyncio.Event()
        self._renewal: asyncio.TimerHandle | None = None
        self._writer = self._make_writer()
        self._riders.go = self._writer.hand_over
        self._attachments = Attachments(
            config, path, self._writer, now=self._now, aging=aging, counters=self.counters
        )
        self._desk = self._make_desk()
        self._listener = Listener(self._desk, self.certificate, context, config.connections)
        self._sweeper = Sweeper(
            self._writer,
            Retention(config.retention, aging),
            counters=self.counters,
            files=self._attachments.sweep,
        )
        self._lately = Lately(self.counters)
        self._errors = LatestErrors()
        self.overview = self._look_over()
        self._admin = AdminSocket(config.admin_socket_file, Administration(self._reach()))
        self._http = None if config.http_port is None else self._make_http_port()

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def fingerprint(self) -> str:
        """The identity key's fingerprint, as it is shown and pinned."""
        return self.identity.fingerprint

    @property
    def identity_key(self) -> bytes:
        return self.identity.public_key

    @property
    def connections(self) -> int:
        """How many connections have finished their TLS handshake."""
        return len(self._desk.sessions)

    async def start(self) -> None:
        """Open everything; the port for clients comes last.

        :raises ConfigError: a port or a socket can't be used
        """
        self._errors.begin()
        self._renewal = asyncio.get_running_loop().call_later(RENEWAL_SECONDS, self._renew)
        self._lately.start()
        self._sweeper.start()
        self._desk.key_log.start()
        await self._admin.open()
        if self._http is not None and self.config.http_port is not None:
            await self._http.open(self.config.http_port)
        await self._listener.open(self.config.host, self.config.port)

    def reload(self) -> None:
        """Take up a renewed certificate for new connections; one that is no good leaves the old in place."""
        try:
            self.certificate, context = load_certificate(self.config.certificate_file)
        except ConfigError as problem:
            log.error("the certificate stays as it was: %s", problem)  # noqa: TRY400 - said by its text
            security_log.tell("certificate_kept")
            return
        self._listener.reload(self.certificate, context)
        days = certificate_status(self.certificate, now()).days
        security_log.tell("certificate_reloaded", days=days)

    def _renew(self) -> None:
        """Look once a day whether a certificate of our own comes to its end."""
        self._renewal = asyncio.get_running_loop().call_later(RENEWAL_SECONDS, self._renew)
        try:
            if _renewed(self.certificate):
                self.reload()
        except Exception as error:  # noqa: BLE001 - a timer's root: it looks again tomorrow
            survived(self.counters, log, "the certificate", error)

    def stop(self) -> None:
        """Begin to stop; ``stopped`` returns."""
        self._stopping.set()

    async def stopped(self) -> None:
        """Wait until somebody stops the server, or its database has failed.

        :raises StoreFailed: the database has failed
        """
        await self._stopping.wait()
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Take nothing more, answer what was asked, say goodbye, and end."""
        self._stopping.set()
        steps: list[Callable[[], Awaitable[None] | None]] = [
            self._stop_asking,
            self._admin.close,
            self._stop_http,
            self._sweeper.close,
            self._desk.key_log.close,
            self._lately.stop,
            self._attachments.close,
            self._finish_writing,
            self._bid_farewell,
            self._drain,
            self._listener.abort,
            self._hasher.close,
            self._readers.close,
            self._errors.end,
        ]
        for step in steps:
            try:
                if (ending := step()) is not None:
                    await ending
            except Exception as error:  # noqa: BLE001 - the rest is closed too, and who is here told
                survived(self.counters, log, "closing", error)

    def _stop_asking(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        self._listener.stop_listening()

    async def _stop_http(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def _finish_writing(self) -> None:
        if self.failure is None:
            self._riders.leave()
            await self._writer.close()

    def _bid_farewell(self) -> None:
        code = "stopping" if self.failure is None else "internal"
        for session in list(self._desk.sessions):
            try:
                session.bid_farewell(code)
            except Exception as error:  # noqa: BLE001 - the others are told too
                survived(self.counters, log, "closing", error)

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._listener.emptied()

    def _make_writer(self) -> Writer:
        return Writer(
            self._path,
            riders=self._riders.take,
            on_told=self.hub.flush,
            on_undone=self.services.groups.undone,
            on_failure=self._failed,
            counters=self.counters,
        )

    def _make_desk(self) -> Desk:
        accounts = Accounts(
            self.identity, self._hasher, self._readers, self._writer, now=self._now, admits=self.config.admits
        )
        limiter = RateLimiter(self.config.rates, time.monotonic, limited=self.counters.limited)
        return Desk(
            identity=self.identity,
            logins=Logins(accounts, limiter),
            limiter=limiter,
            space=DiskSpace(self.config.data, self.config.quotas.free_bytes),
            services=self.services,
            hub=self.hub,
            riders=self._riders,
            readers=self._readers,
            writer=self._writer,
            now=self._now,
            registration=self.config.admits,
            counters=self.counters,
            attachments=self._attachments,
            rendezvous=Rendezvous(limiter, self._readers, self.hub, now=self._now, clock=time.monotonic),
            account_changes=AccountChanges(
                self.identity.domain,
                self._hasher,
                self._readers,
                self._writer,
                self.hub,
                self._now,
                lambda caller: self._desk.end_visits(caller),  # noqa: PLW0108 - the desk comes later
                limiter=limiter,
                offered_for=self.config.retention.handshakes_seconds,
            ),
            key_log=KeyLog(
                self._path,
                self.identity,
                self._readers,
                self._writer,
                limiter=limiter,
                counters=self.counters,
                now=self._now,
            ),
        )

    def _look_over(self) -> Overview:
        return Overview(
            config=self.config,
            path=self._path,
            identity=self.identity,
            certificate=lambda: self.certificate,
            listener=self._listener,
            hub=self.hub,
            hasher=self._hasher,
            readers=self._readers,
            counters=self.counters,
            lately=self._lately,
            errors=self._errors,
            now=now,
        )

    def _make_http_port(self) -> HttpPort:
        # What a server without metrics never imports.
        pages = importlib.import_module("securechat.server.pages")
        health = Health(self._writer, lambda: self.certificate, now)
        return HttpPort(pages.make_pages(self.overview, self.counters, health))

    @property
    def http_port(self) -> int:
        """Where metrics and health are; 0 if nowhere."""
        return 0 if self._http is None else self._http.port

    def _reach(self) -> Reach:
        """What administration gets hold of: not the desk, not the identity, not a session."""
        return Reach(
            readers=self._readers,
            writer=self._writer,
            now=now,
            eject=self._desk.eject,
            drop_files=self._attachments.drop,
            sweep=self._sweeper.sweep_now,
            back_up=self._back_up,
            status=self.overview.status,
        )

    async def _back_up(self, target: Path) -> BackupFacts:
        return await asyncio.to_thread(
            back_up, self._path, target, goes_on=lambda: not self._stopping.is_set()
        )

    def _failed(self, error: StoreFailed) -> None:
        """Nothing can be promised any more: say so to nobody, end everything (Q-02)."""
        self.failure = error
        self._stopping.set()


def _begun(config: ServerConfig, path: Path, *, now: int) -> ServerIdentity:
    """Who the server is, once it is known whether its data came back from an older copy."""
    restored = config.restored or is_behind(path)
    begun = begin_incarnation_if_due(path, restored=restored, now=now)
    identity = load_identity(path, config.domain)
    if begun:
        security_log.tell("new_incarnation", number=identity.incarnation)
    if begin_if_due(path, identity, now=now):
        security_log.tell("new_key_log", number=identity.incarnation)
    return identity


def _renewed(certificate: Certificate) -> bool:
    """Renew a certificate of our own where it is time; where that fails, the old one still serves."""
    try:
        return renew_own(certificate, now())
    except ConfigError as problem:
        log.error("%s", problem)  # noqa: TRY400 - said by its text
        return False


@asynccontextmanager
async def running(config: ServerConfig) -> AsyncIterator[App]:
    """A server that listens, until the block ends."""
    try:
        app = App(config)
    except apsw.Error as error:
        raise StoreFailed(f"the database in {config.data} is damaged or cannot be read: {error}") from error
    try:
        await app.start()
        yield app
    finally:
        await app.close()


def run(config: ServerConfig, ready: Callable[["App"], None]) -> None:
    """``serve`` on uvloop where it is installed, else on asyncio's own loop; for a process of its own."""
    keep_memory_to_itself()
    raise_limit()
    # What a request makes goes by reference count: looking for cycles would be every fifth microsecond.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)
    if importlib.util.find_spec("uvloop") is None:
        asyncio.run(serve(config, ready))
    else:
        importlib.import_module("uvloop").run(serve(config, ready))


async def serve(config: ServerConfig, ready: Callable[[App], None]) -> None:
    """Run until SIGTERM or SIGINT; ``ready`` is told once the port is open.

    :raises ConfigError: the server can't start like this
    :raises StoreFailed: the database has failed
    """
    loop = asyncio.get_running_loop()
    async with running(config) as app:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
                loop.add_signal_handler(number, app.stop)
        with contextlib.suppress(NotImplementedError, AttributeError):
            loop.add_signal_handler(signal.SIGHUP, app.reload)
        ready(app)
        await app.stopped()
        log.info("the server stops")
