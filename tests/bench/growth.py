"""How cost grows with what is stored.

``python -m tests.bench.growth [--messages N] [--clients N] [--members N]``

The real services over a real database, without a network: what a message, a sync, a fetch and a step of
retention cost while the logs grow to a million messages. Times are medians of this thread's CPU, user and
system, syncs included but not the waiting for them. Printed, never asserted: docs/benchmarks.md.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from securechat.mls.framing import ContentType, PrivateMessage, encode_message
from securechat.mls.nodes import Epoch
from securechat.protocol import messages as m
from securechat.server import config
from securechat.server.delivery import Delivery
from securechat.server.expiry import JOBS
from securechat.server.groups import Groups
from securechat.server.log_expiry import conversations
from securechat.server.quota import Quota
from securechat.server.retention import Place, Retention
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.store.transaction import Transaction
from securechat.server.swept import LOOKED_AT, ROWS
from securechat.server.values import Caller

SIZES: Final = (0, 10_000, 100_000, 1_000_000, 10_000_000)
BODY: Final = 1_000
BATCH: Final = 64
ROUNDS: Final = 40
NOW: Final = 1_800_000_000
COLUMNS: Final = (
    *("send, µs", "to the room, µs", "sync, µs", "fetch 10, µs"),
    *(f"{LOOKED_AT} logs looked at, ms", f"{ROWS} expired, ms", "file, MB"),
)
VISIT: Final = JOBS.index(conversations)


@dataclass
class Population:
    """Pairs of clients, and one room of many."""

    db: apsw.Connection
    clients: int
    members: int
    stored: int = 0
    heads: dict[int, int] = field(default_factory=dict)

    @property
    def pairs(self) -> int:
        return self.clients // 2

    @property
    def room(self) -> int:
        return self.pairs + 1

    def group(self, conversation: int) -> bytes:
        return conversation.to_bytes(32, "big")

    def make(self) -> None:
        """Everybody is there and nothing has been said."""
        numbers = range(1, self.clients + 1)
        with self.db:
            self.db.executemany(
                "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
                "VALUES (?1, 'user' || ?1, x'', '', x'', x'', 0)",
                ((number,) for number in numbers),
            )
            self.db.executemany(
                "INSERT INTO client (id, account, name, device_key, credential, created) "
                "VALUES (?1, ?1, 'client' || ?1, x'', x'', 0)",
                ((number,) for number in numbers),
            )
            for pair in range(1, self.pairs + 1):
                self._open(pair, (2 * pair - 1, 2 * pair))
            self._open(self.room, range(1, self.members + 1))

    def _open(self, conversation: int, clients: range | tuple[int, ...]) -> None:
        self.db.execute(
            "INSERT INTO conversation (id, group_id, epoch, head, handshake_head, created) "
            "VALUES (?, ?, 1, 0, 0, 0)",
            (conversation, self.group(conversation)),
        )
        self.db.executemany(
            "INSERT INTO member (conversation, client, leaf, may_speak, start, cursor) "
            "VALUES (?, ?, ?, 1, 1, 0)",
            ((conversation, client, leaf) for leaf, client in enumerate(clients)),
        )

    def store(self, count: int) -> None:
        """Messages that lie there unread, spread over the pairs as a day spreads them."""
        body = sealed(self.group(1))
        heads = self.db.execute("SELECT id, head FROM conversation").fetchall()
        self.heads = {int(str(conversation)): int(str(head)) for conversation, head in heads}
        while self.stored < count:
            amount = min(50_000, count - self.stored)
            with self.db:
                self.db.executemany(
                    "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body) "
                    "VALUES (?, ?, 'message', 1, ?, ?, ?)",
                    self._rows(amount, body),
                )
                self.db.executemany(
                    "UPDATE conversation SET head = ?2 WHERE id = ?1", list(self.heads.items())
                )
            self.stored += amount

    def _rows(self, amount: int, body: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
        for number in range(self.stored, self.stored + amount):
            pair = 1 + number % self.pairs
            self.heads[pair] += 1
            yield pair, self.heads[pair], 2 * pair - 1, NOW, body


def sealed(group: bytes) -> bytes:
    """A message as far as the server sees."""
    empty = encode_message(PrivateMessage(group, Epoch(1), ContentType.APPLICATION, b"", b"x" * 28, b""))
    return encode_message(
        PrivateMessage(
            group, Epoch(1), ContentType.APPLICATION, b"", b"x" * 28, b"y" * (BODY - len(empty) - 1)
        )
    )


class Services:
    """What is timed."""

    def __init__(self, people: Population) -> None:
        self.people = people
        self.db = people.db
        self.delivery = Delivery(Groups(), Quota(config.Quotas(account_bytes=2**50)), lambda: NOW)
        self.retention = Retention(config.Retention(), lambda: NOW)
        self.turn = 0

    def caller(self, client: int) -> Caller:
        return Caller(client, f"user{client}", client, f"client{client}")

    def send(self) -> None:
        """A transaction of 64 messages in 64 pairs, synced."""
        self.db.execute("BEGIN IMMEDIATE")
        transaction = Transaction(self.db)
        for _ in range(BATCH):
            self.turn += 1
            pair = 1 + self.turn * 7 % self.people.pairs
            group = self.people.group(pair)
            self.delivery.send(transaction, self.caller(2 * pair - 1), m.SendMessage(group, 1, sealed(group)))
        transaction.settle()
        self.db.execute("COMMIT")

    def send_to_room(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        transaction = Transaction(self.db)
        group = self.people.group(self.people.room)
        for _ in range(BATCH):
            self.delivery.send(transaction, self.caller(1), m.SendMessage(group, 1, sealed(group)))
        transaction.settle()
        self.db.execute("COMMIT")

    def sync(self) -> None:
        self.turn += 1
        self.delivery.sync(self.db, self.caller(1 + self.turn * 7 % self.people.clients), m.Sync())

    def fetch(self) -> None:
        """The last messages of a log."""
        self.turn += 1
        pair = 1 + self.turn * 7 % self.people.pairs
        ((head,),) = self.db.execute("SELECT head FROM conversation WHERE id = ?", (pair,)).fetchall()
        start = max(1, int(str(head)) - 9)
        self.delivery.fetch(self.db, self.caller(2 * pair), m.Fetch(self.people.group(pair), start))

    def look(self) -> None:
        """A step of retention over logs in which somebody is behind."""
        self.step(Place(VISIT, 0))

    def step(self, place: Place) -> Place | None:
        self.db.execute("BEGIN IMMEDIATE")
        _, following = self.retention.step(self.db, place)
        self.db.execute("COMMIT")
        return following


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the median round, after a few that warm up."""
    for _ in range(5):
        work()
    times = []
    for _ in range(rounds):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return statistics.median(times)


