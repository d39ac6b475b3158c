"""The screen as a person uses it, on a fake client."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from msgspec import structs
from rich.cells import cell_len
from textual import events

from securechat.cli.qr import qr_lines
from securechat.client.errors import Forbidden, HolderLeft, NoHolder
from securechat.client.events import (
    Disconnected,
    Event,
    FileMoved,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    MessageState,
    Notice,
    Transfer,
    Typing,
)
from securechat.membership.verification_code import verification_code
from securechat.tui.app import CLEARED
from securechat.tui.backend import Confirm
from securechat.tui.dialogs import WIDTH, Chooser
from securechat.tui.help import help_lines
from securechat.tui.keys import keymap
from securechat.tui.locked import Locked
from securechat.tui.paint import plain
from securechat.tui.settings import Settings
from tests.tui.driving import Driven, driven
from tests.tui.fake import FakeClient, message, talk_of_two


def reads(screen: Driven, draft: str) -> bool:
    return screen.chat.composer.text == draft


def sent(client: FakeClient) -> list[tuple[str, str]]:
    return [(one[1], one[2]) for one in client.did if one[0] == "send"]


async def test_it_begins_where_something_was_said_last() -> None:
    async with driven(talk_of_two()) as screen:
        await screen.sees("message 6")
        assert screen.rows()[0].startswith("@bob")
        assert "● connected | ✓ verified | 2 of 2 devices | epoch 3" in screen.text()


async def test_the_panels_stand_beside_the_messages_where_there_is_room_for_them() -> None:
    client = talk_of_two()
    async with driven(client, size=(120, 24)) as screen:
        await screen.sees("message 6")
        assert "#team" in screen.text()
        assert "People (2)" in screen.text()
    async with driven(client, size=(99, 24)) as screen:
        await screen.sees("message 6")
        assert "#team" not in screen.text()
        await screen.press("f2", "f3")
        await screen.sees("#team")
        await screen.sees("People (2)")


async def test_what_is_typed_goes_to_the_open_conversation_and_shows_its_state() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.type("hi :tada:")
        await screen.press("enter")
        await screen.sees("hi 🎉  … queued")
        assert sent(client) == [("@bob", "hi 🎉")]
        stored = structs.replace(client.said["@bob"][-1], state=MessageState.SENT)
        await screen.happen(MessageAcknowledged(stored))
        await screen.sees("hi 🎉  ✓ stored")
        await screen.happen(MessageChanged(structs.replace(stored, delivered_to=("bob",))))
        await screen.sees("✓✓ delivered")
        await screen.happen(MessageChanged(structs.replace(stored, read_by=("bob",))))
        await screen.sees("✓✓ read")


async def test_a_message_that_comes_is_shown_at_once() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.happen(MessageReceived(message(9, "what is new")))
        await screen.sees("what is new")
        await screen.until(lambda: ("shown", 9) in client.did)


async def test_what_waits_elsewhere_is_counted_and_one_key_away() -> None:
    async with driven(talk_of_two(), size=(120, 24)) as screen:
        await screen.until(lambda: re.search(r"2 #team +2", screen.text()))
        await screen.press("alt+a")
        await screen.sees("── new ─")
        assert "anybody here?" in screen.text()
        await screen.until(lambda: screen.chat.talk.conversation.unread == 0)  # type: ignore[union-attr]


async def test_several_lines_are_one_message_and_a_paste_never_sends() -> None:
    """U-06: bracketed or not, with controls in it or an Enter behind it."""
    client = talk_of_two()
    now = [1.0]
    async with driven(client, when=lambda _: now[0]) as screen:
        await screen.type("one")
        await screen.press("alt+enter")
        await screen.type("two")
        screen.chat.composer.post_message(events.Paste("pa\x1b[31mste\r\nthree\r\x07"))
        await screen.until(lambda: screen.chat.composer.text == "one\ntwopa[31mste\nthree\n")
        await screen.press("enter")
        await screen.sees("a pasted line end: Enter sends")
        assert sent(client) == []
        now[0] = 2.0
        await screen.press("enter")
        await screen.until(lambda: sent(client))
        assert sent(client) == [("@bob", "one\ntwopa[31mste\nthree")]


async def test_a_paste_without_a_fence_is_known_by_its_rhythm() -> None:
    """U-06: a terminal that fences nothing sends it as keys; a command among the lines does nothing."""
    client = talk_of_two()
    now = [1.0]
    async with driven(client, when=lambda _: now[0]) as screen:
        await screen.sees("message 6")
        for keys, draft, pause in (
            (("a", "b", "enter"), "ab\n", 0.05),
            (("slash", "x", "enter"), "ab\n/x\n", 0.25),
            (("!",), "ab\n/x\n!", 0.02),
        ):
            await screen.press(*keys)
            await screen.until(partial(reads, screen, draft))
            now[0] += pause
        await screen.press("enter")
        await screen.until(lambda: sent(client))
        assert sent(client) == [("@bob", "ab\n/x\n!")]
        assert not [one for one in client.did if one[0] == "command"]


async def test_a_paste_that_ends_its_fence_is_a_paste_to_its_last_key() -> None:
    """U-06: every key of it prolongs it, however many there are before its Enter."""
    client = talk_of_two()
    now = [1.0]
    async with driven(client, when=lambda _: now[0]) as screen:
        await screen.sees("message 6")
        screen.chat.composer.post_message(events.Paste("a\x1b[201~"))
        await screen.until(lambda: screen.chat.composer.text)
        typed = "a[201~"
        for key, drawn in (("b", "b"), ("c", "c"), ("d", "d"), ("enter", "\n")):
            now[0] += 0.09
            typed += drawn
            await screen.press(key)
            await screen.until(partial(reads, screen, typed))
        assert screen.chat.composer.text == "a[201~bcd\n"
        assert sent(client) == []


async def test_a_command_that_is_none_is_never_sent_and_stays_in_the_draft() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.type("/frobnicate now")
        await screen.press("enter")
        await screen.sees("no command /frobnicate")
        assert screen.chat.composer.text == "/frobnicate now"
        assert client.did == [one for one in client.did if one[0] in {"shown", "read"}]


async def test_two_slashes_send_one_and_commands_go_to_the_line_mode() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.type("//shrug")
        await screen.press("enter")
        await screen.until(lambda: sent(client) == [("@bob", "/shrug")])
        await screen.type("/join #team")
        await screen.press("enter")
        await screen.sees("anybody here?")
        await screen.sees("* did /join #team")
        assert ("command", "/join #team", "@bob") in client.did


@pytest.mark.parametrize(
    ("typed", "to", "text"),
    [
        ("@carol: psst", "@carol", "psst"),
        ("@carol look", "#team", "@carol look"),
        ("#new: first", "#new", "first"),
    ],
)
async def test_a_name_and_a_colon_say_to_whom_and_the_screen_says_so_too(
    typed: str, to: str, text: str
) -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.press("alt+a")
        await screen.sees("anybody here?")
        await screen.type(typed)
        await screen.sees(f"{to} >")
        await screen.press("enter")
        await screen.until(lambda: sent(client))
        assert sent(client) == [(to, text)]
        await screen.until(lambda: screen.chat.talk.current == to)


async def test_what_is_said_while_a_conversation_opens_is_in_it() -> None:
    """Q-07: a slow page must not cover what was said since it was asked for."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        asked, answered = asyncio.Event(), threading.Event()
        pages = client.timeline

        async def slow(name: str, **where: int) -> Any:
            page = pages(name, **where)
            asked.set()
            await asyncio.to_thread(answered.wait, 20)
            return page

        client.timeline = slow  # type: ignore[assignment,method-assign]
        screen.chat.go("#team")
        await screen.until(asked.is_set)
        await screen.happen(MessageReceived(message(60, "meanwhile", conversation="#team")))
        answered.set()
        await screen.sees("lunch?")
        await screen.sees("meanwhile")


