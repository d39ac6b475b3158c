"""Watches that no message key is ever used twice (C-02, D-06).

Who sealed a message, and with which generation of its ratchet, is sealed itself: the oracle takes
the secret for that from the epochs that pass through clients in this process. It sees every sealed
message that reaches a server in this process, also those that are refused and never stored. Two
different messages of one leaf under one generation of one epoch are a key used twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.epoch import Reading
from securechat.mls.errors import SecretError
from securechat.mls.framing import PrivateMessage, decode_message
from securechat.mls.protection import open_sender_data
from securechat.protocol.messages import SendMessage
from securechat.protocol.server_connection import Event, Requested, ServerConnection
from tests.faults.command import Wrong

Place = tuple[bytes, int, int, int]
"""Group, epoch, leaf, generation."""


@dataclass
class Oracle:
    """Filled while `watching_generations` is open."""

    sealed: dict[Place, bytes] = field(default_factory=dict)
    secrets: dict[tuple[bytes, int], dict[bytes, int]] = field(default_factory=dict)
    twice: list[Place] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)
    _unread: dict[bytes, PrivateMessage] = field(default_factory=dict)

    def epoch(self, reading: Reading) -> None:
        """An epoch began for somebody here."""
        context = reading.context
        known = self.secrets.setdefault((context.group_id, context.epoch), {})
        known[reading.sender_data_secret] = context.cipher_suite

    def sent(self, message: bytes) -> None:
        """A sealed message reached the server; its epoch may not have reached anybody here yet."""
        if message in self._seen:
            return
        self._seen.add(message)
        decoded = decode_message(message)
        if isinstance(decoded, PrivateMessage):
            self._unread[message] = decoded

    def read(self) -> dict[Place, bytes]:
        """Read what can be read by now; return all places."""
        for raw, message in list(self._unread.items()):
            place = self._place(message)
            if place is None:
                continue
            del self._unread[raw]
            if self.sealed.setdefault(place, raw) != raw:
                self.twice.append(place)
        return self.sealed

    def places(self) -> dict[bytes, Place]:
        """Where each message that can be read by now stands."""
        return {raw: place for place, raw in self.read().items()}

    def judge(self) -> None:
        """:raises Wrong: a key was used twice, or the oracle could not see"""
        self.judge_keys()
        if self._unread:
            raise Wrong(f"the oracle could not read {len(self._unread)} messages")

    def judge_keys(self) -> None:
        """Judge what can be read by now: the rest may be of an epoch that others have still to hear of.

        :raises Wrong: a key was used twice
        """
        self.read()
        if self.twice:
            group, epoch, leaf, generation = self.twice[0]
            raise Wrong(
                f"{len(self.twice)} keys used twice; the first: generation {generation} of leaf {leaf} "
                f"in epoch {epoch} of group {group.hex()[:8]}"
            )

    def _place(self, message: PrivateMessage) -> Place | None:
        for secret, suite in self.secrets.get((message.group_id, message.epoch), {}).items():
            try:
                sender = open_sender_data(cipher_suite(suite), message, sender_data_secret=secret)
            except SecretError:
                continue
            return message.group_id, message.epoch, sender.leaf_index, sender.generation
        return None


@contextmanager
def watching_generations() -> Iterator[Oracle]:
    """The oracle sees the epochs of every client and the messages to every server of this process."""
    oracle = Oracle()
    begin, receive = Reading.__post_init__, ServerConnection.receive_data

    def began(reading: Reading) -> None:
        begin(reading)
        oracle.epoch(reading)

    def received(connection: ServerConnection, data: bytes) -> list[Event]:
        events = receive(connection, data)
        for event in events:
            if isinstance(event, Requested) and isinstance(event.body, SendMessage):
                oracle.sent(event.body.message)
        return events

    with (
        mock.patch.object(Reading, "__post_init__", began),
        mock.patch.object(ServerConnection, "receive_data", received),
    ):
        yield oracle