def expiry_step(services: Services) -> float:
    """Seconds of a full step: the room's messages, which everybody of it has."""
    people, place = services.people, Place(VISIT, services.people.room - 1)
    read = "UPDATE member SET cursor = (SELECT head FROM conversation WHERE id = ?1) WHERE conversation = ?1"
    times = []
    for _ in range(ROUNDS // 4):
        for _ in range(-(-ROWS // BATCH)):
            services.send_to_room()
        people.db.execute(read, (people.room,))
        started = time.thread_time()
        services.step(place)
        times.append(time.thread_time() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=1_000)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        people = Population(
            open_database(prepare_database(folder)), asked.clients, min(asked.members, asked.clients)
        )
        people.make()
        print(f"{asked.clients} clients in {people.pairs} pairs, a room of {people.members}; {BODY} bytes")
        print("| stored | " + " | ".join(COLUMNS) + " |")
        print("|---" * (len(COLUMNS) + 1) + "|")
        services = Services(people)
        for size in (each for each in SIZES if each <= asked.messages):
            people.store(size)
            row = [
                timed(services.send) / BATCH * 1e6,
                timed(services.send_to_room) / BATCH * 1e6,
                timed(services.sync) * 1e6,
                timed(services.fetch) * 1e6,
                timed(services.look) * 1e3,
                expiry_step(services) * 1e3,
            ]
            file = sum(each.stat().st_size for each in folder.iterdir()) / 1e6
            print(
                f"| {size:,} | " + " | ".join(f"{each:.1f}" for each in row) + f" | {file:,.0f} |", flush=True
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
