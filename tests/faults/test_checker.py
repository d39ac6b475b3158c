"""What the last judgement of a run sees beside the ledger's rules (Q-01, Q-03)."""

from collections import Counter

import msgspec

from tests.faults.checker import Checker, Stays
from tests.faults.ledger import Ledger
from tests.faults.orders import Line, Place, Story

ROOM = "#team"
GROUP = b"group"


def line(sender: str, name: str, sequence: int, *, to: str, state: str = "received") -> Line:
    own = sender == to
    return Line(ROOM, sender, own, name, "sent" if own else state, sequence, sequence, "")


def place(*, state: str = "joined", held: str = "", epoch: int = 3, code: str = "same") -> Place:
    return Place(ROOM, state, held, GROUP, 10, epoch, code, ())


class Three:
    """Alice says three things to bob; carol is a guest."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        names = [self.ledger.says(ROOM, "alice", ["bob"]) for _ in range(3)]
        self.lines = {
            to: [line("alice", name, 2 + number, to=to) for number, name in enumerate(names)]
            for to in ("alice", "bob", "carol")
        }
        self.places = {to: place() for to in self.lines}
        self.told = {to: Counter[int]() for to in self.lines}
        self.stays: Stays = {(GROUP, "carol"): {2: None}}

    def wrong(self) -> list[str]:
        stories = {to: Story(0, tuple(self.lines[to]), (self.places[to],)) for to in self.lines}
        checker = Checker(self.ledger, {ROOM: frozenset({"carol"})})
        return [each.split(":")[0] for each in checker.judge(stories, self.told, self.stays).wrong]


def test_three_who_have_the_same_are_right() -> None:
    assert Three().wrong() == []


def test_a_guest_has_exactly_what_was_said_during_its_stays() -> None:
    three = Three()
    three.stays = {(GROUP, "carol"): {2: 2, 4: None}}
    assert three.wrong() == ["guest"]
    del three.lines["carol"][1]
    three.ledger = Three().ledger
    assert three.wrong() == []


def test_a_guest_who_lacks_something_is_seen() -> None:
    three = Three()
    del three.lines["carol"][1]
    assert three.wrong() == ["guest"]


def test_another_message_at_the_same_place_of_the_log_is_seen() -> None:
    three = Three()
    three.lines["carol"][1] = line("alice", "alice 7", 3, to="carol")
    assert three.wrong() == ["not one log"]


def test_what_stands_in_another_order_than_the_log_is_seen() -> None:
    three = Three()
    three.lines["carol"].reverse()
    assert three.wrong() == ["not in the log's order", "not in the log's order", "guest"]


def test_what_cannot_be_read_is_seen() -> None:
    three = Three()
    three.lines["bob"][1] = line("alice", "", 3, to="bob", state="unreadable")
    assert three.wrong() == ["unreadable", "lost"]


def test_what_did_not_leave_is_seen() -> None:
    three = Three()
    three.lines["alice"][2] = Line(
        ROOM, "alice", own=True, name="alice 2", state="queued", sequence=0, local_id=9, code=""
    )
    assert three.wrong() == ["queued"]


def test_what_was_told_twice_or_told_and_not_kept_is_seen() -> None:
    three = Three()
    three.told["bob"].update([2, 2, 99])
    assert three.wrong() == ["told 2 times", "told and not kept"]


def test_members_in_different_epochs_or_with_different_secrets_are_seen() -> None:
    three = Three()
    three.places["bob"] = place(code="other")
    assert three.wrong() == ["apart in group 67726f75"]
    three = Three()
    three.places["bob"] = place(epoch=4)
    assert three.wrong() == ["apart in group 67726f75"]


def test_a_conversation_that_is_held_or_left_by_one_who_stays_is_seen() -> None:
    three = Three()
    three.places["bob"] = place(held="log_altered")
    assert three.wrong() == ["held"]
    three = Three()
    three.places["bob"] = place(state="removed")
    assert three.wrong() == ["removed"]


def test_what_is_brought_to_a_guest_who_has_said_goodbye_is_not_shown_and_not_lost() -> None:
    three = Three()
    last = three.lines["carol"][2]
    three.lines["carol"][2] = msgspec.structs.replace(last, state="not_shown", code="left")
    assert three.wrong() == []
    three = Three()
    three.lines["bob"][2] = msgspec.structs.replace(last, state="not_shown", code="left")
    assert three.wrong() == ["not_shown", "lost"]
