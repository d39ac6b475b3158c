"""Who said what, what was promised, what was shown: and whether that fits (Q-01).

The ledger knows no client and no server. A harness tells it what it sees; after healing `verdict`
says what is wrong: every message that was acknowledged is shown exactly once to each of its
recipients, each sender's messages come in the order they were said, and nothing is shown that
nobody said. A message that was never acknowledged may be shown or not, but never twice.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

SHOWN_OF_A_KIND: Final = 10
"""Violations of one kind that are told in full; the others are counted."""


class Kind(Enum):
    """What can be wrong."""

    LOST = "lost"
    TWICE = "shown twice"
    DISORDER = "out of order"
    INVENTED = "nobody said it"
    STRAYED = "shown to somebody it was not for"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not happen."""

    kind: Kind
    place: str
    sender: str
    recipient: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text!r} of {self.sender} in {self.place}, at {self.recipient}"


@dataclass(slots=True)
class _Stream:
    """What one sender says in one place: message ``n`` is the ``n``-th of it."""

    recipients: list[frozenset[str]] = field(default_factory=list)
    acknowledged: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Screen:
    """What one recipient was shown of a stream."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    times: bytearray = field(default_factory=bytearray)


class Ledger:
    """Filled while the run goes on; judged when everything is whole again."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._screens: dict[tuple[str, str, str], _Screen] = {}
        self._wrong: list[Violation] = []
        self._recipients: dict[frozenset[str], frozenset[str]] = {}

    def says(self, place: str, sender: str, recipients: Iterable[str]) -> str:
        """A sender is about to say something: return the text, which is its name from now on.

        :param place: the conversation, by one name for all who are in it
        :param recipients: to whom it must be shown once it is acknowledged, and to nobody else
        """
        stream = self._streams.setdefault((place, sender), _Stream())
        who = frozenset(recipients)
        stream.recipients.append(self._recipients.setdefault(who, who))
        stream.acknowledged.append(0)
        return f"{sender} {len(stream.recipients) - 1}"

    def acknowledged(self, place: str, sender: str, text: str) -> None:
        """The server has promised this message; said again it changes nothing.

        :raises KeyError: it was never said, so the harness itself is wrong
        """
        number = self._number(place, sender, text)
        if number is None:
            raise KeyError(text)
        self._streams[place, sender].acknowledged[number] = 1

    def shown(self, place: str, recipient: str, sender: str, text: str) -> None:
        """A recipient was shown this, in this place, as said by this sender."""
        number = self._number(place, sender, text)
        if number is None:
            self._wrong.append(Violation(Kind.INVENTED, place, sender, recipient, text))
            return
        if recipient not in self._streams[place, sender].recipients[number]:
            self._wrong.append(Violation(Kind.STRAYED, place, sender, recipient, text))
        screen = self._screens.setdefault((place, recipient, sender), _Screen())
        if number >= len(screen.times):
            screen.times.extend(bytes(number + 1 - len(screen.times)))
        if screen.times[number]:
            self._wrong.append(Violation(Kind.TWICE, place, sender, recipient, text))
        elif screen.numbers and number < screen.numbers[-1]:
            self._wrong.append(Violation(Kind.DISORDER, place, sender, recipient, text))
        screen.times[number] = 1
        screen.numbers.append(number)

    def knows(self, place: str, sender: str, text: str) -> bool:
        """Whether this was said there by them."""
        return self._number(place, sender, text) is not None

    def missing(self) -> Iterator[Violation]:
        """What was promised and is not shown yet; after healing each of it is lost."""
        for (place, sender), stream in self._streams.items():
            for number, promised in enumerate(stream.acknowledged):
                if promised:
                    for recipient in sorted(stream.recipients[number]):
                        if not self._was_shown(place, recipient, sender, number):
                            yield Violation(Kind.LOST, place, sender, recipient, f"{sender} {number}")

    def verdict(self) -> list[Violation]:
        """All that is wrong; empty is what every run must end with."""
        return [*self._wrong, *self.missing()]

    @property
    def counts(self) -> dict[str, int]:
        """How much was said, promised and shown, and how much of it wrongly, by kind."""
        wrong = self.verdict()
        return {
            "said": sum(len(stream.recipients) for stream in self._streams.values()),
            "acknowledged": sum(sum(stream.acknowledged) for stream in self._streams.values()),
            "shown": sum(len(screen.numbers) for screen in self._screens.values()),
            **{kind.value: sum(each.kind is kind for each in wrong) for kind in Kind},
        }

    def _number(self, place: str, sender: str, text: str) -> int | None:
        stream = self._streams.get((place, sender))
        name, _, digits = text.rpartition(" ")
        if stream is None or name != sender or not (digits.isascii() and digits.isdigit()):
            return None
        number = int(digits)
        return number if number < len(stream.recipients) and str(number) == digits else None

    def _was_shown(self, place: str, recipient: str, sender: str, number: int) -> bool:
        screen = self._screens.get((place, recipient, sender))
        return screen is not None and number < len(screen.times) and bool(screen.times[number])


async def settle(ledger: Ledger, look: Callable[[], None], patience: float) -> None:
    """Wait until all that was promised is shown, or for so many seconds: a last push may be on its way.

    :param look: tells the ledger what has been shown since it was last called
    """
    ends = time.monotonic() + patience
    look()
    while next(ledger.missing(), None) is not None and time.monotonic() < ends:
        await asyncio.sleep(0.02)
        look()


def told(violations: Iterable[Violation]) -> str:
    """Violations for a person to read: some of each kind, and how many there are."""
    lines: list[str] = []
    by_kind: dict[Kind, list[Violation]] = {}
    for violation in violations:
        by_kind.setdefault(violation.kind, []).append(violation)
    for kind, those in by_kind.items():
        lines.append(f"{len(those)} x {kind.value}")
        lines += [f"  {each}" for each in those[:SHOWN_OF_A_KIND]]
    return "\n".join(lines) or "nothing is wrong"
