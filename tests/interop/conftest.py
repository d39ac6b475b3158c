"""The peers for tests: skipped where there is no node, but not in the gate."""

import os
from collections.abc import Iterator

import pytest

from tests.interop.node import VERSIONS, NodeMissing
from tests.interop.peer import Peer, running_peer


@pytest.fixture(scope="session", params=sorted(VERSIONS))
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """ts-mls of each version."""
    try:
        with running_peer(request.param) as running:
            yield running
    except NodeMissing as error:
        if os.environ.get("CI"):
            pytest.fail(f"the gate does not go without the second MLS stack: {error}")
        pytest.skip(f"the second MLS stack is not here: {error}")
