"""A server that is there, and gives nothing: no answers, never time, nothing of what it says (M-10)."""

from typing import Any, Final

import pytest

from securechat.protocol.messages import (
    CreateGroup,
    Fetch,
    FetchInbox,
    GetChangedAccounts,
    GetStatements,
    Refused,
    SendMessage,
    Sync,
)
from tests.scenarios.evil_server.company import TRIO, a_room
from tests.scenarios.evil_server.lies import VICTIM, Lie, never_answering, never_with_time
from tests.scenarios.evil_server.stage import Stage, on_stage

WITHHOLDING: Final[dict[str, Lie]] = {
    "no answer about accounts": never_answering(GetStatements),
    "no answer about changes of them": never_answering(GetChangedAccounts),
    "no answer about where the logs stand": never_answering(Sync),
    "no answer about invitations": never_answering(FetchInbox),
    "never time for changes of accounts": never_with_time(GetChangedAccounts),
    "never time for where the logs stand": never_with_time(Sync),
    "never time for invitations": never_with_time(FetchInbox),
}


@pytest.mark.parametrize("lie", WITHHOLDING.values(), ids=list(WITHHOLDING))
@on_stage(*TRIO, after=a_room)
async def test_m_10_a_server_that_is_there_and_answers_nothing_is_named(stage: Stage, lie: Lie) -> None:
    lie(stage, VICTIM)

    await stage.is_told(VICTIM, "unanswered")
    assert [each.code for each in stage.told[VICTIM]].count("unanswered") == 1
    stage.liar(VICTIM).repent()
    stage.liar(VICTIM).cut()
    await stage.says("alice", "alice was here")
    await stage.hears(VICTIM, "alice was here")


@on_stage(*TRIO, after=a_room)
async def test_m_10_a_log_that_there_is_never_time_for_is_named(stage: Stage) -> None:
    stage.liar(VICTIM).rumour(lambda _: [])
    await stage.says("alice", "alice was here")
    never_with_time(Fetch)(stage, VICTIM)

    await stage.is_told(VICTIM, "log_withheld")
    stage.liar(VICTIM).repent()
    await stage.hears(VICTIM, "alice was here")


@on_stage(*TRIO, after=a_room)
async def test_m_10_a_conversation_that_is_said_to_be_there_and_is_not_shown_is_named(stage: Stage) -> None:
    stage.liar(VICTIM).retort(CreateGroup, lambda *_: Refused(0, "exists", ""))
    stage.say(VICTIM, "for carol alone", "@carol")

    told = await stage.is_told(VICTIM, "log_withheld")

    assert (told.conversation, "carol" in told.text) == ("", True)
    await stage.go(40)
    assert [each.code for each in stage.told[VICTIM]].count("log_withheld") == 1
    assert stage.client(VICTIM).status().queued == 1


@on_stage(*TRIO, after=a_room)
async def test_o_05_what_is_refused_without_end_is_given_back(stage: Stage) -> None:
    """As if the group had always gone on just before, although the log has the message."""
    asked: list[SendMessage] = []

    def late(question: SendMessage, true: Any) -> Refused:
        asked.append(question)
        return Refused(0, "stale_epoch", "", getattr(true, "sequence", 0))

    stage.liar(VICTIM).retort(SendMessage, late)
    stage.say(VICTIM, "bob was here")

    await stage.is_told(VICTIM, "stale_epoch")
    await stage.go(20)
    assert len(asked) == 32
