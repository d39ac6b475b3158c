"""Who gets in and who gives way when strangers are many (O-01): counting, checked against a slow model."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.server.budget import Budget, Room, Stage, source_of
from securechat.server.config import Connections

CAPS = Connections(total=8, before_login=5, before_login_per_address=3)


def filled(*sources: str, caps: Connections = CAPS) -> Budget[int]:
    """A budget into which these came; guests are numbered from 0."""
    budget: Budget[int] = Budget(caps)
    for guest, source in enumerate(sources):
        assert budget.judge(source) == Room()
        budget.enter(source, guest)
    return budget


def test_below_the_caps_everybody_comes_in() -> None:
    budget = filled("a", "a", "b", "c")
    assert (len(budget), budget.strangers, budget.sources) == (4, 4, 3)
    assert budget.judge("d") == Room()


def test_an_address_with_too_many_loses_its_own_oldest() -> None:
    budget = filled("b", "a", "a", "a")
    assert budget.judge("a") == Room("address", leaves=1)
    assert budget.judge("b") == Room()


def test_where_strangers_are_too_many_the_address_with_most_gives_way() -> None:
    budget = filled("b", "c", "a", "a", "d")
    assert budget.judge("e") == Room("strangers", leaves=2)


def test_the_stage_at_which_most_stand_gives_way() -> None:
    budget = filled("a", "b", "c", "d", "e")
    for guest, stage in ((0, Stage.SECURED), (1, Stage.SPEAKING), (2, Stage.SPEAKING), (3, Stage.SPEAKING)):
        budget.advance(guest, stage)
    assert budget.judge("new") == Room("strangers", leaves=1)
    budget.advance(1, Stage.SECURED)
    budget.advance(2, Stage.SECURED)
    assert budget.judge("new") == Room("strangers", leaves=0)


def test_a_newcomer_outlives_a_pool_full_of_half_finished_handshakes() -> None:
    caps = Connections(total=200, before_login=100, before_login_per_address=3)
    budget = filled(*(f"bot{number}" for number in range(100)), caps=caps)
    for guest in range(100):
        budget.advance(guest, Stage.SPEAKING)
    for newcomer in range(100, 150):
        room = budget.judge(f"new{newcomer}")
        assert room.leaves == newcomer - 100, "the oldest of the crowd goes, whoever has just come stays"
        budget.leave(newcomer - 100)
        budget.enter(f"new{newcomer}", newcomer)


def test_of_one_address_the_oldest_of_its_largest_stage_goes() -> None:
    budget = filled("a", "a", "a")
    budget.advance(0, Stage.SECURED)
    assert budget.judge("a") == Room("address", leaves=1)


def test_who_has_logged_in_gives_way_to_nobody() -> None:
    budget = filled("a", "a", "a", "b", "c")
    for guest in range(5):
        budget.admit(guest)
    assert (len(budget), budget.strangers) == (5, 0)
    for guest in (5, 6, 7):
        assert budget.judge("a") == Room()
        budget.enter("a", guest)
        budget.admit(guest)
    room = budget.judge("z")
    assert room == Room("total")
    assert room.refused


def test_at_the_cap_on_all_a_stranger_gives_way() -> None:
    budget = filled("a", "a", "b", caps=Connections(total=3, before_login=5, before_login_per_address=3))
    budget.admit(0)
    assert budget.judge("c") == Room("total", leaves=2), "of equals who has stood there longest"


def test_leaving_twice_or_advancing_afterwards_does_nothing() -> None:
    budget = filled("a")
    budget.leave(0)
    budget.leave(0)
    budget.advance(0, Stage.SECURED)
    budget.admit(0)
    assert (len(budget), budget.strangers, budget.sources, budget.expendable()) == (0, 0, 0, None)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_ipv4_counts_by_address_and_ipv6_by_its_64(one: str, other: str, *, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


class Slow:
    """The same rules, looked up anew each time."""

    def __init__(self) -> None:
        self.guests: dict[int, tuple[str, Stage] | None] = {}

    def strangers(self) -> dict[int, tuple[str, Stage]]:
        return {guest: where for guest, where in self.guests.items() if where is not None}

    def count(self, source: str) -> int:
        return sum(where[0] == source for where in self.strangers().values())

    def judge(self, source: str, leaves: int | None) -> bool:
        """Whether it was right that ``leaves`` goes for a newcomer."""
        strangers = self.strangers()
        own = self.count(source) >= CAPS.before_login_per_address
        if not own and len(strangers) < CAPS.before_login and len(self.guests) < CAPS.total:
            return leaves is None
        if leaves is None:
            return not strangers
        place, _ = strangers[leaves]
        most = max(map(self.count, {where[0] for where in strangers.values()}))
        if place != source if own else self.count(place) != most:
            return False
        everybody = not own and most == 1
        those = [guest for guest, where in strangers.items() if everybody or where[0] == place]
        return strangers[leaves][1] in self.crowded(those)

    def crowded(self, guests: list[int]) -> list[Stage]:
        """The stages at which most of these stand."""
        counts = Counter(self.strangers()[guest][1] for guest in guests)
        return [stage for stage, count in counts.items() if count == max(counts.values())]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("abcd"), st.just(Stage.SILENT)),
        st.tuples(st.sampled_from(["advance", "admit", "leave"]), st.integers(0, 30), st.sampled_from(Stage)),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_the_right_one_goes_and_the_counts_hold(
    steps: list[tuple[str, str | int, Stage]],
) -> None:
    budget, slow, numbers = Budget[int](CAPS), Slow(), itertools.count()
    for what, who, stage in steps:
        if isinstance(who, str):
            room = budget.judge(who)
            assert slow.judge(who, room.leaves)
            if room.refused:
                continue
            if room.leaves is not None:
                budget.leave(room.leaves)
                del slow.guests[room.leaves]
            guest = next(numbers)
            budget.enter(who, guest)
            slow.guests[guest] = (who, stage)
        elif who in slow.guests:
            where = slow.guests[who]
            if what == "leave":
                budget.leave(who)
                del slow.guests[who]
            elif what == "admit":
                budget.admit(who)
                slow.guests[who] = None
            elif where is not None:
                budget.advance(who, stage)
                slow.guests[who] = (where[0], stage)
        assert len(budget) == len(slow.guests) <= CAPS.total
        assert budget.strangers == len(slow.strangers()) <= CAPS.before_login
        assert budget.sources == len({where[0] for where in slow.strangers().values()})
    for guest in slow.guests:
        budget.leave(guest)
    assert (budget._guests, budget._sources, budget._ranks) == ({}, {}, {}), "nothing is left of who was here"
