from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.client.conftest import cheap_argon2 as cheap_argon2  # noqa: PLC0414 - a fixture, shared
from tests.scenarios.world import World, a_world, without_cost, without_long_draws


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_argon2: None) -> AsyncIterator[World]:
    """A server and nobody yet. Passwords are stretched for nothing: `test_killed.py` does it for real."""
    without_long_draws(monkeypatch.setattr)
    without_cost(monkeypatch.setattr)
    async with a_world(tmp_path) as made:
        yield made
