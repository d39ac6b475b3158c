"""`securechat why` and `/why`: the code, the sentence and what to do (Q-06)."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from securechat.cli.line_mode import LineMode
from securechat.cli.show import NOTHING_TO_EXPLAIN, explanation_text
from securechat.cli.why import explanation_json
from securechat.client.errors import UnknownConversation
from securechat.client.events import Explanation, Standing, Trouble
from securechat.client.face import own_face
from tests.cli.shell import Shell

AT = int(datetime(2026, 3, 1, 14, 3, tzinfo=UTC).timestamp())

TROUBLE = Trouble(
    local_id=7,
    sender="bob",
    epoch=3,
    sequence=17,
    timestamp=AT,
    code="no_secrets",
    text="the keys of that epoch were lost here",
    advice="ask again",
)
HELD = Explanation(
    conversation="@bob",
    state=Standing.HELD,
    epoch=4,
    code="identity_changed",
    text="the keys of bob have changed",
    advice="compare them",
    since=AT,
    troubles=(TROUBLE,),
)
WELL = Explanation(
    conversation="#team",
    state=Standing.JOINED,
    epoch=1,
    code="",
    text="",
    advice="",
    since=0,
    troubles=(),
)
HELD_LINES = [
    "@bob is held since 2026-03-01 14:03: the keys of bob have changed (identity_changed)",
    "  what to do: compare them",
    "  2026-03-01 14:03, @bob, epoch 3, entry 17: the keys of that epoch were lost here (no_secrets)",
    "    what to do: ask again",
]


def test_a_hold_and_a_trouble_are_each_a_sentence_a_code_and_what_to_do() -> None:
    assert explanation_text(HELD, zone=UTC).split("\n") == HELD_LINES


def test_where_all_is_well_one_line_says_so() -> None:
    assert explanation_text(WELL) == "#team is joined; nothing went wrong that could be explained"


def test_what_is_not_known_of_a_trouble_is_left_out() -> None:
    bare = Trouble(
        local_id=1, sender="", epoch=2, sequence=0, timestamp=0, code="conflict", text="copied", advice="do"
    )
    explained = Explanation(
        conversation="#team",
        state=Standing.JOINED,
        epoch=2,
        code="",
        text="",
        advice="",
        since=0,
        troubles=(bare,),
    )

    assert explanation_text(explained).split("\n") == [
        "#team is joined",
        "  epoch 2: copied (conflict)",
        "    what to do: do",
    ]


def test_json_is_the_conversation_and_then_each_trouble() -> None:
    first, second = explanation_json(HELD)

    assert first == {
        "type": "why",
        "room": "@bob",
        "state": "held",
        "epoch": 4,
        "code": "identity_changed",
        "text": "the keys of bob have changed",
        "advice": "compare them",
        "ts": AT,
    }
    assert second["type"] == "trouble"
    assert (second["room"], second["from"], second["epoch"], second["sequence"]) == ("@bob", "bob", 3, 17)
    assert (second["code"], second["text"], second["advice"]) == (TROUBLE.code, TROUBLE.text, "ask again")
    assert (second["ts"], second["local_id"]) == (AT, 7)


class Typed:
    """A person who types these lines, and what is told."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines
        self.told: list[str] = []

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        del prompt
        for line in self._lines:
            yield line

    def show(self, text: str) -> None:
        raise AssertionError(text)

    def tell(self, text: str) -> None:
        self.told += text.split("\n")


class Explaining:
    """A client with these to explain, and nothing else to say."""

    def __init__(self, *explanations: Explanation) -> None:
        self._explanations = explanations

    async def events(self, *, late: bool = False) -> Any:
        del late
        nothing: tuple[Any, ...] = ()
        for event in nothing:
            yield event

    def unshown(self, limit: int) -> list[Any]:
        return [][:limit]

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - Client's
        return timeout > 0

    def why(self, name: str | None) -> list[Explanation]:
        found = [each for each in self._explanations if name in (None, each.conversation)]
        if name and not found:
            raise UnknownConversation(name)
        return found


async def typed(client: Explaining, *lines: str) -> tuple[int, list[str]]:
    person = Typed(*lines)
    code = await LineMode(own_face(client), person, user="alice", piped=True).run(person.lines)
    return code, person.told


async def test_in_a_chat_all_or_one_are_explained() -> None:
    client = Explaining(HELD, WELL)

    assert await typed(client, "/why #team") == (0, [explanation_text(WELL)])
    assert (await typed(client, "/why"))[1] == [*explanation_text(HELD).split("\n"), explanation_text(WELL)]


async def test_in_a_chat_nothing_to_explain_is_one_line() -> None:
    assert await typed(Explaining(), "/why") == (0, [f"* {NOTHING_TO_EXPLAIN}"])


async def test_in_a_chat_an_unknown_name_is_a_sentence_and_1() -> None:
    assert await typed(Explaining(HELD), "/why #nowhere") == (1, ["* there is no conversation #nowhere here"])


def test_in_a_shell_it_works_alone_and_through_the_holder(shell: Shell) -> None:
    shell.register("alice", "bob")
    assert shell.account("send", "alice", "@bob", "hello").returncode == 0

    alone = shell.account("why", "alice")
    quiet = shell.account("why", "alice", "--json")
    usage = shell.account("why", "alice", "bob")
    with shell.holding("alice"):
        named = shell.run("why", "alice", "@bob", "--json")
        everything = shell.run("why", "alice")
        unknown = shell.run("why", "alice", "#nowhere")

    assert (alone.returncode, alone.stdout) == (0, NOTHING_TO_EXPLAIN + "\n"), alone.stderr
    assert (quiet.returncode, quiet.stdout) == (0, "")
    assert usage.returncode == 1
    (line,) = named.stdout.splitlines()
    found = json.loads(line)
    assert (named.returncode, found["type"], found["room"], found["state"]) == (0, "why", "@bob", "joined")
    assert (found["code"], found["text"], found["advice"], found["ts"]) == ("", "", "", 0)
    assert everything.stdout == NOTHING_TO_EXPLAIN + "\n"
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "#nowhere" in unknown.stderr


@pytest.mark.parametrize("command", ["/why", "/why @bob"])
async def test_why_is_never_sent_as_text(command: str) -> None:
    """`Explaining` has no `send`."""
    code, _ = await typed(Explaining(HELD), command)

    assert code == 0
