"""The server says the same again and again, or speaks of people nobody has met: it is asked little (O-05)."""

from collections import Counter
from typing import Any, Final

import pytest

from securechat.protocol.messages import (
    AccountChanged,
    ChangedAccount,
    ChangedAccounts,
    GetChangedAccounts,
    GetStatements,
    LinksChanged,
    RequestBody,
    ServerFrame,
)
from tests.scenarios.evil_server.company import TRIO, a_room
from tests.scenarios.evil_server.lies import VICTIM
from tests.scenarios.evil_server.stage import Stage, on_stage
from tests.scenarios.simulation.people import NAMES

MANY: Final = 60


def asking(stage: Stage) -> Counter[str]:
    """Count what bob's client asks from here on."""
    asked: Counter[str] = Counter()

    def hear(body: RequestBody) -> bool:
        asked[getattr(body, "user", "") or type(body).__name__] += 1
        return False

    stage.liar(VICTIM).ignore(hear)
    return asked


FLOODS: Final[dict[str, list[ServerFrame]]] = {
    "there is news of somebody known": [AccountChanged("alice", 9)] * MANY,
    "there is news of people who are here and were never met": [
        AccountChanged(user, 9) for user in ("dave", "mallory") for _ in range(MANY)
    ],
    "there is news of people who are nowhere": [AccountChanged(f"zoe{n}", 9) for n in range(MANY)],
    "a new device asks": [LinksChanged()] * MANY,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=list(FLOODS))
@on_stage(*NAMES, after=a_room)
async def test_o_05_what_is_said_many_times_is_asked_for_a_few(
    stage: Stage, flood: list[ServerFrame]
) -> None:
    known = stage.person(VICTIM).store.db.execute("SELECT count(*) FROM statement").get
    asked = asking(stage)

    stage.liar(VICTIM).say(*flood)
    await stage.go(5)

    assert sum(asked.values()) < MANY / 4
    assert not {"dave", "mallory", "zoe1"} & set(asked)
    assert stage.person(VICTIM).store.db.execute("SELECT count(*) FROM statement").get == known
    await stage.says("alice", "alice was here")
    await stage.hears(VICTIM, "alice was here")


@on_stage(*TRIO, after=a_room)
async def test_o_05_changes_that_go_on_and_on_keep_nobody_from_what_was_said(stage: Stage) -> None:
    asked = asking(stage)

    def more(question: GetChangedAccounts, _: Any) -> ChangedAccounts:
        return ChangedAccounts([ChangedAccount(f"zoe{question.after}", 3)], question.after + 1, more=True)

    stage.liar(VICTIM).retort(GetChangedAccounts, more)
    stage.liar(VICTIM).cut()
    await stage.says("alice", "alice was here")

    await stage.hears(VICTIM, "alice was here")
    assert asked[GetChangedAccounts.__name__] <= 64
    assert GetStatements.__name__ not in asked
    assert not [user for user in asked if user.startswith("zoe")]
