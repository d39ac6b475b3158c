"""As many connections as there are descriptors for, and some kept for the database (O-08)."""

import logging
import subprocess
import sys

import pytest

from securechat.server import descriptors
from securechat.server.descriptors import KEPT, VERY_MANY, connections_that_fit


@pytest.mark.parametrize(
    ("allowed", "wanted", "fit"),
    [
        (20_000, 1_000, 1_000),
        (20_000, 20_000, 20_000 - KEPT),
        (1_024, 20_000, 1_024 - KEPT),
        (256, 20_000, 128),
        (VERY_MANY, 20_000, 20_000),
    ],
)
def test_o_08_connections_leave_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, allowed: int, wanted: int, fit: int
) -> None:
    monkeypatch.setattr(descriptors, "_limits", lambda: (allowed, allowed))
    with caplog.at_level(logging.INFO):
        assert connections_that_fit(wanted) == fit
    said = [record for record in caplog.records if record.name.startswith("securechat")]
    assert len(said) == (fit < wanted), "one line, where there are fewer than were wanted"


def test_o_08_the_soft_limit_is_raised_to_the_hard_one() -> None:
    said = subprocess.run([sys.executable, "-c", RAISES], capture_output=True, text=True, check=True)
    soft, hard = said.stdout.split()
    assert soft == hard


RAISES = """
import resource
from securechat.server.descriptors import raise_limit
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
