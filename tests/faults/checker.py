"""The last judgement of a run: what the members' stores say, held against the ledger (Q-01, Q-03).

Beside the ledger's own rules: what is in a store stands there in the log's order; all members have
the same message at the same place of a log; who was in a room for a while has exactly what was said
meanwhile; and all members of a group share its epoch's secret (their epoch codes are equal).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.faults.ledger import Ledger
from tests.faults.orders import Line, Story

SEEN = ("received", "sent")

Stays = Mapping[tuple[bytes, str], Mapping[int, int | None]]
"""Of a group and a user: where each stay begins, and where it ended."""


@dataclass(slots=True)
class Verdict:
    """What is wrong, in sentences, and how much was looked at."""

    wrong: list[str] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def says(self, what: str) -> None:
        self.wrong.append(what)


class Checker:
    """Judges one run; used once."""

    def __init__(self, ledger: Ledger, guests: Mapping[str, frozenset[str]]) -> None:
        """Prepare a judgement.

        :param guests: of each place, who comes and goes there: the ledger does not know when
        """
        self._ledger = ledger
        self._guests = guests
        self._by_place: dict[str, dict[int, tuple[str, str]]] = {}
        self._verdict = Verdict()

    def judge(self, stories: Mapping[str, Story], told: Mapping[str, Counter[int]], stays: Stays) -> Verdict:
        """Return what is wrong.

        :param stories: of each member, what its store has
        :param told: of each member, how often each message was shown, by its local id
        """
        for user, story in stories.items():
            for line in story.lines:
                self._take(user, line)
            self._in_order(user, story)
            self._as_told(user, story, told[user])
        for user, story in stories.items():
            self._guest(user, story, stays)
        self._agree(stories)
        self._verdict.wrong += [str(violation) for violation in self._ledger.verdict()]
        return self._verdict

    def _is_guest(self, user: str, place: str) -> bool:
        return user in self._guests.get(place, frozenset())

    def _take(self, user: str, line: Line) -> None:
        if line.state in SEEN:
            self._placed(user, line)
        if line.own and line.state == "sent":
            self._ledger.acknowledged(line.place, user, line.name)
        elif line.own and not self._is_guest(user, line.place):
            self._verdict.says(
                f"{line.state}: {line.name!r} in {line.place} did not leave {user} ({line.code})"
            )
        elif not line.own and line.state == "received" and not self._is_guest(user, line.place):
            self._ledger.shown(line.place, user, line.sender, line.name)
            self._verdict.checked["deliveries"] += 1
        elif not line.own and line.state != "received" and not self._after_leaving(user, line):
            where = f"{line.place} {line.sequence}"
            self._verdict.says(f"{line.state}: {where} of {line.sender} at {user} ({line.code})")

    def _after_leaving(self, user: str, line: Line) -> bool:
        """Whether a guest who has said goodbye is still brought something: it is kept, and not shown."""
        return (line.state, line.code) == ("not_shown", "left") and self._is_guest(user, line.place)

    def _placed(self, user: str, line: Line) -> None:
        what = (line.sender, line.name)
        before = self._by_place.setdefault(line.place, {}).setdefault(line.sequence, what)
        if before != what:
            self._verdict.says(
                f"not one log: {line.place} {line.sequence} is {before} and, at {user}, {what}"
            )

    def _in_order(self, user: str, story: Story) -> None:
        last: dict[str, int] = {}
        for line in story.lines:
            if line.own or line.state not in SEEN:
                continue
            if line.sequence <= last.get(line.place, 0):
                self._verdict.says(f"not in the log's order: {line.place} {line.sequence} at {user}")
            last[line.place] = line.sequence

    def _as_told(self, user: str, story: Story, told: Counter[int]) -> None:
        """What was shown is in the store, and was shown once."""
        kept = {line.local_id for line in story.lines if not line.own}
        for local_id, times in told.items():
            if times > 1:
                self._verdict.says(f"told {times} times: message {local_id} at {user}")
            if local_id not in kept:
                self._verdict.says(f"told and not kept: message {local_id} at {user}")

    def _guest(self, user: str, story: Story, stays: Stays) -> None:
        seen: dict[str, list[int]] = {}
        for line in story.lines:
            if not line.own and (line.state == "received" or self._after_leaving(user, line)):
                seen.setdefault(line.place, []).append(line.sequence)
        for place in story.places:
            if self._is_guest(user, place.name):
                were = stays.get((place.group, user), {})
                due = [sequence for sequence in self._said(place.name, user) if _within(sequence, were)]
                had = seen.get(place.name, [])
                self._verdict.checked["deliveries to guests"] += len(had)
                if had != due:
                    lost, more = sorted(set(due) - set(had)), sorted(set(had) - set(due))
                    text = (
                        f"{place.name} at {user}: lost {lost[:9]}, unexpected {more[:9]}, stays {dict(were)}"
                    )
                    self._verdict.says(f"guest: {len(lost)} lost, {len(more)} unexpected: {text}")

    def _said(self, place: str, but: str) -> list[int]:
        said = self._by_place.get(place, {})
        return sorted(sequence for sequence, (sender, _) in said.items() if sender != but)

    def _agree(self, stories: Mapping[str, Story]) -> None:
        for user, story in stories.items():
            for place in story.places:
                if place.held:
                    self._verdict.says(f"held: {place.name} at {user}: {place.held}")
                if place.state != "joined" and not self._is_guest(user, place.name):
                    self._verdict.says(f"{place.state}: {place.name} at {user}")
        codes = epochs_of(stories)
        self._verdict.checked["groups"] = len(codes)
        for group, those in codes.items():
            if len(those) > 1:
                apart = {f"epoch {epoch}": users for (epoch, _), users in those.items()}
                self._verdict.says(f"apart in group {group.hex()[:8]}: {apart}")


def epochs_of(stories: Mapping[str, Story]) -> dict[bytes, dict[tuple[int, str], list[str]]]:
    """Who is in which epoch of each group, by its number and its secrets."""
    codes: dict[bytes, dict[tuple[int, str], list[str]]] = {}
    for user, story in stories.items():
        for place in story.places:
            if place.state == "joined":
                codes.setdefault(place.group, {}).setdefault((place.epoch, place.code), []).append(user)
    return codes


def _within(sequence: int, stays: Mapping[int, int | None]) -> bool:
    return any(start <= sequence and (end is None or sequence <= end) for start, end in stays.items())
