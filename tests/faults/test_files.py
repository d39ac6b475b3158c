"""Files under cut lines and killed processes, in short (C-01, Q-01); and that the harness sees a lie."""

import random
from pathlib import Path

import pytest

from securechat.client.part_file import PartFile
from tests.faults import files
from tests.faults.command import Amount, Report, Wrong


def test_c_01_files_arrive_as_they_were_sent_whatever_is_cut_or_killed() -> None:
    (report,) = files.run(Amount(6, seed=2))
    assert report.wrong == []
    assert report.counts[files.FAULTS] == 6
    assert report.counts["files"] == 2
    assert report.counts["rows looked at"] == 2


def test_a_client_that_saves_what_it_did_not_check_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(part: PartFile, sealed: bytes) -> None:
        honest(part, sealed)
        part._path.write_bytes(b"x")

    honest = PartFile.add
    monkeypatch.setattr(PartFile, "add", careless)
    with pytest.raises(Wrong, match="not what was sent"):
        files.world(tmp_path, random.Random(5), Report("planted"), 1)
