from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell, shell_in


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A folder with a running server; everything started is ended with the test."""
    with shell_in(tmp_path) as made:
        made.start_server()
        yield made
