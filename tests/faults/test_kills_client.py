"""Kills of a client, in short; and that the harness sees a key used twice (C-02, D-06)."""

import random
from pathlib import Path

import pytest

from tests.faults import kills_client
from tests.faults.command import Amount, Report, Wrong


def test_c_02_a_client_that_is_killed_anywhere_goes_on_and_uses_no_key_twice() -> None:
    (report,) = kills_client.run(Amount(15, seed=2))
    assert report.wrong == []
    assert report.counts[kills_client.KILLS] == 15
    assert report.counts["sealed"] >= report.counts["messages"] > 15


def test_d_06_a_ratchet_that_is_stored_after_sending_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills_client, "HEALS_AFTER", 4)
    with pytest.raises(Wrong, match="keys used twice"):
        kills_client.world(
            tmp_path, random.Random(2), Report("planted"), 200, module=("tests.faults.planted_client",)
        )
