"""A server that lets everything pass, and members that use it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from securechat.client import planner, talk, work
from securechat.client.events import Standing
from securechat.client.intents import Intent, What
from securechat.client.people import user_of
from securechat.client.planner import Planner
from securechat.client.records import ConversationRecord
from securechat.client.talk import Talk
from securechat.membership.judge import judge as judge_as_it_is
from securechat.membership.room import Room
from securechat.membership.room import may_speak as may_speak_as_it_is
from securechat.membership.verdict import Refusal
from securechat.mls.commit_facts import CommitFacts
from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.server import judging, logbook, ordering
from tests.scenarios.evil import known_by_name
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.world import ROOM

Plan = Callable[[Group], CommitPlan]


@contextmanager
def a_server_that_looks_away() -> Iterator[None]:
    """It takes every commit and every message: no rule of the room is its business."""
    with (
        mock.patch.object(judging, "judge", return_value=None),
        mock.patch.object(judging, "judge_proposal", return_value=None),
        mock.patch.object(judging, "judge_creation", return_value=None),
        mock.patch.object(judging, "_check_lifetimes"),
        mock.patch.object(logbook, "registered_client", known_by_name),
        mock.patch.object(ordering, "take_claimed", return_value=True),
        mock.patch.object(logbook, "may_speak", return_value=True),
        mock.patch.object(ordering, "may_speak", return_value=True),
    ):
        yield


@contextmanager
def ruthless(*names: str) -> Iterator[None]:
    """Have the clients of these people hold themselves to nothing."""
    honest_own = Talk._own

    def judge(facts: CommitFacts, **more: Any) -> Refusal | None:
        return None if user_of(facts.committer_leaf) in names else judge_as_it_is(facts, **more)

    def may_speak(room: Room, user: str) -> bool:
        return user.rpartition("/")[2] in names or may_speak_as_it_is(room, user)

    def own(speaker: Talk, *named: Any) -> Any:
        user = speaker._engine.device.user
        return speaker._found(*named) if user in names else honest_own(speaker, *named)

    with (
        mock.patch.object(planner, "judge", judge),
        mock.patch.object(work, "may_speak", may_speak),
        mock.patch.object(talk, "may_speak", may_speak),
        mock.patch.object(Talk, "_own", own),
    ):
        yield


@contextmanager
def committing(name: str, plan: Plan) -> Iterator[None]:
    """Have the next wish of somebody for fresh keys become another commit."""
    honest = Planner._plan

    def planned(own: Planner, record: ConversationRecord, intent: Intent, group: Group) -> CommitPlan:
        if own.device.user == name and intent.what is What.UPDATE:
            return plan(group)
        return honest(own, record, intent, group)

    with mock.patch.object(Planner, "_plan", planned):
        yield


async def commit(stage: Stage, name: str, plan: Plan, *, room: str = ROOM) -> None:
    """Have somebody commit what they may, and wait until everybody has applied it."""
    epoch = stage.record(name, room).epoch
    inside = [each.name for each in stage.world.members(room)]

    def has_applied(each: str) -> bool:
        record = stage.record(each, room)
        return record.epoch > epoch or record.state is Standing.REMOVED

    with committing(name, plan):
        stage.world.want(name, What.UPDATE, room)
        await stage.until(
            lambda: all(map(has_applied, inside)) or None, lambda: f"{inside} did not all apply it"
        )


@contextmanager
def overstepping(stage: Stage, name: str, plan: Plan, *, room: str = ROOM) -> Iterator[None]:
    """Somebody commits what they may not, and the server lets it pass."""
    stage.world.oracle.evil.add(name)
    with a_server_that_looks_away(), ruthless(name), committing(name, plan):
        stage.world.want(name, What.UPDATE, room)
        yield
