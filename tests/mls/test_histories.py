"""Random histories: whatever people do, those who are in the group agree and hear each other.

The long form is `python -m tests.mls.histories`.
"""

from typing import Final

import pytest

from securechat.mls.cipher_suite import SUITE_3
from tests.mls.histories import History

STEPS: Final = 25


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_those_who_are_in_agree(seed: int) -> None:
    """M-04, M-09: adds, removals, updates, races, restarts, external joins, keys mixed in."""
    history = History(seed)
    for _ in range(STEPS):
        history.step()
    assert history.groups
    assert history.groups[0].suite is SUITE_3