async def test_what_the_client_refuses_is_said_in_a_line() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        client.fails = Forbidden("forbidden", "only some may speak here")
        await screen.type("hello")
        await screen.press("enter")
        await screen.sees("* only some may speak here")
        await screen.happen(Notice("limited", "slowly"))
        await screen.sees("* slowly (limited)")


async def test_the_status_says_when_there_is_no_connection_and_who_types() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.happen(Typing("@bob", "bob", on=True))
        await screen.sees("@bob types…")
        await screen.happen(Typing("@bob", "bob", on=False))
        await screen.until(lambda: "types" not in screen.text())
        client.status_connected = False
        await screen.happen(Disconnected("no route", 5.0))
        await screen.sees("○ not connected: no route")


async def test_a_message_is_chosen_copied_answered_and_withdrawn() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.press("alt+k", "alt+k")
        await screen.sees("▌ message 5")
        await screen.press("alt+y")
        await screen.until(lambda: screen.app.clipboard == "message 5")
        await screen.press("alt+r")
        await screen.sees("answering @bob")
        await screen.type("yes")
        await screen.press("enter")
        await screen.until(lambda: ("send", "@bob", "yes", f"{5:064x}") in client.did)
        await screen.press("escape", "alt+k", "alt+x")
        await screen.sees("Withdraw this for everyone?")
        await screen.press("y")
        await screen.until(lambda: any(one[0] == "delete" for one in client.did))
        await screen.sees("(withdrawn by its author)")
        await screen.press("escape", "alt+p")
        await screen.sees("React with")
        await screen.type(":+1:")
        await screen.press("enter")
        await screen.sees("👍 @alice")


