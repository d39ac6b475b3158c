"""Q-01: `send`, whatever becomes of the process that holds the account, and of who reads what it prints."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from securechat.cli import faces, only_verified, recipients, send, sending
from securechat.cli.options import Account
from securechat.cli.pipes import ReaderGone
from securechat.cli.send import NotKnown, Said, Sent
from securechat.client.config import Home, ProfileFolder
from securechat.client.errors import IdentityChanged
from securechat.client.events import Contact, Conversation, Identity, Member, Message, MessageState
from securechat.client.local_socket import serving
from tests.client.holder import ListHolder, a_conversation, a_message

SAID = Said("pay 5", "k1")


class Slow(ListHolder):
    """A holder that stores and does not say so, or has no word of the server yet; ``asked`` is when."""

    def __init__(self, *, answers: bool) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self._answers = answers

    async def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message:
        stored = await super().send(to, text, key=key, reply_to=reply_to, thread=thread)
        if not self._answers:
            self.asked.set()
            await asyncio.Event().wait()
        return stored

    async def acknowledged(self, local_id: int, timeout: float) -> Message:  # noqa: ASYNC109 - Client's
        self.asked.set()
        return await super().acknowledged(local_id, timeout)


class Next(ListHolder):
    """The holder after one that stored a message: it knows it by its key."""

    async def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message:
        if (to, text, key) in self.sent:
            return a_message(1 + self.sent.index((to, text, key)), text, MessageState.QUEUED)
        return await super().send(to, text, key=key, reply_to=reply_to, thread=thread)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.delenv("SECURECHAT_PASSWORD", raising=False)
    monkeypatch.setattr(faces, "TAKE_OVER_PAUSE", 0.001)
    profile_in(tmp_path).folder.mkdir(0o700)
    return Account(
        "alice", tmp_path, None, None, None, accept_new=False, password_file=None, password_fd=None
    )


def profile_in(home: Path | None) -> ProfileFolder:
    assert home is not None
    return Home(home).profile("alice")


async def test_a_message_that_was_stored_is_queued_whatever_becomes_of_its_holder(account: Account) -> None:
    """Q-01: to send it again would send it twice."""
    holder = Slow(answers=True)
    holder.acknowledges = False
    async with serving(profile_in(account.home), holder):
        under_way = asyncio.create_task(sending.send_as_holder(account, "@bob", SAID, seconds=30))
        await holder.asked.wait()

    assert (await under_way).state is MessageState.QUEUED
    assert len(holder.sent) == 1


async def test_what_a_holder_did_not_say_the_next_one_knows_by_the_key(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-01: one message in all."""
    monkeypatch.setattr(faces, "TAKE_OVER_ATTEMPTS", 1_000_000)
    first, second = Slow(answers=False), Next()
    second.sent = first.sent
    async with serving(profile_in(account.home), first):
        under_way = asyncio.create_task(sending.send_as_holder(account, "@bob", SAID, seconds=30))
        await first.asked.wait()
    async with serving(profile_in(account.home), second):
        assert (await under_way).state is MessageState.SENT

    assert second.sent == [("@bob", "pay 5", "k1")]


async def test_without_a_next_holder_it_is_said_that_nobody_knows_and_by_which_key_to_ask(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "TAKE_OVER_ATTEMPTS", 2)
    holder = Slow(answers=False)
    async with serving(profile_in(account.home), holder):
        under_way = asyncio.create_task(sending.send_as_holder(account, "@bob", SAID, seconds=30))
        await holder.asked.wait()

    with pytest.raises(NotKnown, match=r"not known whether .* --id k1") as unknown:
        await under_way
    assert unknown.value.exit_code == 75


async def test_a_holder_that_stands_still_is_not_waited_for(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "HAND_OVER_SECONDS", 0.01)
    monkeypatch.setattr(sending, "LATE_SECONDS", 0.01)
    deaf, silent = Slow(answers=False), Slow(answers=True)
    silent.acknowledges = False
    async with serving(profile_in(account.home), deaf):
        with pytest.raises(NotKnown):
            await sending.send_as_holder(account, "@bob", SAID, seconds=0)
    monkeypatch.setattr(sending, "HAND_OVER_SECONDS", 30)
    async with serving(profile_in(account.home), silent):
        assert (await sending.send_as_holder(account, "@bob", SAID, seconds=0)).state is MessageState.QUEUED


