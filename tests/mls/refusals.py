"""Saying that something is refused, and by which rule."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from securechat.mls.errors import ValidationError


@contextmanager
def refused(rule: str) -> Iterator[None]:
    """The block breaks exactly this public rule, which names its clause."""
    with pytest.raises(ValidationError) as caught:
        yield
    assert caught.value.rule == rule
    assert caught.value.clause[0].isdigit()