async def test_up_changes_ones_last_message_and_escape_leaves_it() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.press("up")
        await screen.until(lambda: screen.chat.composer.text == "message 6")
        await screen.press("escape")
        await screen.until(lambda: not screen.chat.composer.text)
        await screen.press("up", "!", "enter")
        await screen.sees("message 6!  (edited)")
        assert ("edit", "@bob", f"{6:064x}", "message 6!") in client.did
        assert sent(client) == []


async def test_a_draft_stays_with_its_conversation() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.type("half a thou")
        await screen.press("alt+a")
        await screen.sees("anybody here?")
        await screen.until(lambda: ("draft", "@bob", "half a thou") in client.did)
        assert screen.chat.composer.text == ""
        await screen.press("alt+1")
        await screen.until(lambda: screen.chat.composer.text == "half a thou")


@pytest.mark.parametrize("key", ["y", "ctrl+c"])
async def test_leaving_asks_first(key: str) -> None:
    """Who presses the key once more means it."""
    async with driven(talk_of_two()) as screen:
        await screen.press("ctrl+c")
        await screen.sees("Leave securechat?")
        await screen.press("x", "n")
        await screen.until(lambda: "Leave" not in screen.text())
        await screen.press("ctrl+c")
        await screen.sees("Leave securechat?")
        await screen.press(key)
        await screen.until(lambda: screen.app.return_code is not None or not screen.app.is_running)


async def test_the_bare_view_shows_messages_and_nothing_else() -> None:
    async with driven(talk_of_two(), size=(120, 24)) as screen:
        await screen.sees("People")
        await screen.press("alt+l")
        await screen.until(lambda: "People" not in screen.text())
        assert "connected" not in screen.text()
        assert "message 6" in screen.text()


async def test_history_comes_in_by_pages_in_both_directions() -> None:
    client = talk_of_two(1500)
    async with driven(client) as screen:
        await screen.sees("message 1500")
        await screen.press("alt+home")
        await screen.sees("message 1\n")
        assert "there is more below" in screen.text()
        for key, text in (("pagedown", "message 140"), ("pageup", "message 1\n")):
            for _ in range(300):
                if text in screen.text():
                    break
                await screen.press(key)
                await screen.until(lambda: not screen.chat.timeline.waits)
            assert text in screen.text()
        await screen.press("alt+end")
        await screen.sees("message 1500")
        assert len(screen.chat.talk.window.messages) <= 700


