"""Whom a draft is for, whatever is slow: what is typed goes where the screen said it would (Q-07)."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from securechat.client.errors import Forbidden
from securechat.client.events import MessageReceived
from securechat.tui import chat_screen
from tests.tui.driving import Driven, driven
from tests.tui.fake import FakeClient, conversation, message, talk_of_two


class Slow:
    """A call of the client that answers when it may."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._may = threading.Event()
        self.asked = 0

    async def __call__(self, *given: Any, **named: Any) -> Any:
        self.asked += 1
        await asyncio.to_thread(self._may.wait, 20)
        found = self._call(*given, **named)
        return await found if asyncio.iscoroutine(found) else found

    def answer(self) -> None:
        self._may.set()


def sent(client: FakeClient) -> list[tuple[str, str]]:
    return [(one[1], one[2]) for one in client.did if one[0] == "send"]


async def says(screen: Driven, text: str) -> None:
    await screen.type(text)
    await screen.press("enter")


async def test_what_is_typed_behind_a_key_that_goes_elsewhere_is_for_the_new_conversation() -> None:
    """Q-07."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        slow = Slow(client.status)
        client.status = slow  # type: ignore[assignment,method-assign]
        await screen.press("alt+2")
        await screen.until(lambda: slow.asked or screen.chat.talk.current == "#team")
        await says(screen, "for the team only")
        await screen.until(lambda: sent(client))
        slow.answer()
        assert sent(client) == [("#team", "for the team only")]


async def test_a_command_that_answers_late_takes_nobody_back() -> None:
    """Q-07."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        client.rooms["#other"] = conversation("#other")
        slow = Slow(lambda *_: "#other")
        client.take = slow  # type: ignore[method-assign]
        await says(screen, "/join #other")
        await screen.until(lambda: slow.asked)
        await screen.press("alt+2")
        await screen.type("for the team")
        lists = Slow(client.conversations)
        client.conversations = lists  # type: ignore[assignment,method-assign]
        slow.answer()
        await screen.until(lambda: lists.asked)
        lists.answer()
        await screen.until(lambda: screen.chat.talk.found("#other"))
        await screen.pilot.pause()
        assert screen.chat.talk.current == "#team"
        await screen.press("enter")
        await screen.until(lambda: sent(client))
        assert sent(client) == [("#team", "for the team")]


async def test_a_command_leads_nobody_away_who_writes_on() -> None:
    """Q-07."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        slow = Slow(lambda *_: "#team")
        client.take = slow  # type: ignore[method-assign]
        await says(screen, "/join #team")
        await screen.until(lambda: slow.asked)
        await screen.type("for bob")
        lists = Slow(client.conversations)
        client.conversations = lists  # type: ignore[assignment,method-assign]
        slow.answer()
        await screen.until(lambda: lists.asked)
        lists.answer()
        await screen.pilot.pause()
        await screen.press("enter")
        await screen.until(lambda: sent(client))
        assert sent(client) == [("@bob", "for bob")]


async def test_a_message_that_is_slow_to_go_takes_nobody_back() -> None:
    """Q-07."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        send = client.send
        slow = Slow(send)
        client.send = slow  # type: ignore[assignment,method-assign]
        for words in ("one", "two"):
            await says(screen, words)
        await screen.until(lambda: slow.asked)
        await screen.press("alt+2")
        await screen.type("for the team")
        slow.answer()
        await screen.until(lambda: len(sent(client)) == 2)
        await screen.press("enter")
        await screen.until(lambda: len(sent(client)) == 3)
        assert sent(client) == [("@bob", "one"), ("@bob", "two"), ("#team", "for the team")]


async def test_a_stranger_opens_no_conversation_under_a_draft() -> None:
    """Q-07: with nothing open, ``@bob words`` is for bob."""
    client = FakeClient()
    async with driven(client) as screen:
        await screen.type("@bob the password is 1234")
        client.rooms["@mallory"] = conversation("@mallory", last="hi", last_time=9)
        await screen.happen(MessageReceived(message(1, "hi", sender="mallory", conversation="@mallory")))
        await screen.until(lambda: screen.chat.talk.found("@mallory"))
        await screen.press("enter")
        await screen.until(lambda: sent(client))
        assert sent(client) == [("@bob", "the password is 1234")]


async def test_the_first_conversation_opens_where_nothing_is_written() -> None:
    client = FakeClient()
    async with driven(client) as screen:
        client.rooms["@mallory"] = conversation("@mallory", last="hi", last_time=9)
        await screen.happen(MessageReceived(message(1, "hi", sender="mallory", conversation="@mallory")))
        await screen.until(lambda: screen.chat.talk.current == "@mallory")


async def test_what_is_written_before_anything_is_open_goes_along_when_one_opens_something() -> None:
    client = FakeClient()
    async with driven(client) as screen:
        await screen.type("hello")
        await screen.press("enter")
        await screen.sees("to whom?")
        screen.chat.go("@bob")
        assert screen.chat.composer.text == "hello"
        await screen.press("enter")
        await screen.until(lambda: sent(client) == [("@bob", "hello")])


