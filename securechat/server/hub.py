"""Which clients are connected, and what is pushed to them.

One encoding per fan-out, and one for neighbours in a log that are pushed to the same clients; each
connection writes once per tick of the loop. The newest connection of a client wins.
"""

from collections.abc import Iterable
from typing import Protocol, assert_never

from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import MAX_BODY, MAX_ENTRIES
from securechat.protocol.messages import Delivered, Entry, InboxDelivered
from securechat.server.values import GroupPush, InboxPush


class Receiver(Protocol):
    """A connection that has logged in."""

    @property
    def features(self) -> frozenset[str]:
        """What its client's Hello declared."""

    def deliver(self, frame: bytes) -> None: ...

    def bid_farewell(self, code: str) -> None: ...


class Hub:
    """For the loop's thread. A connection is here from the moment its login was answered."""

    def __init__(self) -> None:
        self._receivers: dict[int, Receiver] = {}
        self._neighbours: list[Entry] = []
        self._size = 0
        self._first: GroupPush | None = None
        self._sender: Receiver | None = None

    def __len__(self) -> int:
        return len(self._receivers)

    def enter(self, client: int, receiver: Receiver) -> None:
        older = self._receivers.get(client)
        self._receivers[client] = receiver
        if older is not None:
            older.bid_farewell("replaced")

    def leave(self, client: int, receiver: Receiver) -> None:
        if self._receivers.get(client) is receiver:
            del self._receivers[client]

    def tell(self, clients: Iterable[int], frame: bytes, feature: str) -> None:
        """Push a frame to clients that understand it."""
        self.flush()
        for client in clients:
            receiver = self._receivers.get(client)
            if receiver is not None and feature in receiver.features:
                receiver.deliver(frame)

    def end(self, client: int, code: str) -> None:
        """End a client's connection, if it has one."""
        receiver = self._receivers.get(client)
        if receiver is not None:
            receiver.bid_farewell(code)

    def push(self, sender: Receiver, pushes: tuple[GroupPush | InboxPush, ...]) -> None:
        """Push, or keep until ``flush`` what the next one may go with."""
        for push in pushes:
            match push:
                case GroupPush():
                    self._gather(sender, push)
                case InboxPush():
                    self.flush()
                    receiver = self._receivers.get(push.client)
                    if receiver is not None:
                        receiver.deliver(encode_frame(InboxDelivered([push.entry])))
                case _:
                    assert_never(push)

    def turn_to(self, receiver: Receiver) -> None:
        """Before somebody is told what they asked for, whatever others said before that has been pushed."""
        if self._sender is not receiver:
            self.flush()

    def flush(self) -> None:
        """Push what has been kept."""
        first = self._first
        if first is None:
            return
        sender, entries = self._sender, self._neighbours
        self._first, self._sender, self._neighbours, self._size = None, None, [], 0
        frame = b""
        for client in first.clients:
            receiver = self._receivers.get(client)
            if receiver is None or (receiver is sender and not first.echo):
                continue
            if not frame:
                frame = encode_frame(Delivered(first.group, entries))
            receiver.deliver(frame)

    def _gather(self, sender: Receiver, push: GroupPush) -> None:
        first, size = self._first, len(push.entry.body)
        if first is not None and not (
            push.clients is first.clients  # the same epoch of the same group, as a rule
            and push.group == first.group
            and sender is self._sender
            and push.echo is first.echo
            and self._size + size <= MAX_BODY
            and len(self._neighbours) < MAX_ENTRIES
        ):
            self.flush()
        if self._first is None:
            self._first, self._sender = push, sender
        self._neighbours.append(push.entry)
        self._size += size