async def test_a_message_that_comes_does_not_move_what_one_reads() -> None:
    client = talk_of_two(200)
    async with driven(client) as screen:
        await screen.sees("message 200")
        await screen.press("pageup", "pageup")
        await screen.until(lambda: "message 200" not in screen.text())
        before = screen.rows()[1:20]
        await screen.happen(MessageReceived(message(777, "later")))
        await screen.sees("there is more below")
        assert screen.rows()[1:20] == before


async def test_a_file_on_its_way_shows_how_far_it_is() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.happen(FileMoved("plan.pdf", 45, 100, sending=True))
        await screen.sees("plan.pdf ████░░░░░░ 45%")
        await screen.happen(FileMoved("plan.pdf", 100, 100, sending=True))
        await screen.until(lambda: "plan.pdf" not in screen.text())
    assert client.did[-1] == ("closed",)


async def test_a_file_that_was_stopped_is_on_its_way_no_more() -> None:
    async with driven(talk_of_two()) as screen:
        moved = FileMoved("plan.pdf", 45, 100, sending=True, number=3)
        await screen.happen(moved)
        await screen.sees("plan.pdf ████░░░░░░ 45%  Alt+C stops it")
        await screen.happen(structs.replace(moved, stopped=True))
        await screen.until(lambda: "plan.pdf" not in screen.text())


async def test_a_file_on_its_way_is_stopped_when_one_is_sure() -> None:
    client = talk_of_two()
    plan = Transfer(number=3, name="plan.pdf", conversation="@bob", sending=True)
    client.moving = [plan, structs.replace(plan, number=4, name="beds.pdf")]
    async with driven(client) as screen:
        await screen.press("alt+c")
        await screen.sees("Stop which file?")
        await screen.type("beds")
        await screen.press("enter")
        await screen.sees("Stop this file for good?")
        await screen.press("y")
        await screen.sees("stopped: beds.pdf")
        await screen.press("alt+c")
        await screen.sees("plan.pdf")
        await screen.press("n")
        await screen.until(lambda: "for good" not in screen.text())
    assert [one for one in client.did if one[0] == "cancel"] == [("cancel", 4)]
    assert client.moving == [plan]


@pytest.mark.parametrize(
    ("password", "done", "said"),
    [
        ("a password", ("approve", 3, "a password"), "laptop is linked now"),
        ("", ("decline", 3), "It was not let in."),
    ],
)
async def test_a_new_device_is_let_in_by_code_and_password(
    password: str, done: tuple[object, ...], said: str
) -> None:
    """D-05."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.type("/devices approve 7K3Q-0V1A")
        await screen.press("enter")
        await screen.sees("laptop asks to be linked")
        await screen.sees("10.0.0.5")
        await screen.type(password)
        await screen.press("enter")
        await screen.sees(said)
        assert not password or password not in screen.text()
    assert [one for one in client.did if one[0] in {"offer", "approve", "decline"}] == [
        ("offer", "7K3Q-0V1A"),
        done,
    ]


@pytest.mark.parametrize(
    ("password", "did", "said"),
    [
        ("a password", [("revoke", "p" * 26, "a password")], "phone is removed"),
        ("", [], "It was not removed."),
    ],
)
async def test_a_device_is_removed_with_the_password(
    password: str, did: list[tuple[object, ...]], said: str
) -> None:
    """D-02, M-17."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.type("/devices revoke phone")
        await screen.press("enter")
        await screen.sees("phone (pppppppp)")
        await screen.type(password)
        await screen.press("enter")
        await screen.sees(said)
        assert not password or password not in screen.text()
    assert [one for one in client.did if one[0] == "revoke"] == did


