"""Power losses of a server, in short; and each way of promising too early is seen (C-03, Q-02)."""

import pytest

from securechat.server.store import sqlite
from tests.faults import power_server
from tests.faults.camera import LOSSES
from tests.faults.command import Amount, Report
from tests.faults.disk import Disk
from tests.faults.planted import early_answers

SHORT = Amount(80, seed=1)
LONG_ENOUGH = Amount(400, seed=1)
"""Losses in which a promise that is not kept shows for certain; it shows in the first few."""


def played(amount: Amount = SHORT) -> Report:
    (report,) = power_server.run(amount)
    return report


def test_c_03_no_power_loss_takes_what_the_server_has_answered() -> None:
    report = played()
    assert report.wrong == []
    assert report.counts[LOSSES] == SHORT.count
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


def test_q_02_an_answer_before_the_commit_is_seen() -> None:
    with early_answers():
        assert "lost" in played(LONG_ENOUGH).wrong[0]
