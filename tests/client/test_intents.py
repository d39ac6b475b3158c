"""Intents outlive the commits that were made for them."""

from pathlib import Path

import pytest

from securechat.client import intents, records
from securechat.client.change import Changes
from securechat.client.events import Kind, Standing
from securechat.client.intents import Step, What
from securechat.client.planner import ELSEWHERE, LEAVE_TOGETHER, STEPS, ready
from securechat.client.records import ConversationRecord
from tests.client.parts import NOW, a_store, changes_of


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


@pytest.fixture
def room(changes: Changes) -> ConversationRecord:
    with changes.change() as change:
        return records.insert(change.db, name="#team", kind=Kind.ROOM, state=Standing.JOINED, room="r")


def one(changes: Changes, room: ConversationRecord) -> intents.Intent:
    (found,) = intents.of(changes.db, room.id)
    return found


def test_an_intent_that_is_there_is_not_formed_twice(changes: Changes, room: ConversationRecord) -> None:
    with changes.change() as change:
        first = intents.add_once(change.db, room.id, What.ADD, subject="bob")
        again = intents.add_once(change.db, room.id, What.ADD, subject="bob")
        other = intents.add_once(change.db, room.id, What.ADD, subject="carol")

    assert first == again != other


def test_after_a_lost_race_it_waits_a_moment_and_keeps_its_key_packages(
    changes: Changes, room: ConversationRecord
) -> None:
    with changes.change() as change:
        number = intents.add(change.db, room.id, What.ADD, subject="bob")
        intents.step_to(change.db, number, Step.CLAIMED, packages=b"claimed")
        intents.step_to(change.db, number, Step.SENT)
    with changes.change() as change:
        intents.again(change.db, one(changes, room), now=NOW)

    after = one(changes, room)
    assert (after.step, after.packages, after.attempts) == (Step.CLAIMED, b"claimed", 1)
    assert NOW * 1000 <= after.not_before <= (NOW + intents.RETRY_LONGEST) * 1000


def test_without_key_packages_it_starts_over(changes: Changes, room: ConversationRecord) -> None:
    with changes.change() as change:
        number = intents.add(change.db, room.id, What.UPDATE)
        intents.step_to(change.db, number, Step.SENT)
    with changes.change() as change:
        intents.again(change.db, one(changes, room), now=NOW)

    assert one(changes, room).step is Step.WANTED


@pytest.mark.parametrize("attempts", [0, 3, 50])
def test_the_wait_is_never_longer_than_its_limit(
    changes: Changes, room: ConversationRecord, attempts: int
) -> None:
    with changes.change() as change:
        intents.add(change.db, room.id, What.UPDATE)
        change.db.execute("UPDATE intent SET attempts = ?", (attempts,))
    for _ in range(20):
        with changes.change() as change:
            intents.again(change.db, one(changes, room), now=NOW)
        assert one(changes, room).not_before <= (NOW + intents.RETRY_LONGEST) * 1000


def made(what: What, step: Step) -> intents.Intent:
    return intents.Intent(1, 1, what, "", step, b"", 0, 0)


def standing(room: ConversationRecord, state: Standing, *, held: bool = False) -> ConversationRecord:
    fields = {name: getattr(room, name) for name in room.__struct_fields__}
    return ConversationRecord(**(fields | {"state": state, "held_code": "identity_changed" if held else ""}))


@pytest.mark.parametrize("what", What)
@pytest.mark.parametrize("step", Step)
def test_what_waits_for_an_answer_is_not_carried_out(
    room: ConversationRecord, what: What, step: Step
) -> None:
    does_something = (what, step) in {*STEPS, *ELSEWHERE}
    opening = what in (What.OPEN, What.CREATE)

    state = Standing.OPENING if opening else Standing.JOINED
    assert ready(standing(room, state), made(what, step)) == does_something


@pytest.mark.parametrize("what", What)
def test_until_one_has_joined_only_declining_is_possible(room: ConversationRecord, what: What) -> None:
    ready_ones = ready(standing(room, Standing.INVITED), made(what, Step.WANTED))

    assert ready_ones == (what is What.LEAVE)


@pytest.mark.parametrize("what", What)
@pytest.mark.parametrize("state", [Standing.LEFT, Standing.REMOVED])
def test_who_is_out_does_nothing_to_the_group(room: ConversationRecord, what: What, state: Standing) -> None:
    asks_again = what is What.LEAVE and state is Standing.LEFT  # where a restored server has lost it
    assert ready(standing(room, state), made(what, Step.WANTED)) == asks_again


@pytest.mark.parametrize("what", sorted(set(What) - {What.OPEN, What.CREATE}))
def test_a_held_group_may_be_left_and_mended_only(room: ConversationRecord, what: What) -> None:
    assert ready(standing(room, Standing.JOINED, held=True), made(what, Step.WANTED)) == (
        what in LEAVE_TOGETHER
    )


@pytest.mark.parametrize(
    ("not_before", "waits"),
    [(0, 0.0), (NOW * 1000, 0.0), (NOW * 1000 + 2500, 2.5), ((NOW + 3600) * 1000, 0.0), (2**62, 0.0)],
)
def test_c_06_a_wait_that_a_clock_set_back_made_longer_than_any_is_over(
    not_before: int, waits: float
) -> None:
    intent = intents.Intent(1, 1, What.ADD, "bob", Step.WANTED, b"", attempts=0, not_before=not_before)
    assert intent.waits(float(NOW)) == waits
