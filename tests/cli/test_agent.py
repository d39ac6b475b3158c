"""What the agent's commands refuse, and what its log never says; tests/scenarios/test_agent.py runs it."""

import pytest

from securechat.cli.agent_log import event_fields
from securechat.cli.main import run
from securechat.client.events import MessageReceived, MessageRefused
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


def test_the_log_of_the_agent_has_no_words_of_people() -> None:
    for event in (
        MessageReceived(a_message(1, "canary")),
        MessageRefused(a_message(2, "canary"), "forbidden", "not allowed"),
    ):
        assert "canary" not in str(event_fields(event))
        assert event_fields(event)["conversation"] == "@bob"
