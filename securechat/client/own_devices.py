"""The devices of one's own account, as a person types and reads them; the same in every client."""

from collections.abc import Callable, Sequence
from typing import Final

from securechat.client.errors import Forbidden
from securechat.client.events import OwnDevice
from securechat.locale.catalogue import mark, say, tr

LEAST_LETTERS: Final = 4
"""Of a device's name at the server, to say which is meant."""

REMOVING: Final = mark("Your password, to remove it (Enter alone: no)")
NOT_REMOVED: Final = mark("It was not removed.")


def meant(devices: Sequence[OwnDevice], typed: str) -> OwnDevice:
    """Return the device that somebody means, by what it is called or by the beginning of its id.

    :raises Forbidden: none or several of the account's are called or begin like this
    """
    wanted = [each for each in devices if typed and each.name == typed]
    if not wanted and len(typed) >= LEAST_LETTERS:
        wanted = [each for each in devices if each.device.startswith(typed)]
    if len(wanted) != 1:
        raise Forbidden("bad_request", f"no single device of yours is called or begins with {typed}")
    return wanted[0]


def to_type(device: OwnDevice, devices: Sequence[OwnDevice]) -> str:
    """Return what to type for a device: its name if that is one plain word, else how its id begins."""
    plain = device.name.replace("-", "").replace("_", "").replace(".", "")
    alone = sum(each.name == device.name for each in devices) == 1
    return device.name if plain.isascii() and plain.isalnum() and alone else device.device[:8]


def device_and_name(typed: str) -> tuple[str, str]:
    """Take apart what follows `rename`: a device, in quotes if that is several words, and its new name."""
    if typed[:1] == '"':
        device, _, name = typed[1:].partition('"')
    else:
        device, _, name = typed.partition(" ")
    return device.strip(), name.strip().strip('"')


def own_device_text(device: OwnDevice, clock: Callable[[int], str]) -> str:
    """One line of the list; ``clock`` says a time (seconds since 1970) as this client does."""
    words = [
        tr("this one") if device.this else "",
        say("since {time}", time=clock(device.since)) if device.since else "",
        say("last seen {time}", time=clock(device.seen)) if device.seen else "",
        tr("not seen for 45 days: remove it with revoke if it is gone") if device.idle else "",
    ]
    called = f"{device.name} ({device.device[:8]})" if device.name else device.device[:8]
    return f"{called}: {', '.join(word for word in words if word)}"


def removed_text(device: str, *, out: int, conversations: int) -> str:
    """What is said once a device is off the account."""
    return say(
        "{device} is removed: it is out of {out} of {all} conversations",
        device=device,
        out=out,
        all=conversations,
    )
