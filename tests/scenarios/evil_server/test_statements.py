"""The server lies about which devices an account lists (D-02, D-03): no list but the account's own is taken.

Alice has a laptop and a phone, which is never switched on; bob knows both.
"""

from typing import Any, Final

import pytest
from msgspec.structs import replace

from securechat.client import statements
from securechat.client.people import client_of
from securechat.protocol.messages import (
    AccountChanged,
    ChangedAccounts,
    ClaimedKeyPackage,
    ClaimedKeyPackages,
    ClaimKeyPackages,
    GetChangedAccounts,
    GetStatements,
)
from tests.scenarios.evil_server import lists
from tests.scenarios.evil_server.accounts import add_a_phone, phone_of, revoke, statement_of
from tests.scenarios.evil_server.company import TRIO, a_room
from tests.scenarios.evil_server.ghosts import GHOST, made_up
from tests.scenarios.evil_server.lies import VICTIM, withholding
from tests.scenarios.evil_server.lists import SHOWN, Shown, showing
from tests.scenarios.evil_server.stage import Stage, on_stage


async def with_a_phone(stage: Stage) -> None:
    await a_room(stage)
    await add_a_phone(stage, "alice")
    await stage.until(lambda: serial(stage, VICTIM) == 2 or None)


def devices_in(stage: Stage, name: str) -> set[str]:
    public = stage.engine(name).groups.public(stage.person(name).store.db, stage.record(name).id)
    assert public is not None
    return {client_of(leaf) for _, leaf in public.tree.leaves()}


def serial(stage: Stage, name: str) -> int:
    return statements.known_serial(stage.person(name).store.db, "alice")


@pytest.mark.parametrize(("shown", "code"), SHOWN.values(), ids=list(SHOWN))
@on_stage(*TRIO, after=with_a_phone)
async def test_d_03_a_list_of_devices_that_is_not_the_accounts_is_not_taken(
    stage: Stage, shown: Shown, code: str
) -> None:
    showing(stage, VICTIM, "alice", shown)
    stage.liar(VICTIM).say(AccountChanged("alice", 3))

    told = await stage.is_told(VICTIM, code)

    assert "alice" in told.text
    assert serial(stage, VICTIM) == 2
    sealed = stage.seals.messages
    stage.say(VICTIM, "bob is not heard")
    await stage.go(5)
    assert stage.seals.messages == sealed or code == "identity_changed"


@on_stage(*TRIO, after=with_a_phone)
async def test_d_02_a_revocation_that_is_withheld_comes_with_the_commit_that_carries_it_out(
    stage: Stage,
) -> None:
    """Nothing of it is shown to bob: whoever takes the device out brings the evidence with them."""
    liar = stage.liar(VICTIM)
    showing(stage, VICTIM, "alice", lambda _, __, answer: answer.statements[:1])
    liar.retort(GetChangedAccounts, lambda _, answer: replace(answer, accounts=[]))
    liar.rumour(lambda push: [] if isinstance(push, AccountChanged) else [push])

    phone = phone_of(stage, "alice")
    await revoke(stage, "alice", phone)

    await stage.until(lambda: serial(stage, VICTIM) == 3 or None)
    await stage.until(lambda: phone not in devices_in(stage, VICTIM) or None)
    await stage.says(VICTIM, "bob was here")
    await stage.hears("alice", "bob was here")


@on_stage(*TRIO, after=with_a_phone)
async def test_d_02_a_revocation_that_is_withheld_with_all_that_carries_it_out_is_noticed(
    stage: Stage,
) -> None:
    """Neither the statement nor the change of the group reaches bob: the log that he is told has a hole."""
    liar = stage.liar(VICTIM)
    showing(stage, VICTIM, "alice", lambda _, __, answer: answer.statements[:1])
    liar.retort(GetChangedAccounts, lambda _, answer: replace(answer, accounts=[]))
    liar.rumour(lambda push: [] if isinstance(push, AccountChanged) else [push])
    withholding("commit")(stage, VICTIM)

    phone = phone_of(stage, "alice")
    await revoke(stage, "alice", phone)
    await stage.until(lambda: phone not in devices_in(stage, "carol") or None)
    stage.say("carol", "carol was here")

    await stage.is_told(VICTIM, "log_withheld")
    sealed = stage.seals.messages
    stage.say(VICTIM, "bob is not heard")
    await stage.go(5)
    assert stage.seals.messages == sealed


@on_stage(*TRIO, after=with_a_phone)
async def test_d_03_a_device_that_is_off_the_list_is_not_let_in(stage: Stage) -> None:
    """The server hands out keys of a device of its own under the account's name, and shows the true list."""
    ghost = ClaimedKeyPackage(GHOST, made_up(stage, "alice", key=stage.person("alice").keys.account_key))
    stage.liar("carol").retort(
        ClaimKeyPackages, lambda asked, answer: ClaimedKeyPackages(asked.user, [*answer.packages, ghost])
    )
    stage.say("carol", "for alice alone", "@alice")

    await stage.is_told("carol", "untrusted_keys")
    assert stage.seals.commits == 0


OWN: Final[dict[str, Shown]] = {
    "none": lists.none,
    "another's": lists.anothers,
    "nothing of any sense": lists.of_no_sense,
}


@pytest.mark.parametrize("shown", OWN.values(), ids=list(OWN))
@on_stage(*TRIO, after=with_a_phone)
async def test_d_03_another_list_of_ones_own_devices_is_told_to_their_owner(
    stage: Stage, shown: Shown
) -> None:
    before = statement_of(stage, VICTIM)
    showing(stage, VICTIM, VICTIM, shown)
    stage.liar(VICTIM).cut()

    await stage.until(
        lambda: [each for each in stage.told.get(VICTIM, []) if "your own devices" in each.text] or None
    )
    assert statement_of(stage, VICTIM) == before


@on_stage(*TRIO, after=with_a_phone)
async def test_a_list_without_an_end_is_given_up(stage: Stage) -> None:
    stage.liar(VICTIM).retort(GetStatements, lambda _, answer: replace(answer, more=True))
    stage.liar(VICTIM).say(AccountChanged("alice", 3))

    told = await stage.is_told(VICTIM, "internal")

    assert "no end" in told.text


@on_stage(*TRIO, after=with_a_phone)
async def test_changes_without_an_end_are_not_asked_for_without_end(stage: Stage) -> None:
    asked: list[int] = []

    def more(_: Any, answer: ChangedAccounts) -> ChangedAccounts:
        asked.append(answer.head)
        return replace(answer, more=True)

    stage.liar(VICTIM).retort(GetChangedAccounts, more)
    stage.liar(VICTIM).cut()
    await stage.go()

    assert len(asked) < 10
