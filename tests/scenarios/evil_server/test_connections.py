"""Logins, answers and farewells that lie (D-06, M-10): what is refused, what is held, what is said of it."""

from typing import Any, Final

import pytest

from securechat.client.errors import RefusedByServer
from securechat.client.events import Connected, MessageReceived
from securechat.protocol.messages import (
    Appended,
    CommitGroup,
    Delivered,
    Entries,
    Entry,
    Fetch,
    Gap,
    Refused,
    SendMessage,
)
from securechat.server.services import Quick
from securechat.server.store.transaction import Transaction
from securechat.server.values import Caller, Decision
from tests.scenarios.evil_server import lies
from tests.scenarios.evil_server.company import TRIO, a_room, talk
from tests.scenarios.evil_server.lies import LATER, VICTIM, Lie, at_login, goodbye, of_where_it_stands
from tests.scenarios.evil_server.stage import Stage, on_stage

FORGED: Final = (
    '\x1b[2J\r\n@alice: all is well\u202e"; the keys of alice have changed; '
    "nothing is sent until you /accept them"
)
"""Control characters, the end of a quotation, and a sentence that is word for word one of ours."""

NAMED: Final[dict[str, tuple[Lie, str]]] = {
    "restored, at every login": (lies.restored_at_every_login, "server_older"),
    "we are said to have asked more than we did": (at_login(high_water=10**6), "conflict"),
    "we are said to have asked without end": (at_login(high_water=1 << 62), "conflict"),
    "we are said never to have asked": (at_login(high_water=0), "server_older"),
    "another century": (at_login(time=LATER), "clock"),
    "wrong passwords": (at_login(failed_logins=77), "failed_logins"),
    "no group of ours is known": (of_where_it_stands(lambda _: []), "server_older"),
    "our logs are shorter than they were": (
        of_where_it_stands(lambda groups: [lies._changed(each, {"head": 1}) for each in groups]),
        "server_older",
    ),
    "what we said has expired unread": (
        of_where_it_stands(lambda groups: [lies._changed(each, {"unread": [(1, 9)]}) for each in groups]),
        "expired_unread",
    ),
    "invitations without end": (lies.with_invitations_to_come, "invitation_expired"),
    "an answer of another kind": (lies.of_another_kind, "disconnected"),
    "an answer to nothing": (lies.unasked, "disconnected"),
    "no frame at all": (lies.unintelligible, "disconnected"),
    "a farewell": (goodbye("stopping", ""), "disconnected"),
}
"""What bob's client is told, and how bob learns of it."""


@pytest.mark.parametrize(("lie", "code"), NAMED.values(), ids=list(NAMED))
@on_stage(*TRIO, after=a_room)
async def test_m_10_what_a_connection_lies_about_is_named(stage: Stage, lie: Lie, code: str) -> None:
    lie(stage, VICTIM)

    await stage.is_told(VICTIM, code)
    await talk(stage)
    shown = [each.message for each in stage.events[VICTIM] if isinstance(each, MessageReceived)]
    assert all(each.text.startswith(each.sender) for each in shown)


@pytest.mark.parametrize(
    "lie", [lies.unasked, lies.unintelligible, goodbye("stopping", "")], ids=["an answer", "bytes", "bye"]
)
@on_stage(*TRIO, after=a_room)
async def test_a_connection_that_ends_so_is_made_anew_and_nothing_is_lost(stage: Stage, lie: Lie) -> None:
    await stage.says("alice", "alice was here")
    lie(stage, VICTIM)
    stage.say(VICTIM, "bob was here")

    await stage.hears(VICTIM, "alice was here")
    await stage.hears("alice", "bob was here")
    await stage.go(5)
    assert [type(each) for each in stage.events[VICTIM]].count(Connected) == 2


@on_stage(VICTIM)
async def test_a_server_that_talks_nonsense_after_each_login_is_asked_less_and_less(stage: Stage) -> None:
    lies.of_another_kind(stage, VICTIM)
    await stage.go()
    await stage.go()

    assert [type(each) for each in stage.events[VICTIM]].count(Connected) < 20


@pytest.mark.parametrize("code", ["stopping", "the keys of alice have changed; /accept them"])
@on_stage(VICTIM)
async def test_p8_a_farewell_is_quoted_and_acts_on_nothing(stage: Stage, code: str) -> None:
    goodbye(code, FORGED)(stage, VICTIM)

    told = await stage.is_told(VICTIM, "disconnected")

    assert "\x1b" not in told.text
    assert 'the server says: "' in told.text
    assert told.text.count('"') == 2
    assert told.text.endswith('"')


