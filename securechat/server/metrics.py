"""What Prometheus reads: counts and sizes by reason and kind; no user, group or address (G-01).

Imported only where an HTTP port is configured. Whatever a label says comes from a table of ours: a
word that a peer made up is counted as ``other``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from securechat.protocol.messages import REFUSALS
from securechat.server.counters import ENDS, WORK, Counters
from securechat.server.rate_limit import NAMES
from securechat.server.status import Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

REASONS: Final = frozenset({"address", "strangers", "total", "descriptors", "slow"})
"""Why a connection is refused or sent away (`budget.py`, `listener.py`)."""

LABELS: Final[dict[str, frozenset[str]]] = {
    "reason": REASONS,
    "ended": ENDS,
    "code": frozenset(REFUSALS),
    "rule": NAMES,
    "state": frozenset({"logged_in", "before_login", "open"}),
    "quantile": frozenset({"0.5", "0.99"}),
    "work": WORK,
}
"""Every label with all its values; ``version`` is our own."""


def render(status: Status, counters: Counters) -> bytes:
    """The page that is scraped. Takes a millisecond: for a thread."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(status, counters))
    return bytes(generate_latest(registry))


class _Snapshot(Collector):
    """One moment, as Prometheus asks for it."""

    def __init__(self, status: Status, counters: Counters) -> None:
        self._status = status
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        yield from self._connections()
        yield from self._work()
        yield from self._store()
        yield from self._process()

    def _connections(self) -> Iterator[Metric]:
        now, counters = self._status.connections, self._counters
        yield _by(
            "connections",
            "Connections now.",
            "state",
            {"logged_in": now.logged_in, "before_login": now.before_login, "open": now.open},
        )
        yield _gauge("connections_cap", "Connections there may be.", now.total_cap)
        yield _count("connections_accepted", "Connections let in.", counters.connections_accepted)
        yield _counts(
            "connections_refused",
            "Connections not let in, or sent away.",
            "reason",
            counters.connections_refused,
        )
        yield _counts(
            "connections_ended",
            "Connections that ended, by their goodbye.",
            "ended",
            counters.connections_ended,
        )
        yield _count("tls_handshakes", "TLS handshakes that were finished.", counters.handshakes)
        yield _count("slow_readers", "Connections that did not read what was sent.", counters.slow_readers)
        yield _count("logins", "Logins.", counters.logins)
        yield _count("logins_failed", "Logins refused.", counters.logins_failed)
        yield _gauge("logins_waiting", "Logins that wait for their hash.", self._status.logins.waiting)

    def _work(self) -> Iterator[Metric]:
        counters = self._counters
        yield _counts("refusals", "Requests refused, by code.", "code", counters.refusals)
        yield _counts("limited", "Requests refused by a rate.", "rule", counters.limited)
        yield _counts(
            "failures", "What the server does by itself and went wrong once.", "work", counters.failures
        )
        yield _count("messages", "Messages stored.", counters.messages)
        yield _count(
            "entries_expired", "Messages that somebody had not fetched in time.", counters.entries_expired
        )

    def _store(self) -> Iterator[Metric]:
        store, writing, counters = self._status.store, self._status.writing, self._counters
        yield _count("transactions", "Transactions synced to the disk.", counters.transactions)
        yield _count("transaction_jobs", "Jobs in them.", counters.transaction_jobs)
        yield _count("transaction_seconds", "Time they took, sync included.", counters.transaction_seconds)
        yield _by(
            "transaction_latest_seconds",
            "Time the latest few hundred took.",
            "quantile",
            {"0.5": writing.p50_ms / 1000, "0.99": writing.p99_ms / 1000},
        )
        yield _gauge("users", "Accounts.", store.users)
        yield _gauge("users_disabled", "Accounts that may not log in.", store.disabled)
        yield _gauge("devices", "Devices.", store.devices)
        yield _gauge("groups", "Groups.", store.groups)
        yield _gauge("database_bytes", "Size of the database.", store.database_bytes)
        yield _gauge("database_log_bytes", "Size of its write-ahead log.", store.wal_bytes)
        yield _gauge("disk_free_bytes", "Free space beside it.", store.free_bytes)
        yield _gauge("files", "Attachments kept.", store.files)
        yield _gauge("file_bytes", "Their size.", store.file_bytes)
        yield _count("file_received_bytes", "Bytes of attachments stored.", counters.file_bytes_received)
        yield _count("file_sent_bytes", "Bytes of attachments read.", counters.file_bytes_sent)
        yield _gauge("oldest_entry_timestamp_seconds", "Time of the oldest entry kept.", store.oldest_entry)
        yield _gauge("last_backup_timestamp_seconds", "Time of the last backup, 0: none.", store.last_backup)

    def _process(self) -> Iterator[Metric]:
        status, process = self._status, self._status.process
        version = GaugeMetricFamily("securechat_info", "This server.", labels=["version"])
        version.add_metric([status.identity.version], 1)
        yield version
        yield _gauge("start_timestamp_seconds", "Time of the start.", status.identity.started)
        yield _gauge(
            "certificate_end_timestamp_seconds", "Time the certificate ends.", status.certificate.not_after
        )
        yield _gauge("problems", "What `admin status` calls wrong.", len(status.problems))
        yield _gauge("resident_bytes", "Memory of the process.", process.rss_bytes)
        yield _gauge("open_files", "File descriptors in use.", process.files)
        yield _gauge("open_files_cap", "File descriptors there may be, 0: any number.", process.files_cap)
        yield _gauge("tasks", "Tasks of the loop.", process.tasks)
        yield _gauge("loop_lag_seconds", "Worst lag of the last minutes.", process.loop_lag_ms / 1000)


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"securechat_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"securechat_{name}", text, value=value)


def _counts(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"securechat_{name}", text, labels=[label])
    known: Counter[str] = Counter()
    for value, count in list(counts.items()):
        known[value if value in LABELS[label] else "other"] += count
    for value, count in sorted(known.items()):
        family.add_metric([value], count)
    return family


def _by(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"securechat_{name}", text, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family
