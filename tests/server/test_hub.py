"""What is pushed: in order, to whom it belongs, in frames of bounded size (Q-03, O-02)."""

import pytest

from securechat.protocol import messages as m
from securechat.protocol.frames import LENGTH_BYTES, decode_server_frame
from securechat.protocol.limits import MAX_BODY, MAX_ENTRIES, MAX_FRAME
from securechat.server.hub import Hub
from securechat.server.values import GroupPush, InboxPush

EVERYBODY = (1, 2)
GROUP, OTHER, SENDER = b"g" * 16, b"o" * 16, "c" * 22


class Told:
    """A connection that keeps what it is told."""

    def __init__(self, hub: Hub, client: int) -> None:
        self.frames: list[bytes] = []
        self.goodbyes: list[str] = []
        hub.enter(client, self)

    def deliver(self, frame: bytes) -> None:
        self.frames.append(frame)

    @property
    def features(self) -> frozenset[str]:
        return frozenset()

    def bid_farewell(self, code: str) -> None:
        self.goodbyes.append(code)

    @property
    def pushes(self) -> list[tuple[bytes, list[int]]]:
        """Groups (empty: the inbox) and places."""
        found = [decode_server_frame(frame[LENGTH_BYTES:]) for frame in self.frames]
        return [
            (push.group if isinstance(push, m.Delivered) else b"", [each.sequence for each in push.entries])
            for push in found
            if isinstance(push, m.Delivered | m.InboxDelivered)
        ]


@pytest.fixture
def hub() -> Hub:
    return Hub()


def message(sequence: int, size: int = 10, group: bytes = GROUP) -> GroupPush:
    entry = m.Entry(sequence, "message", 1, SENDER, 0, b"x" * size)
    return GroupPush(group, EVERYBODY, entry, echo=False)


def invitation(client: int) -> InboxPush:
    return InboxPush(client, m.InboxEntry(1, OTHER, 1, 1, SENDER, m.Carried(b"w"), 0))


def test_what_was_said_before_is_pushed_before_an_invitation(hub: Hub) -> None:
    alice, bob = Told(hub, 1), Told(hub, 2)
    hub.push(alice, (message(1), invitation(2)))
    assert bob.pushes == [(GROUP, [1]), (b"", [1])]


def test_who_is_told_an_answer_has_been_told_what_others_said_before(hub: Hub) -> None:
    alice, bob = Told(hub, 1), Told(hub, 2)
    hub.push(alice, (message(1),))
    hub.turn_to(alice)
    assert bob.pushes == [], "a sender's own wait for each other"
    hub.turn_to(bob)
    assert bob.pushes == [(GROUP, [1])]


def test_o_02_a_push_is_a_frame_that_clients_take(hub: Hub) -> None:
    alice, bob = Told(hub, 1), Told(hub, 2)
    hub.push(alice, tuple(message(number, MAX_BODY - 100) for number in range(1, 9)))
    hub.push(alice, tuple(message(number, 1) for number in range(9, MAX_ENTRIES * 2)))
    hub.flush()
    assert max(map(len, bob.frames)) <= MAX_FRAME
    assert max(len(places) for _, places in bob.pushes) <= MAX_ENTRIES
    assert [place for _, places in bob.pushes for place in places] == list(range(1, MAX_ENTRIES * 2))


def test_neighbours_in_two_logs_are_two_pushes(hub: Hub) -> None:
    """Also where the same clients are in both."""
    alice, bob = Told(hub, 1), Told(hub, 2)
    hub.push(alice, (message(1), message(1, group=OTHER)))
    hub.flush()
    assert bob.pushes == [(GROUP, [1]), (OTHER, [1])]


def test_nobody_is_told_after_leaving(hub: Hub) -> None:
    alice, bob = Told(hub, 1), Told(hub, 2)
    hub.leave(2, bob)
    hub.push(alice, (message(1), invitation(2)))
    hub.flush()
    assert (bob.pushes, len(hub)) == ([], 1)
