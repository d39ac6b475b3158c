"""Disks that are full, fail or turn read-only, in short (C-04, Q-02)."""

from tests.faults import disk_errors
from tests.faults.command import Amount


def test_c_04_while_a_disk_fails_nothing_is_promised_and_afterwards_all_goes_on() -> None:
    (report,) = disk_errors.run(Amount(10, seed=4))
    assert report.wrong == []
    assert report.counts[disk_errors.ERRORS] == 10
    assert report.counts["told so"] > 0
    assert report.counts["server ended itself"] > 0
