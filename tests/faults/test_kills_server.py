"""Kills of the real server, in short; and that the harness sees an answer before its commit (C-01, Q-02)."""

import random
from pathlib import Path

import pytest

from tests.faults import kills_server
from tests.faults.command import Amount, Report, Wrong


def test_c_01_a_server_that_is_killed_loses_nothing_that_it_answered() -> None:
    (report,) = kills_server.run(Amount(4, seed=3))
    assert report.wrong == []
    assert report.counts[kills_server.KILLS] == 4
    assert report.counts["messages"] > 0
    assert 0 < report.longest["start after a kill"] < 5


def test_q_02_an_answer_before_the_commit_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answered, not stored, killed: its sender notices, or nobody is shown it."""
    monkeypatch.setattr(kills_server, "SHOWN_WITHIN", 3)  # what is lost never comes
    monkeypatch.setattr(kills_server, "PATIENCE", 15)  # nor does what waits for it
    monkeypatch.setattr(kills_server, "HEALS_AFTER", 3)
    with pytest.raises(Wrong, match=r"lost|gone back"):
        kills_server.world(
            tmp_path, random.Random(3), Report("planted"), 40, module=("tests.faults.planted",)
        )
