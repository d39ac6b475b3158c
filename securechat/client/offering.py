"""What a person is told of a new device before the password lets it in, wherever that is asked."""

from typing import Final

from securechat.client.events import LinkOffer
from securechat.locale.catalogue import mark, say, tr

ASKS: Final = mark(
    "The code is right: {name} asks to be linked, since {time}, from {address} (as the server says)."
)
WHAT_IT_DOES: Final = mark(
    "It will be a device of your account: it reads what is said from now on in all your conversations,"
    " and what it says is said by you. All your other devices are told."
)


def offer_lines(offer: LinkOffer, time: str) -> list[str]:
    """Return the sentences for whoever reads; ``time`` is when it asked, as a clock shows it."""
    return [say(ASKS, name=offer.name, time=time, address=offer.address), tr(WHAT_IT_DOES)]