async def test_what_was_chosen_to_be_answered_is_chosen_no_more() -> None:
    """So that Up changes the answer, which is the last message of ours."""
    async with driven(talk_of_two(4)) as screen:
        await screen.press("alt+k", "alt+r")
        await screen.sees("answering @bob")
        await screen.type("an answer")
        await screen.press("enter")
        await screen.until(lambda: not screen.chat.timeline.chosen)
        await screen.sees("an answer")
        await screen.press("up")
        await screen.until(lambda: screen.chat.composer.text == "an answer")


class Leaving(FakeClient):
    """One whose holder ends at the first thing that happens, once."""

    left = False

    async def _each(self, news: "asyncio.Queue[Event]") -> AsyncIterator[Event]:
        yield await news.get()
        if not self.left:
            self.left = True
            raise HolderLeft("alice")
        await asyncio.Event().wait()


async def test_when_the_holder_ends_the_screen_says_so_and_the_lock_opens_the_account_again() -> None:
    has, client = talk_of_two(), Leaving()
    client.rooms, client.said = has.rooms, has.said
    async with driven(client, size=(100, 24)) as screen:
        await screen.sees("message 6")
        await screen.happen(Notice("busy", "soon over"))
        await screen.sees("not connected: the process that holds alice has ended")
        await screen.sees("(holder_left)")
        assert "* the account is closed" not in screen.text()
        await screen.press("f6")
        await screen.sees("is locked")
        await screen.type("right")
        await screen.press("enter")
        await screen.sees("● connected")
        await screen.sees("message 6")


async def test_an_empty_screen_says_what_to_do() -> None:
    async with driven(FakeClient()) as screen:
        await screen.sees("/create #garden")
        await screen.type("@bob: hello")
        await screen.press("enter")
        await screen.sees("hello")
        await screen.until(lambda: "/create" not in screen.text())


def test_the_help_is_whole_at_80_columns() -> None:
    shown = list(map(plain, help_lines(keymap({}))))
    assert max(map(cell_len, shown)) <= WIDTH - 6
    assert "Backspace" in " ".join(shown)


async def test_without_a_file_on_its_way_there_is_nothing_to_stop() -> None:
    async with driven(talk_of_two()) as screen:
        await screen.press("alt+c")
        await screen.sees("no file is on its way")


async def test_a_few_letters_find_a_conversation() -> None:
    async with driven(talk_of_two()) as screen:
        await screen.press("ctrl+k")
        await screen.sees("Go to")
        await screen.type("tm")
        await screen.sees("> #team")
        await screen.press("enter")
        await screen.sees("anybody here?")


async def test_a_search_leads_to_its_message() -> None:
    client = talk_of_two(400)
    async with driven(client) as screen:
        await screen.type("/search message 123")
        await screen.press("enter")
        await screen.sees("> 14:03 @alice: message 123")
        await screen.press("enter")
        await screen.sees("▌ message 123")


async def test_mentions_are_one_key_away() -> None:
    client = talk_of_two()
    client.said["#team"].append(message(9, "@alice look", conversation="#team", mentions_me=True))
    client.said["#team"].append(message(10, "alice is not meant", conversation="#team"))
    async with driven(client) as screen:
        await screen.press("alt+m")
        await screen.sees("> 12:09 #team @bob: @alice look")
        assert "not meant" not in screen.text()
        await screen.press("enter")
        await screen.sees("▌ @alice look")


async def test_a_date_leads_to_its_first_message() -> None:
    client = talk_of_two(3000)
    async with driven(client) as screen:
        await screen.press("alt+g")
        await screen.sees("Go to which day?")
        await screen.type("2026-11-21")
        await screen.press("enter")
        await screen.sees("── Saturday 2026-11-21")
        await screen.sees("message 720")


async def test_keys_can_be_others() -> None:
    async with driven(talk_of_two(), keys={"help": "f9"}) as screen:
        await screen.press("f9")
        await screen.sees("Writing")
        await screen.press(*["pagedown"] * 4)
        await screen.sees("F9 ")