async def sent_by_a_one_shot(account: Account, seconds: float = 30) -> Sent:
    """What the command does: on a blocking socket, beside the loop that answers."""
    return await asyncio.to_thread(send.sent, account, "@bob", SAID, seconds=seconds)


async def test_a_one_shot_has_the_word_of_the_server(account: Account) -> None:
    """Q-01: it ends with 0 once the server has the message."""
    holder = ListHolder()
    async with serving(profile_in(account.home), holder):
        sent = await sent_by_a_one_shot(account)

    assert (sent.local_id, sent.state, holder.sent) == (1, "sent", [("@bob", "pay 5", "k1")])


async def test_what_a_one_shot_has_handed_over_is_queued_whatever_becomes_of_the_holder(
    account: Account,
) -> None:
    """Q-01: as on an event loop."""
    holder = Slow(answers=True)
    holder.acknowledges = False
    async with serving(profile_in(account.home), holder):
        sending = asyncio.create_task(sent_by_a_one_shot(account))
        await holder.asked.wait()

    assert ((await sending).state, len(holder.sent)) == ("queued", 1)


async def test_what_a_one_shot_did_not_hear_the_next_holder_knows_by_the_key(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-01: one message in all."""
    monkeypatch.setattr(faces, "TAKE_OVER_ATTEMPTS", 1_000_000)
    first, second = Slow(answers=False), Next()
    second.sent = first.sent
    async with serving(profile_in(account.home), first):
        sending = asyncio.create_task(sent_by_a_one_shot(account))
        await first.asked.wait()
    async with serving(profile_in(account.home), second):
        assert (await sending).state == "sent"

    assert second.sent == [("@bob", "pay 5", "k1")]


async def test_a_one_shot_waits_for_no_holder_that_stands_still(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "HAND_OVER_SECONDS", 0.01)
    monkeypatch.setattr(send, "LATE_SECONDS", 0.01)
    async with serving(profile_in(account.home), Slow(answers=False)):
        with pytest.raises(NotKnown):
            await sent_by_a_one_shot(account)
    monkeypatch.setattr(send, "HAND_OVER_SECONDS", 30)
    silent = Slow(answers=True)
    silent.acknowledges = False
    async with serving(profile_in(account.home), silent):
        assert (await sent_by_a_one_shot(account, seconds=0)).state == "queued"


class Lines:
    """A standard input of so many lines."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def __aiter__(self) -> AsyncIterator[str]:
        for number in range(1, self._count + 1):
            yield f"line {number}"


class Third(Slow):
    """It does not answer to the third message."""

    def __init__(self) -> None:
        super().__init__(answers=True)
        self.third = asyncio.Event()

    async def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message:
        self._answers = len(self.sent) < 2
        if not self._answers:
            self.asked = self.third
        return await super().send(to, text, key=key, reply_to=reply_to, thread=thread)


async def test_of_lines_everything_that_was_stored_is_told_when_the_holder_ends(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = Third()
    holder.acknowledges = False
    monkeypatch.setattr(sending, "StdinLines", lambda: Lines(9))
    async with serving(profile_in(account.home), holder):
        under_way = asyncio.create_task(sending.send_lines(account, "@bob", 30, as_json=True))
        await holder.third.wait()

    assert await under_way == 75
    said = capsys.readouterr()
    assert [json.loads(line)["type"] for line in said.out.splitlines()] == ["queued", "queued"]
    assert "line 3: " in said.err
    assert f"--id {holder.sent[2][2]}" in said.err


async def test_when_nobody_reads_what_became_of_them_no_more_lines_are_sent(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_arguments: object, **_named: object) -> int:
        raise BrokenPipeError

    holder = ListHolder()
    monkeypatch.setattr(sending, "StdinLines", lambda: Lines(10_000))
    monkeypatch.setattr(sending, "report", gone)
    async with serving(profile_in(account.home), holder):
        with pytest.raises(ReaderGone) as ended:
            await sending.send_lines(account, "@bob", 30, as_json=True)

    assert ended.value.exit_code == 75
    assert len(holder.sent) < 10_000


class Believing(ListHolder):
    """A holder for whom some people are verified, and who is told no for one whose keys have changed."""

    def __init__(self, **people: Identity) -> None:
        super().__init__()
        self.people = people

    def contacts(self) -> list[Contact]:
        return [
            Contact(
                user=user,
                verified=identity is Identity.VERIFIED,
                changed=identity is Identity.CHANGED,
                since=1,
                safety_number="",
                conversations=(),
                identity=identity,
            )
            for user, identity in self.people.items()
        ]

    def conversation(self, name: str) -> Conversation:
        members = [Member(user, "member", 1, identity) for user, identity in self.people.items()]
        return structs.replace(a_conversation(name), members=(Member("alice", "owner", 1), *members))

    async def acknowledged(self, local_id: int, timeout: float) -> Message:  # noqa: ASYNC109 - Client's
        del timeout
        to, text, _key = self.sent[local_id - 1]
        if self.people.get(to.removeprefix("@")) is Identity.CHANGED:
            raise IdentityChanged(to.removeprefix("@"))
        return structs.replace(a_message(local_id, text, MessageState.SENT), conversation=to)


async def sent_to_all(account: Account, *everybody: str, as_json: bool = False) -> int:
    return await recipients.send_to_all(account, list(everybody), SAID, 5, as_json=as_json, verified=False)


async def test_d_04_who_cannot_be_sent_to_keeps_nobody_else_waiting(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4 is of the one whose keys have changed; the others have it, each under a key of its own."""
    holder = Believing(bob=Identity.KNOWN, carol=Identity.CHANGED, dan=Identity.KNOWN)
    async with serving(profile_in(account.home), holder):
        assert await sent_to_all(account, "@bob", "@carol", "@dan", as_json=True) == 4

    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [(line["type"], line["room"]) for line in lines] == [
        ("sent", "@bob"),
        ("not_sent", "@carol"),
        ("sent", "@dan"),
    ]
    assert (lines[1]["exit_code"], "have changed" in lines[1]["reason"]) == (4, True)
    assert said.err.startswith("securechat: @carol: the keys of carol have changed")
    assert sorted(holder.sent) == [(to, "pay 5", f"k1 {to}") for to in ("@bob", "@carol", "@dan")]


async def test_of_several_the_first_that_failed_is_the_exit_code_and_all_done_is_none(
    account: Account,
) -> None:
    async with serving(profile_in(account.home), Believing(bob=Identity.KNOWN)):
        assert await sent_to_all(account, "@bob", "#team") == 0
        assert await sent_to_all(account, "#silent", "@bob", "#nowhere") == 6


@pytest.mark.parametrize(
    ("to", "people", "strangers"),
    [
        ("@bob", {"bob": Identity.VERIFIED}, ""),
        ("@BOB", {"bob": Identity.VERIFIED}, ""),
        ("@bob", {"bob": Identity.KNOWN}, "bob"),
        ("@bob", {"bob": Identity.CHANGED}, "bob"),
        ("@bob", {}, "bob"),
        ("#team", {"bob": Identity.VERIFIED, "carol": Identity.VERIFIED}, ""),
        ("#team", {"bob": Identity.VERIFIED, "dan": Identity.KNOWN, "carol": Identity.CHANGED}, "carol, dan"),
    ],
)
async def test_d_04_verified_only_stores_nothing_for_whom_nobody_has_compared(
    account: Account,
    to: str,
    people: dict[str, Identity],
    strangers: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    holder = Believing(**people)
    async with serving(profile_in(account.home), holder):
        code = await recipients.send_to_all(account, [to], SAID, 5, as_json=False, verified=True)

    said = capsys.readouterr().err
    if strangers:
        assert (code, holder.sent) == (4, [])
        assert said.endswith(f"the safety numbers of {strangers}\n")
    else:
        assert (code, holder.sent, said) == (0, [(to, "pay 5", "k1")], "")


async def test_d_04_without_the_server_nobody_knows_whom_it_would_go_to(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = Believing(bob=Identity.VERIFIED)
    monkeypatch.setattr(holder, "caught_up", asyncio.Event().wait)
    monkeypatch.setattr(only_verified, "NEWS_SECONDS", 0.01)
    async with serving(profile_in(account.home), holder):
        assert await recipients.send_to_all(account, ["@bob"], SAID, 5, as_json=False, verified=True) == 3

    assert holder.sent == []
    assert "nothing was sent" in capsys.readouterr().err


async def test_d_04_lines_too_are_stored_only_for_whom_a_person_has_verified(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Believing(bob=Identity.KNOWN)
    monkeypatch.setattr(sending, "StdinLines", lambda: Lines(2))
    async with serving(profile_in(account.home), holder):
        assert await sending.send_lines(account, "@bob", 5, as_json=False, verified=True) == 4

    assert holder.sent == []
