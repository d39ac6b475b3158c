"""Power losses of a server, in short; and each way of promising too early is seen (C-03, Q-02)."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from securechat.server.named import NamedJob
from securechat.server.store import sqlite
from securechat.server.store.transaction import Transaction
from tests.faults import power_server
from tests.faults.command import Amount, Report
from tests.faults.disk import Disk

SHORT = Amount(80, seed=1)
LONG_ENOUGH = Amount(400, seed=1)
"""Losses in which a promise that is not kept shows for certain; it shows in the first few."""


def played(amount: Amount = SHORT) -> Report:
    (report,) = power_server.run(amount)
    return report


def test_c_03_no_power_loss_takes_what_the_server_has_answered() -> None:
    report = played()
    assert report.wrong == []
    assert report.counts[power_server.LOSSES] == SHORT.count
    assert report.counts["messages promised"] > SHORT.count


def test_c_03_without_full_synchronisation_answered_messages_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite, "SYNCHRONOUS", "NORMAL")
    monkeypatch.setattr(sqlite, "LEAST", 1)
    assert "lost" in played(LONG_ENOUGH).wrong[0]


def test_c_03_with_the_fsync_removed_answered_messages_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "sync_lies", True)
    assert "lost" in played(LONG_ENOUGH).wrong[0]


def test_q_02_an_answer_before_the_commit_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_early(monkeypatch)
    assert "lost" in played(LONG_ENOUGH).wrong[0]


def answer_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a server that answers when it has judged, and commits afterwards."""
    run, done = NamedJob.run, NamedJob.done
    told: set[NamedJob] = set()
    loops: list[asyncio.AbstractEventLoop] = []
    init = NamedJob.__init__

    def begin(job: NamedJob, *arguments: object, **named: object) -> None:
        loops[:] = [asyncio.get_running_loop()]
        init(job, *arguments, **named)  # type: ignore[arg-type]

    def early(job: NamedJob, transaction: Transaction) -> None:
        run(job, transaction)
        answered = threading.Event()
        loops[0].call_soon_threadsafe(_tell, lambda: NamedJob.done(job), answered)
        answered.wait(5)

    def once(job: NamedJob) -> None:
        if job not in told:
            told.add(job)
            done(job)

    monkeypatch.setattr(NamedJob, "__init__", begin)
    monkeypatch.setattr(NamedJob, "run", early)
    monkeypatch.setattr(NamedJob, "done", once)


def _tell(answer: Callable[[], None], answered: threading.Event) -> None:
    answer()
    answered.set()
