"""Power losses of a client, in short; and each way of speaking before storing is seen (C-03, D-06)."""

import re

import pytest

from securechat.client.store import ClientStore
from tests.faults import power_client
from tests.faults.camera import LOSSES
from tests.faults.command import Amount, Report
from tests.faults.disk import Disk
from tests.faults.planted_client import late_ratchets

SHORT = Amount(36, seed=1)
LONG_ENOUGH = Amount(300, seed=1)
"""Losses in which a word too early shows for certain; it shows in the first few."""

FORGOTTEN = re.compile(r"has not given yet|with other bytes|is not stored|would give it again|does not open")
"""What a client's store may be found out by: the harness's own failures are none of these."""

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def played(amount: Amount = SHORT) -> Report:
    (report,) = power_client.run(amount)
    return report


def test_c_03_no_power_loss_takes_what_a_client_has_said() -> None:
    report = played()
    assert report.wrong == []
    assert report.counts[LOSSES] == SHORT.count
    assert report.counts["sealed"] > 10


def test_c_03_without_full_synchronisation_a_client_forgets_what_it_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare = ClientStore._prepare

    def carelessly(store: ClientStore, key: bytes) -> None:
        prepare(store, key)
        store._db.pragma("synchronous", 1)

    monkeypatch.setattr(ClientStore, "_prepare", carelessly)
    assert FORGOTTEN.search(played(LONG_ENOUGH).wrong[0])


def test_c_03_with_the_fsync_removed_a_client_forgets_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "sync_lies", True)
    wrong = played(LONG_ENOUGH).wrong[0]
    assert FORGOTTEN.search(wrong) or "integrity_check" in wrong  # a disk that lies takes whole pages, too


def test_d_06_a_ratchet_that_is_stored_after_sending_is_seen() -> None:
    with late_ratchets():
        assert "would give it again" in played(LONG_ENOUGH).wrong[0]
