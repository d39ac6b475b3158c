"""Two hundred lives with a lie in each: all honest members agree in the end, or have said why not."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Final

import pytest

from securechat.client import forks, incoming, log_chain, log_ends, sync
from securechat.client.anchor import Anchor
from securechat.client.events import Standing
from securechat.client.records import ConversationRecord
from tests.scenarios.simulation.evil import STORIES
from tests.scenarios.simulation.run import Outcome, run

SEEDS: Final = 200

UNSEEN: Final = frozenset({"nothing", "push again", "withhold pushes"})
"""Stories of which nobody needs to be told: no lie of them gets so far."""

FIRST: Final = 231
ENOUGH: Final = 24
"""The seeds within which a check that is not there has to be missed; of some it takes one life in twelve."""


def played(story: str, count: int) -> list[Outcome]:
    """Play the first seeds of a story."""
    first = list(STORIES).index(story)
    return [run(first + number * len(STORIES)) for number in range(count)]


@pytest.mark.parametrize("story", STORIES)
def test_whatever_is_lied_all_honest_members_agree_or_have_said_why_not(story: str) -> None:
    """M-09, M-10, M-15, D-06."""
    outcomes = played(story, len(range(list(STORIES).index(story), SEEDS, len(STORIES))))

    assert not [outcome.report() for outcome in outcomes if outcome.wrong]
    assert any(outcome.happened for outcome in outcomes)
    assert story in UNSEEN or any(outcome.noticed for outcome in outcomes)


def test_a_seed_plays_the_same_life_wherever_it_is_played() -> None:
    """Whatever order the other process has its sets in."""
    command = [sys.executable, "-m", "tests.scenarios.simulation", "--count", "1", "--seed", "3", "--trace"]
    others = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}

    here = run(3)
    there = subprocess.run(command, capture_output=True, text=True, check=False, env=others)

    assert run(3) == here
    assert there.stdout.startswith(here.report() + "\n")


def without_claims(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_chain, "agrees", lambda *_: True)


def without_ends(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(log_ends, "differing", lambda *_: [])


def without_doubts_of_what_does_not_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(incoming, "_is_of_another_log", lambda _: False)


def without_codes_from_elsewhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forks, "judge", lambda _change, _groups, record: record)


def without_regard_to_holds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConversationRecord, "may_send", property(lambda own: own.state is Standing.JOINED))


def without_rejoining(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        pass

    patch.setattr(sync.Syncer, "_resync", nothing)


def without_a_second_look(patch: pytest.MonkeyPatch) -> None:
    """Whatever has no place in our log any more is not looked for."""

    def nothing(*_: object) -> None:
        pass

    patch.setattr(Anchor, "note_gone_back", nothing)


Disabled = Callable[[pytest.MonkeyPatch], None]

MISSED: Final[tuple[tuple[Disabled, str, str], ...]] = (
    (without_claims, "reorder", "goes on in #team although"),
    (without_claims, "withhold", "goes on in #team although"),
    (without_ends, "withhold the end", "ended otherwise"),
    (without_doubts_of_what_does_not_open, "equivocate", "goes on in #team although"),
    (without_doubts_of_what_does_not_open, "flip", "sealed to #team after evidence"),
    (without_codes_from_elsewhere, "part", "parted unseen"),
    (without_regard_to_holds, "false claims", "which is held"),
    (without_rejoining, "bad path", "has not come back"),
    (without_a_second_look, "orphan Welcome", "still wants in #team"),
)


@pytest.mark.parametrize(("disable", "story", "said"), MISSED)
def test_a_check_that_is_not_there_is_missed(
    monkeypatch: pytest.MonkeyPatch, disable: Disabled, story: str, said: str
) -> None:
    disable(monkeypatch)

    wrong: list[str] = []
    for seed in range(FIRST, FIRST + ENOUGH):
        wrong += run(seed, story).wrong
        if any(said in each for each in wrong):
            break

    assert any(said in each for each in wrong), wrong
