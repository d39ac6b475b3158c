"""What members of one epoch must have in common, and who does not."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

EXPORT_LABEL: Final = "interop"
"""The label of the secret that everybody exports after every commit."""
EXPORT_CONTEXT: Final = b"after every commit"


class Disagreement(Exception):
    """Members of one epoch do not hold the same."""


@dataclass(frozen=True, slots=True)
class View:
    """What a member says of the epoch it is in."""

    epoch: int
    authenticator: bytes
    tree: bytes
    """The tree as the ratchet_tree extension has it."""
    context: bytes
    """The encoded GroupContext."""
    exported: bytes


def check_agreement(views: Mapping[str, View]) -> View:
    """Return what all hold; Disagreement names the member and the field in which it differs."""
    first, *others = views
    for name in others:
        for each in fields(View):
            one, other = getattr(views[first], each.name), getattr(views[name], each.name)
            if one != other:
                raise Disagreement(
                    f"{first} and {name} differ in {each.name}: {_short(one)}, {_short(other)}"
                )
    return views[first]


def _short(value: int | bytes) -> str:
    return value.hex()[:64] if isinstance(value, bytes) else str(value)
