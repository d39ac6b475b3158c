"""One command of a chat from a shell."""

import pytest

from securechat.cli import doing
from securechat.cli.main import run
from securechat.client.straight import driven
from tests.cli.test_talking import Account


class Drained(Account):
    async def drained(self, seconds: float) -> bool:
        return seconds > 0


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Drained:
    """The account that commands are done with; nothing of it is shown or marked."""
    account = Drained()

    monkeypatch.setattr(doing, "once", lambda _account, work: driven(work(account)))
    return account


def test_a_command_is_done_as_in_a_chat(account: Drained) -> None:
    assert run(["do", "alice", "@bob", "/poll", "Tea? | green | black"]) == 0
    assert run(["do", "alice", "#team", "vote", "01abcdef", "2"]) == 0
    assert run(["do", "alice", "#team", "/close", "01abcdef"]) == 0
    assert account.asked == [
        ("poll", "@bob", "Tea?", "green", "black"),
        ("vote", "#team", "01abcdef", 2),
        ("close", "#team", "01abcdef"),
    ]


def test_what_is_wrong_is_said_and_ends_with_one(
    account: Drained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["do", "alice", "@bob", "/vote", "--all"]) == 1
    assert "* usage: /vote [ID] NUMBER...|off" in capsys.readouterr().err
    for words in (["@bob", "/quit"], ["@bob", "/nonsense"], ["bob", "/vote", "1"]):
        assert run(["do", "alice", *words]) == 1
    assert account.asked == []