async def test_the_lock_forgets_what_was_said_and_the_password_brings_it_back() -> None:
    """L-04."""
    now = [0.0]
    async with driven(talk_of_two(), settings=Settings(lock_after=5), clock=lambda: now[0]) as screen:
        await screen.sees("message 6")
        screen.app.lock_if_idle()
        await screen.pilot.pause()
        assert "message 6" in screen.text()
        now[0] = 301
        screen.app.lock_if_idle()
        await screen.sees("alice is locked")
        assert "message" not in screen.text()
        await screen.type("wrong")
        await screen.press("enter")
        await screen.sees("the password of alice is wrong")
        await screen.type("right")
        await screen.press("enter")
        await screen.sees("message 6")


async def test_one_password_is_tried_at_a_time_and_an_empty_one_is_none() -> None:
    """L-04: a second account, opened beside the first, would stay open behind the next lock."""
    client = talk_of_two()
    tried: list[str] = []
    may = threading.Event()

    @asynccontextmanager
    async def opened(password: str, confirm: Confirm) -> AsyncIterator[FakeClient]:
        tried.append(password)
        await asyncio.to_thread(may.wait, 20)
        async with client.opened(password, confirm) as face:
            yield face

    async with driven(client) as screen:
        await screen.sees("message 6")
        screen.app._opened = opened
        await screen.app.lock()
        await screen.press("enter")
        assert "is locked" in screen.text()
        assert tried == []
        await screen.type("right")
        await screen.press("enter", "enter")
        await screen.until(lambda: tried)
        screen.app.screen.post_message(Locked.Unlocked("right"))
        await screen.pilot.pause()
        may.set()
        await screen.sees("message 6")
        assert tried == ["right"]


async def test_a_lock_under_a_dialog_leaves_nothing_of_the_chat() -> None:
    """L-04: not the messages, not what was copied; and the next lock keeps the next draft."""
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        await screen.press("alt+k", "alt+y", "ctrl+s")
        await screen.until(lambda: screen.app.clipboard and isinstance(screen.app.screen, Chooser))
        await screen.app.lock()
        assert [type(one) for one in screen.app.screen_stack[1:]] == [Locked]
        assert screen.app.clipboard == ""
        await screen.type("right")
        await screen.press("enter")
        await screen.sees("message 6")
        await screen.type("a draft")
        await screen.app.lock()
        assert ("draft", "@bob", "a draft") in client.did


async def test_the_lock_clears_the_terminal_before_it_waits_for_the_account() -> None:
    """L-04: an account that does not close keeps nothing on the screen."""
    async with driven(talk_of_two()) as screen:
        await screen.sees("message 6")
        done: list[str] = []
        close = screen.app.bridge.close

        async def closed() -> None:
            done.append("closed")
            await close()

        screen.app.bridge.close = closed  # type: ignore[method-assign]
        screen.app.written = done.append  # type: ignore[assignment,method-assign]
        await screen.app.lock()
        assert done == [CLEARED, "closed"]


async def test_a_search_that_is_refused_says_why_and_the_screen_goes_on() -> None:
    client = talk_of_two()
    async with driven(client) as screen:
        await screen.sees("message 6")
        search = client.search

        def gone(*_: Any, **__: Any) -> Any:
            raise NoHolder("alice")

        client.search = gone  # type: ignore[method-assign]
        await screen.type("a draft")
        await screen.press("ctrl+s")
        await screen.type("x")
        await screen.sees("* no running securechat holds alice")
        client.search = search  # type: ignore[method-assign]
        await screen.press("backspace")
        await screen.type("message 3")
        await screen.sees("> 12:03 @alice: message 3")
        await screen.press("escape")
        assert screen.chat.composer.text == "a draft"


async def test_a_code_to_scan_is_whole_on_the_smallest_screen() -> None:
    code = verification_code(("mimi://a/u/alice", b"a" * 32), ("mimi://a/u/bob", b"b" * 32))
    async with driven(talk_of_two(), size=(80, 24)) as screen:
        await screen.sees("message 6")
        screen.chat.talk.tell("\n".join(qr_lines(code)))
        await screen.until(lambda: all(line in screen.text() for line in qr_lines(code)))
