"""What a judgement says when it says no."""

from typing import Final

from msgspec import Struct

UPDATE_NEEDED: Final = "update-needed"
"""The rule named when a room follows newer rules: not invalid, but not for this version to judge."""


class Refusal(Struct, frozen=True):
    """``rule`` is a short stable name that tests and reports rely on; ``text`` one sentence."""

    rule: str
    text: str
