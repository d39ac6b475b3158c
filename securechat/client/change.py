"""One change of the profile: a transaction, and what may be done once it is on the disk.

Store before you speak: inside a change nothing is sent, told or acknowledged; it is noted, and
happens after the commit. If the transaction fails, none of it happens, and whatever was
changed in memory on the way is dropped and read from the store again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import apsw

from securechat.client.errors import ClientError
from securechat.client.events import Event
from securechat.client.store import ClientStore


@dataclass(slots=True)
class Change:
    """What is being changed. ``db`` is inside the transaction."""

    db: apsw.Connection
    events: list[Event] = field(default_factory=list)
    woken: set[int] = field(default_factory=set)
    """Conversations that may have something to do now."""
    touched: set[int] = field(default_factory=set)
    """Conversations whose group in memory is ahead of the store until the commit."""
    settled: list[tuple[int, ClientError | None]] = field(default_factory=list)
    """Intents that came to an end, well or with an error."""
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    """Logs (empty: the inbox) and how far they are stored now."""
    requested: bool = False
    """Whether there is something new to send."""
    forgot: bool = False
    """Whether words were withdrawn: they are to leave the log beside the store too (L-04)."""
    wants_log: bool = False
    """Whether the key log is to be asked something that was noted (`key_log`)."""
    error: BaseException | None = None
    """What undid it."""
    now: int = 0
    """When it was begun, in seconds since 1970; 0 if that is not known."""

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def wake(self, conversation: int) -> None:
        self.woken.add(conversation)

    def settle(self, intent: int, error: ClientError | None = None) -> None:
        self.settled.append((intent, error))


class Changes:
    """Makes changes, one at a time (they hold no await), and does afterwards what they noted."""

    def __init__(
        self,
        store: ClientStore,
        *,
        done: Callable[[Change], None],
        undone: Callable[[Change], None],
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self._clock = clock
        self._done = done
        self._undone = undone

    @property
    def db(self) -> apsw.Connection:
        """The store, to read from: everything that was committed."""
        return self.store.db

    @contextmanager
    def change(self) -> Iterator[Change]:
        change: Change | None = None
        try:
            with self.store.transaction() as db:
                change = Change(db, now=int(self._clock()))
                yield change
        except BaseException as error:
            if change is not None:
                change.error = error
                self._undone(change)
            raise
        self._done(change)
