"""Which clients are connected, and what is pushed to them.

One encoding per fan-out; each connection writes once per tick of the loop. The newest connection
of a client wins.
"""

from typing import Protocol, assert_never

from securechat.protocol.frames import encode_frame
from securechat.protocol.messages import Delivered, InboxDelivered
from securechat.server.values import GroupPush, InboxPush


class Receiver(Protocol):
    """A connection that has logged in."""

    def deliver(self, frame: bytes) -> None: ...

    def bid_farewell(self, code: str) -> None: ...


class Hub:
    """For the loop's thread. A connection is here from the moment its login was answered."""

    def __init__(self) -> None:
        self._receivers: dict[int, Receiver] = {}

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

    def push(self, sender: Receiver, pushes: tuple[GroupPush | InboxPush, ...]) -> None:
        for push in pushes:
            match push:
                case GroupPush():
                    self._push_entry(sender, push)
                case InboxPush():
                    receiver = self._receivers.get(push.client)
                    if receiver is not None:
                        receiver.deliver(encode_frame(InboxDelivered([push.entry])))
                case _:
                    assert_never(push)

    def _push_entry(self, sender: Receiver, push: GroupPush) -> None:
        frame = b""
        for client in push.clients:
            receiver = self._receivers.get(client)
            if receiver is None or (receiver is sender and not push.echo):
                continue
            if not frame:
                frame = encode_frame(Delivered(push.group, [push.entry]))
            receiver.deliver(frame)