@on_stage(VICTIM)
async def test_p8_a_word_that_says_goodbye_is_one_of_ours_or_none(stage: Stage) -> None:
    goodbye("the keys of alice have changed; /accept them", "")(stage, VICTIM)

    assert "/accept" not in (await stage.is_told(VICTIM, "disconnected")).text


@on_stage(*TRIO, after=a_room)
async def test_p8_why_the_server_refuses_is_quoted(stage: Stage) -> None:
    """In no language are its words taken for a sentence of ours."""
    stage.liar(VICTIM).retort(SendMessage, lambda *_: Refused(0, "forbidden", FORGED))
    stage.say(VICTIM, "bob was here")

    told = await stage.is_told(VICTIM, "forbidden")

    assert told.text.startswith('the server says: "')
    assert told.text.count('"') == 2
    assert "\x1b" not in told.text


@on_stage(*TRIO, after=a_room)
async def test_m_10_what_is_said_to_be_in_the_log_and_is_not_is_missed(stage: Stage) -> None:
    """Withheld from everybody: with the next message the others learn that they lack one, and from whom."""
    honest = stage.face.services.named[SendMessage]
    stage.face.services.named[SendMessage] = Quick(_as_if)
    await stage.says(VICTIM, "bob was here")
    stage.face.services.named[SendMessage] = honest
    await stage.says(VICTIM, "bob is here")

    for name in ("alice", "carol"):
        assert "bob" in (await stage.is_told(name, "log_altered")).text


@on_stage(*TRIO, after=a_room)
async def test_answers_that_change_places_are_noticed(stage: Stage) -> None:
    """Two messages on their way: each is told the other's place."""
    places: list[Any] = []

    def exchange(_: SendMessage, answer: Any) -> Any:
        if not isinstance(answer, Appended) or len(places) > 1:
            return answer
        places.append(answer)
        return Appended(answer.sequence + (1 if len(places) == 1 else -1))

    stage.liar(VICTIM).retort(SendMessage, exchange)
    stage.say(VICTIM, "bob was here")
    stage.say(VICTIM, "bob is here")
    await stage.hears("carol", "bob is here")
    await stage.says("alice", "alice was here")

    await stage.is_told(VICTIM, "log_altered")


@on_stage(*TRIO, after=a_room)
async def test_a_log_of_another_group_is_no_answer(stage: Stage) -> None:
    """The log of a conversation of two, where that of the room was asked for."""
    await stage.says(VICTIM, "bob to alice", "@alice")
    await stage.hears("alice", "bob to alice")
    other = stage.group(VICTIM, "@alice")
    room = stage.group(VICTIM)

    def exchange(asked: Fetch, answer: Any) -> Any:
        if asked.group != room or not isinstance(answer, Entries) or not answer.entries:
            return answer
        log = stage.face.log(other)
        entries: list[Entry | Gap] = [
            Entry(each.sequence, kind, each.epoch, each.sender, each.time, body)
            for each, (_, kind, _, _, body) in zip(answer.entries, log[-1:], strict=False)
            if isinstance(each, Entry)
        ]
        return Entries(asked.group, entries, answer.head)

    stage.liar(VICTIM).retort(Fetch, exchange)
    stage.liar(VICTIM).rumour(lambda push: [] if isinstance(push, Delivered) else [push])
    await stage.says("alice", "alice was here")
    stage.liar(VICTIM).cut()

    await stage.is_told(VICTIM, "log_altered")
    assert stage.is_told_nothing("alice")


@on_stage(*TRIO, after=a_room)
async def test_a_change_that_is_said_to_be_refused_and_is_not_is_noticed(stage: Stage) -> None:
    """The log has it: who made it takes it up from there, and enters the group anew."""
    stage.liar("alice").retort(CommitGroup, lambda *_: Refused(0, "refused_commit", FORGED))

    with pytest.raises(RefusedByServer, match=r'^the server says: "[^"]*"$'):
        await stage.client("alice").remove("#team", "carol")
    stage.liar("alice").repent()

    await stage.is_told("alice", "refused_commit")
    await stage.is_told("alice", "rejoined")
    assert stage.members("alice") == stage.members(VICTIM) == ["alice", "bob"]


def _as_if(transaction: Transaction, _caller: Caller, body: SendMessage) -> Decision:
    standing = transaction.log(body.group)
    assert standing is not None
    return Decision(Appended(standing.head + 1))
