"""A flipped bit or a lost end in any file, in short (C-05)."""

from pathlib import Path

from tests.faults import flips
from tests.faults.command import Amount


def test_c_05_damage_is_found_out_and_said_or_does_no_harm() -> None:
    (report,) = flips.run(Amount(9, seed=2))
    assert report.wrong == []
    assert report.counts[flips.FLIPS] == 9
    assert report.counts["refused"] > 0, "what is certain to be found out was found out"


def test_a_damage_leaves_all_other_bytes_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(200)))
    flips.Damage("file", 77, 3).do(tmp_path)
    flips.Damage("file", 150, None).do(tmp_path)
    assert (tmp_path / "file").read_bytes() == bytes([*range(77), 77 ^ 8, *range(78, 150)])
