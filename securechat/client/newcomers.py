"""What a room hands to who comes in, as a number and in words: no more than a front end needs of it."""

from typing import Final

ALL: Final = 65_535
"""What a policy says for everything that there is."""

POLICY: Final = "room_history"
"""The code of a note on what the policy is."""


def policy_text(name: str, last: int) -> str:
    """Return what a room hands to who comes in: so many messages at most."""
    if not last:
        return f"{name}: who comes in sees nothing of what was said before"
    return (
        f"{name}: who comes in gets what was said before, up to {last} messages, from the device that lets"
        " them in, while that is online; not what was withdrawn or is to disappear, and of files the names"
    )


def handed_text(name: str, user: str, count: int) -> str:
    """Return what somebody who was let in here gets from this device: so many messages."""
    return f"{name}: @{user} gets the last {count} messages of before from this device, while it is online"
