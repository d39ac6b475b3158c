"""The log is told otherwise to one of three (M-10, M-11, Q-06): no text is wrong, and the lie is named."""

from hashlib import sha256
from typing import Final

import pytest

from securechat.client.events import MessageReceived
from tests.scenarios.evil_server import lies
from tests.scenarios.evil_server.company import TRIO, a_room, talk
from tests.scenarios.evil_server.lies import LATER, VICTIM, Lie, in_the_log, of_messages, withholding
from tests.scenarios.evil_server.stage import Stage, on_stage

NAMED: Final[dict[str, tuple[Lie, str]]] = {
    "a message is kept back": (withholding("message"), "log_withheld"),
    "a message is kept back, and none seems to be missing": (lies.closing_up, "log_altered"),
    "a change of the group is kept back": (withholding("commit"), "log_withheld"),
    "two messages change places": (lies.exchanging, "log_altered"),
    "a message is told twice": (lies.repeating, "generation_used"),
    "a message is altered": (of_messages(body=lies.flipped), "aead"),
    "a message is empty": (of_messages(body=b""), "decodeerror"),
    "a message is told of an earlier epoch": (of_messages(epoch=lambda e: e.epoch - 1), "wrong_epoch"),
    "a message is told of a later epoch": (of_messages(epoch=lambda e: e.epoch + 1), "missing_commit"),
    "a message is called a commit": (of_messages(kind="commit"), "invalid_entry"),
    "a message is called a proposal": (of_messages(kind="proposal"), "invalid_entry"),
    "an entry of a kind there is none of": (of_messages(kind="system"), "invalid_entry"),
    "a message of the far future": (of_messages(time=LATER), "wrong_time"),
    "a message of long ago": (of_messages(time=lies.long_ago), "wrong_time"),
    "bytes that are not given": (lies.of_other_bytes, "log_withheld"),
    "what was just said has expired": (
        lies.said_to_have_expired(lambda e: sha256(e.body).digest()),
        "expired",
    ),
    "what has expired was something else": (lies.said_to_have_expired(lambda _: bytes(32)), "log_altered"),
}
"""What bob is told of the log, and the code by which he learns of it."""


@pytest.mark.parametrize(("lie", "code"), NAMED.values(), ids=list(NAMED))
@on_stage(*TRIO, after=a_room)
async def test_m_10_a_log_that_is_told_otherwise_is_named(stage: Stage, lie: Lie, code: str) -> None:
    lie(stage, VICTIM)
    await talk(stage)

    await stage.is_told(VICTIM, code)
    shown = [each.message for each in stage.events[VICTIM] if isinstance(each, MessageReceived)]
    assert all(each.text.startswith(each.sender) for each in shown)
    assert stage.is_told_nothing("alice")


@on_stage(*TRIO, after=a_room)
async def test_m_10_what_is_said_belongs_to_who_signed_it_and_not_to_whom_the_server_names(
    stage: Stage,
) -> None:
    """Swapped senders: alice's client is named for what carol says."""
    of_messages(sender=stage.person("alice").keys.client)(stage, VICTIM)
    await talk(stage)

    assert (await stage.hears(VICTIM, "carol was here")).message.sender == "carol"
    assert stage.is_told_nothing(VICTIM)


@on_stage(*TRIO, after=a_room)
async def test_m_10_a_commit_that_is_said_to_have_been_brought_back_is_a_commit(stage: Stage) -> None:
    """A server that was never restored says that it had lost a change of the group."""
    in_the_log(
        lambda entries: [lies._changed(e, {"offered": True}) if lies._is(e, "commit") else e for e in entries]
    )(stage, VICTIM)
    await talk(stage)

    await stage.hears(VICTIM, "alice goes on")
    assert stage.record(VICTIM).epoch == stage.record("alice").epoch
    stage.say(VICTIM, "bob was here")
    await stage.hears("carol", "bob was here")
