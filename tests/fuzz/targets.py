"""The table of all targets: every decoder that takes bytes from outside or from the disk (M-01)."""

from typing import Final

from tests.fuzz import directory, insiders, mls, people, state, wire
from tests.fuzz.judge import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target for part in (mls, insiders, state, wire, people, directory) for target in part.TARGETS
}
