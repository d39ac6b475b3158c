"""What the agent's commands refuse, and what its log never says; tests/scenarios/test_agent.py runs it."""

from typing import Any, get_args

import pytest
from msgspec import structs

from securechat.cli.agent_log import FIELDS, event_fields
from securechat.cli.main import run
from securechat.client.events import (
    Event,
    FileInfo,
    Held,
    MessageRefused,
    Notice,
    Poll,
    PollOption,
    Typing,
)
from tests.client.holder import a_message


@pytest.mark.parametrize(
    "arguments",
    [
        ["receive", "alice", "--ack"],
        ["receive", "alice", "--ack", "--follow"],
        ["receive", "alice", "--ack", "--json"],
        ["send", "alice", "@bob", "text", "--lines"],
        ["send", "alice", "@bob", "--lines", "--id", "x"],
        ["agent", "alice", "--trust", "always"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(arguments: list[str]) -> None:
    assert run(arguments) == 1


SEALED = {"text": "canary", "name": "canary", "topic": "canary", "title": "canary"}
"""Fields that hold what was sealed, or may: of any event, wherever they stand."""

OURS = {MessageRefused, Held, Notice}
"""Whose text is a sentence of ours."""


def made(kind: Any) -> Any:
    """An event of a kind with canaries in its free text."""
    message = a_message(1, "canary")
    if "message" in kind.__struct_fields__:
        poll = Poll("canary", (PollOption("canary"),))
        message = structs.replace(message, thread="canary", poll=poll, file=FileInfo(name="canary"))
    values = dict.fromkeys(kind.__struct_fields__, "x") | {"message": message}
    values |= {name: word for name, word in SEALED.items() if kind not in OURS}
    return kind(**{name: values[name] for name in kind.__struct_fields__})


@pytest.mark.parametrize("kind", sorted(set(get_args(Event)) - {Typing}, key=str))
def test_the_log_of_the_agent_has_no_words_of_people_nor_names_of_files(kind: Any) -> None:
    """L-02: of every event there is, whatever it will hold."""
    assert kind in FIELDS
    event = made(kind)

    assert "canary" not in str(event_fields(event))
    assert event_fields(event)["type"] == kind.__struct_config__.tag


def test_a_file_that_is_not_sent_is_not_named() -> None:
    assert "canary" not in str(event_fields(Notice("file_refused", "canary.pdf was not sent: too large")))
    assert event_fields(Notice("clock", "the dates differ"))["text"] == "the dates differ"


def test_the_log_says_which_message_it_was_and_what_became_of_it() -> None:
    refused = event_fields(MessageRefused(a_message(2, "canary"), "forbidden", "not allowed"))

    assert (refused["type"], refused["conversation"], refused["local_id"]) == ("refused", "@bob", 2)
    assert (refused["code"], refused["text"]) == ("forbidden", "not allowed")
