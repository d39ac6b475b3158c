"""The full screen on this terminal, full of hostile strings: ``hostile_screen SEED COUNT``."""

import random
import sys
from pathlib import Path

from msgspec import structs

from securechat.cli.show import event_text
from securechat.tui import start
from tests.tui.fake import FakeClient
from tests.tui.hostile import harm
from tests.tui.test_hostile import PLACES, hostile_message, hostile_room


def full_of_harm(seed: int, count: int) -> FakeClient:
    """A client with so many hostile strings in every place there is."""
    made, client = random.Random(seed), FakeClient()
    for at in range(20):
        client.rooms[f"#r{at}"] = structs.replace(hostile_room(harm(made)), name=f"#r{at}", last_time=-at)
    places = list(PLACES)
    client.said["#r0"] = [
        structs.replace(hostile_message(places[at % len(places)], harm(made), at), conversation="#r0")
        for at in range(1, count + 1)
    ]
    return client


def main() -> int:
    seed, count = (int(word) for word in sys.argv[1:])
    client = full_of_harm(seed, count)
    return start.run(
        client.opened,
        client.commanded,
        event_text,
        user="alice",
        password="right",
        profile=Path("/nonexistent"),
    )


if __name__ == "__main__":
    sys.exit(main())
