"""Saying that something is refused, by which rule, and that nothing changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from securechat.mls.errors import ValidationError
from tests.mls.public_stage import STAGES


@contextmanager
def refused(rule: str) -> Iterator[None]:
    """The block breaks exactly this public rule, which names its clause, and changes no group."""
    before = {stage: (stage.group.to_bytes(), list(stage.pending)) for stage in STAGES}
    with pytest.raises(ValidationError) as caught:
        yield
    assert caught.value.rule == rule
    assert caught.value.clause[0].isdigit()
    for stage, (group, pending) in before.items():
        assert (stage.group.to_bytes(), stage.pending) == (group, pending)
