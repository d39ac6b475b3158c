"""What of a conversation is laid out, and when: no more than can be seen."""

from typing import Any

import pytest

from securechat.client.events import Message
from securechat.tui import timeline
from securechat.tui.message_lines import MOST_ROWS, message_lines
from securechat.tui.paint import Line
from tests.tui.driving import Driven, driven
from tests.tui.fake import FakeClient, message, talk_of_two

HEIGHT = 24


@pytest.fixture
def laid_out(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The messages that were laid out, in their order."""
    seen: list[int] = []

    def counted(one: Message, *rest: Any) -> list[Line]:
        seen.append(one.local_id)
        return message_lines(one, *rest)

    monkeypatch.setattr(timeline, "message_lines", counted)
    return seen


def worst(client: FakeClient) -> FakeClient:
    """A page of the longest messages there are; each answers another."""
    client.said["#team"] = [
        message(100 + at, "\n" * 16_000, sender="mallory", conversation="#team", reply_to=f"{at + 99:064x}")
        for at in range(100)
    ]
    return client


async def scroll(screen: Driven, key: str) -> bool:
    """Scroll; return whether there was anywhere to go."""
    line = screen.chat.timeline
    at, asked = line._top, []
    scroll_by = line.scroll_by

    def scrolled(by: int) -> None:
        scroll_by(by)
        asked.append(by)

    line.scroll_by = scrolled  # type: ignore[method-assign]
    await screen.press(key)
    await screen.until(lambda: asked)
    line.scroll_by = scroll_by  # type: ignore[method-assign]
    await screen.pilot.pause()
    return line._top != at


async def test_a_page_of_the_longest_messages_costs_two_screens(laid_out: list[int]) -> None:
    """A member does not stall the screen of another."""
    async with driven(worst(talk_of_two()), size=(80, HEIGHT)) as screen:
        await screen.sees("message 6")
        laid_out.clear()
        await screen.press("alt+2")
        await screen.sees("there is more of it")
        await screen.until(lambda: screen.chat.talk.conversation.unread == 0)  # type: ignore[union-attr]
        assert len(laid_out) <= 2 * HEIGHT
        assert set(laid_out) <= set(range(190, 200))
        before = len(laid_out)
        await scroll(screen, "pageup")
        assert len(laid_out) <= before + 3


async def test_opening_lays_out_no_more_than_fits_twice(laid_out: list[int]) -> None:
    async with driven(talk_of_two(600), size=(80, HEIGHT)) as screen:
        await screen.sees("message 600")
        assert len(set(laid_out)) <= 2 * HEIGHT


async def test_scrolling_shows_every_message_in_its_order() -> None:
    client = talk_of_two(90)
    async with driven(client, size=(80, HEIGHT)) as screen:
        await screen.sees("message 90")
        seen: list[str] = []
        goes_on = True
        while goes_on:
            view = [row.strip().removesuffix("  ✓ stored") for row in screen.rows() if " message " in row]
            new = [row for row in view if row not in seen]
            seen = new + seen
            goes_on = await scroll(screen, "pageup")
        assert seen == [f"message {at}" for at in range(1, 91)]


async def test_a_long_message_is_shown_whole_on_request() -> None:
    client = talk_of_two()
    lines = "\n".join(f"line {at}" for at in range(1, 101))
    client.said["@bob"].append(message(50, lines))
    async with driven(client, size=(80, 60)) as screen:
        await screen.sees(f"line {MOST_ROWS}\n")
        assert f"line {MOST_ROWS + 1}\n" not in screen.text()
        await screen.sees("… there is more of it: choose it (Alt+K), Enter shows all")
        await screen.press("alt+k", "enter")
        await screen.sees(f"line {MOST_ROWS + 1}\n")
        await screen.press("alt+end")
        await screen.sees("line 100")
        assert [one for one in client.did if one[0] == "send"] == []


async def test_what_is_read_stays_where_it_is_whatever_is_laid_out_above_it() -> None:
    """Heights above the view are guesses until somebody scrolls there."""
    client = talk_of_two(90)
    client.said["@bob"][40] = message(41, "\n".join("abcdefgh"))
    async with driven(client, size=(80, HEIGHT)) as screen:
        await screen.sees("message 90")
        assert await scroll(screen, "pageup")
        before = screen.rows()
        for key in ("pageup", "pageup", "pageup", "pagedown", "pagedown", "pagedown"):
            assert await scroll(screen, key)
        assert screen.rows() == before