async def test_a_change_of_a_message_stays_where_the_message_is() -> None:
    """Q-07: the words of a change are no draft of another conversation, nor is the draft under it lost."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.type("a draft")
        await screen.press("alt+e")
        await screen.until(lambda: screen.chat.composer.text == "message 6")
        await screen.press("alt+2")
        await screen.until(lambda: not screen.chat.composer.text)
        assert screen.chat.writing.editing is None
        await screen.press("alt+1")
        await screen.sees("changing what you said")
        await screen.press("!", "enter")
        await screen.until(lambda: ("edit", "@bob", f"{6:064x}", "message 6!") in client.did)
        await screen.until(lambda: screen.chat.composer.text == "a draft")


# --- what happens to a draft that is not sent --------------------------------------------------------


def kept(client: FakeClient) -> list[tuple[str, str]]:
    return [(one[1], one[2]) for one in client.did if one[0] == "draft"]


async def test_a_draft_for_a_conversation_that_does_not_exist_survives_a_restart() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        screen.chat.go("@dora")
        await screen.type("half a letter")
        await screen.press("alt+1")
        await screen.until(lambda: client.loose == {"@dora": "half a letter"})
    async with driven(client) as screen:
        await screen.sees("message 6")
        screen.chat.go("@dora")
        await screen.until(lambda: screen.chat.composer.text == "half a letter")


async def test_a_draft_survives_the_lock_and_what_comes_after_it() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.type("half a letter")
        await screen.app.lock()
        assert client.rooms["@bob"].draft == "half a letter"
        await says(screen, "right")
        await screen.until(lambda: screen.chat.composer.text == "half a letter")
        await screen.press("alt+2")
        await screen.until(lambda: not screen.chat.composer.text)
        await screen.press("alt+1")
        await screen.until(lambda: screen.chat.composer.text == "half a letter")
        await screen.app.lock()
        assert kept(client) == [("@bob", "half a letter")]


async def test_what_is_refused_is_a_draft_again() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        client.fails = Forbidden("quota", "the text is too long")
        await says(screen, "a long letter")
        await screen.sees("* the text is too long")
        await screen.until(lambda: screen.chat.composer.text == "a long letter")


async def test_what_is_refused_while_one_writes_on_waits_and_mixes_with_nothing() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        send = client.send
        slow = Slow(send)
        client.send = slow  # type: ignore[assignment,method-assign]
        await says(screen, "one")
        await screen.until(lambda: slow.asked)
        await screen.type("two")
        client.fails = Forbidden("quota", "the text is too long")
        slow.answer()
        await screen.sees("* the text is too long")
        client.fails, client.send = None, send  # type: ignore[method-assign]
        assert screen.chat.composer.text == "two"
        await screen.press("enter")
        await screen.sees("Esc: what was not sent")
        await screen.press("escape")
        await screen.until(lambda: screen.chat.composer.text == "one")
        assert sent(client) == [("@bob", "two")]


async def test_what_is_refused_after_one_went_elsewhere_is_a_draft_where_it_was_written() -> None:
    """Q-07."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        slow = Slow(client.send)
        client.send = slow  # type: ignore[assignment,method-assign]
        await says(screen, "for bob")
        await screen.until(lambda: slow.asked)
        await screen.press("alt+2")
        client.fails = Forbidden("quota", "the text is too long")
        slow.answer()
        await screen.until(lambda: ("@bob", "for bob") in kept(client))
        assert (screen.chat.talk.current, screen.chat.composer.text) == ("#team", "")
        await screen.press("alt+1")
        await screen.until(lambda: screen.chat.composer.text == "for bob")


async def test_a_change_that_is_refused_is_a_change_again() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")

        def refuses(*_: str) -> None:
            raise Forbidden("quota", "the text is too long")

        client.edit = refuses  # type: ignore[assignment,method-assign]
        await screen.press("up", "!", "enter")
        await screen.sees("the text is too long")
        await screen.sees("changing what you said")
        assert screen.chat.composer.text == "message 6!"


async def test_a_first_letter_is_kept_before_its_conversation_is() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await says(screen, "@newbie")
        await screen.until(lambda: screen.chat.talk.current == "@newbie")
        await screen.type("a first letter")
        await screen.press("alt+2")
        await screen.until(lambda: not screen.chat.composer.text)
        screen.chat.go("@newbie")
        assert screen.chat.composer.text == "a first letter"
        await screen.until(lambda: kept(client))
        assert kept(client) == [("@newbie", "a first letter")]


async def test_a_draft_is_kept_while_one_writes_and_gone_with_its_sending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chat_screen, "KEEP_SECONDS", 0.001)
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.type("hello")
        await screen.until(lambda: kept(client) == [("@bob", "hello")])
        await screen.press("enter")
        await screen.until(lambda: kept(client) == [("@bob", "hello"), ("@bob", "")])


async def test_a_terminal_that_is_closed_costs_no_draft() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.type("half a letter")
        screen.app.ended(129)
        await screen.until(lambda: screen.app.return_value == 129)
        assert kept(client) == [("@bob", "half a letter")]


# --- what others are told of it -----------------------------------------------------------------------


def told_typing(client: FakeClient) -> list[tuple[str, bool]]:
    return [(one[1], one[2]) for one in client.did if one[0] == "typing"]


async def test_a_draft_that_is_taken_up_tells_nobody_that_one_is_typing() -> None:
    client = talk_of_two()
    client.rooms["@bob"] = structs.replace(client.rooms["@bob"], draft="half a letter")
    async with driven(client) as screen:
        await screen.sees("half a letter")
        await screen.press("x")
        await screen.until(lambda: told_typing(client))
        await screen.press("alt+2")
        await screen.until(lambda: len(told_typing(client)) == 2)
        await screen.press("alt+1")
        await screen.sees("half a letterx")
        await screen.press("y")
        await screen.until(lambda: len(told_typing(client)) == 3)
        assert told_typing(client) == [("@bob", True), ("@bob", False), ("@bob", True)]


async def test_the_screen_that_a_password_opens_goes_on_in_the_same_conversation() -> None:
    """Q-07."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.press("alt+2")
        await screen.sees("lunch?")
        await screen.app.lock()
        await says(screen, "right")
        await screen.sees("#team >")
        await says(screen, "for the team")
        await screen.until(lambda: sent(client))
        assert sent(client) == [("#team", "for the team")]
