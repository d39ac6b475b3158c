"""The line that is typed: its draft, what Tab makes of it, the editor, the lock, what is new elsewhere."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from securechat.cli.line_mode import LineMode
from securechat.cli.line_notices import as_set
from securechat.cli.surface import Clearing, Editing, OnTerminal, PlainSurface, Ringing
from securechat.cli.terminal import TerminalSurface
from securechat.client.errors import UnknownUser
from securechat.client.events import Conversation, Member, Message, MessageReceived
from securechat.client.face import own_face
from tests.client.holder import ListHolder, a_conversation, a_message


class Drafting(ListHolder):
    """An account with two conversations, its drafts, and what it had said of them."""

    def __init__(self) -> None:
        super().__init__()
        self.names = ["#team", "@bob"]
        self.drafts: dict[str, str] = {}
        self.notify = "all"

    def conversation(self, name: str) -> Conversation:
        return structs.replace(a_conversation(name), notify=self.notify)

    def conversations(self) -> list[Conversation]:
        people = (Member("carol", "member", 1),)
        return [structs.replace(self.conversation(name), members=people) for name in self.names]

    def draft(self, name: str) -> str:
        return self.drafts.get(name, "")

    def set_draft(self, name: str, text: str) -> None:
        self.drafts[name] = text

    async def send(self, to: str, text: str, **_more: Any) -> Message:
        if to == "@nobody":
            raise UnknownUser("nobody")
        self.sent.append((to, text, None))
        return structs.replace(a_message(len(self.sent), text), conversation=to, own=True)

    def unshown(self, limit: int) -> list[Message]:
        return self.unprinted(limit)

    def mark_shown(self, local_ids: list[int]) -> None:
        self.mark_printed(local_ids)


class Edited:
    """A line editor: at each prompt it takes the next of these lines; None is what was begun there."""

    def __init__(self, *lines: str | None, left: str = "") -> None:
        self._lines = lines
        self._left = left
        self._begun = ""
        self.began: list[str] = []
        self.names: set[str] = set()
        self.told: list[str] = []
        self.rang = 0
        self.heard = ""
        self.is_clear = False

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        for line in self._lines:
            self.began.append(self._begun)
            prompt()
            yield self._begun if line is None else line
        self.began.append(self._begun)
        self._begun = self._left

    def begin_with(self, text: str) -> None:
        self._begun = text

    def typed(self) -> str:
        return self._begun

    def complete_from(self, names: Iterable[str]) -> None:
        self.names = set(names)

    def show(self, text: str) -> None:
        self.told.append(text)

    tell = show

    def ring(self, sequence: str = "\a") -> None:
        self.rang += 1
        self.heard = sequence

    def clear(self) -> None:
        self.is_clear = True

    async def aside(self, work: Callable[[], None]) -> None:
        work()


async def run(holder: Drafting, surface: Edited, *, target: str = "", folder: Path | None = None) -> LineMode:
    chat = LineMode(own_face(holder), surface, user="alice", piped=False, folder=folder, target=target)
    assert await chat.run(surface.lines) == 0
    return chat


def test_a_terminal_can_do_all_that_the_line_mode_asks_of_one(tmp_path: Path) -> None:
    for kind in (Editing, OnTerminal, Ringing, Clearing):
        assert isinstance(TerminalSurface(tmp_path), kind)
    assert not isinstance(PlainSurface(), Editing)
    assert isinstance(PlainSurface(), Ringing)
    assert isinstance(PlainSurface(), Clearing)


async def test_what_was_begun_for_a_conversation_stands_in_the_line_and_is_no_draft_once_sent() -> None:
    holder = Drafting()
    holder.drafts = {"@bob": "half a thought"}
    surface = Edited("@bob", None, "#team", "@bob")

    await run(holder, surface)

    assert surface.began == ["", "half a thought", "", "", ""]
    assert holder.sent == [("@bob", "half a thought", None)]
    assert holder.drafts == {"@bob": ""}


async def test_what_is_in_the_line_at_the_end_is_kept() -> None:
    """Also for somebody who is only named in it, and was never written to."""
    holder = Drafting()

    await run(holder, Edited("@bob", left="half a thought"))
    await run(holder, Edited(left="@dora: and half another"))

    assert holder.drafts == {"@bob": "half a thought", "@dora": "and half another"}


async def test_what_is_typed_is_kept_while_it_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securechat.cli.line_editing.KEEP_SECONDS", 0)
    holder, kept = Drafting(), asyncio.Event()

    class Slow(Edited):
        async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
            self.begin_with("half a thou")
            await kept.wait()
            self.begin_with("")
            yield prompt()

    def set_draft(name: str, text: str) -> None:
        holder.drafts[name] = text
        kept.set()

    monkeypatch.setattr(holder, "set_draft", set_draft)
    surface = Slow()
    chat = LineMode(own_face(holder), surface, user="alice", piped=False, target="@bob")
    async with asyncio.timeout(20):
        await chat.run(surface.lines)
    assert kept.is_set()


async def test_what_could_not_be_sent_stands_in_the_next_line() -> None:
    surface = Edited("@nobody: hello")

    await run(Drafting(), surface)

    assert surface.began == ["", "@nobody: hello"]


async def test_a_line_editor_has_signs_for_short_names_and_a_pipe_leaves_them() -> None:
    holder = Drafting()

    await run(holder, Edited("@bob: :tada:"))
    await LineMode(own_face(holder), PlainSurface(), user="alice", piped=True).once(":tada:", "@bob")

    assert [text for _to, text, _key in holder.sent] == ["🎉", ":tada:"]


async def test_the_names_at_hand_are_those_of_the_list_and_of_who_is_in_it() -> None:
    surface = Edited()

    await run(Drafting(), surface)

    assert surface.names == {"#team", "@bob", "@carol"}


async def test_the_editor_begins_with_the_draft_and_what_it_leaves_stands_in_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Path]] = []

    def edited(text: str, folder: Path) -> str:
        seen.append((text, folder))
        return "line one\nline two"

    monkeypatch.setattr("securechat.cli.line_editing.edited", edited)
    holder = Drafting()
    holder.drafts = {"@bob": "half"}
    surface = Edited("@bob", "/editor", None)

    await run(holder, surface, folder=tmp_path)

    assert seen == [("half", tmp_path)]
    assert holder.sent == [("@bob", "line one\nline two", None)]
    assert holder.drafts == {"@bob": ""}


async def test_a_draft_is_shown_kept_and_dropped_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no line to edit: a pipe, a screen reader."""
    holder = Drafting()
    chat = LineMode(own_face(holder), PlainSurface(), user="alice", piped=True)

    codes = [await chat.once(line, "@bob") for line in ("/draft half a", "/draft", "/draft off", "/draft")]

    assert (codes, holder.drafts) == ([0, 0, 0, 0], {"@bob": ""})
    told = capsys.readouterr().err.splitlines()
    assert told == ["* kept for @bob; /draft shows it", "half a", "* no draft", "* no draft"]
    assert await chat.once("/draft", "") == 1


async def test_next_unread_goes_where_something_was_said() -> None:
    holder = Drafting()
    holder.waiting = [structs.replace(a_message(number), conversation="#team") for number in (1, 2)]
    surface = Edited()
    chat = LineMode(own_face(holder), surface, user="alice", piped=False)
    await chat._show_waiting()

    assert await chat.take("/unread", "@bob") == "#team"
    assert await chat.take("/unread", "#team") == "#team"
    assert surface.told[-2:] == ["* #team: 2 new; what you type goes there", "* nothing new anywhere else"]


@pytest.mark.parametrize(
    ("bell", "line", "notify", "rings"),
    [
        (True, "@bob", "all", True),
        (True, "/dnd", "all", False),
        (True, "/dnd on", "all", False),
        (False, "@bob", "all", False),
        (False, "/dnd off", "all", True),
        (True, "@bob", "mute", False),
        (True, "@bob", "mentions", False),
    ],
)
async def test_a_message_rings_unless_one_is_not_to_be_disturbed(
    *, bell: bool, line: str, notify: str, rings: bool
) -> None:
    holder = Drafting()
    holder.notify = notify
    surface = Edited()
    chat = LineMode(
        own_face(holder), surface, user="alice", piped=False, notices=as_set(None) if bell else None
    )

    await chat.take(line, "")
    await chat._print_event(MessageReceived(a_message(1)))
    await chat._print_event(MessageReceived(structs.replace(a_message(2), own=True)))

    assert surface.rang == rings


async def test_the_lock_ends_a_chat_of_a_person_and_refuses_a_pipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """L-04."""
    chat = await run(Drafting(), Edited("@bob", "/lock", "@bob: never"))
    assert (chat.is_locked, chat.target) == (True, "@bob")

    piped = LineMode(own_face(Drafting()), PlainSurface(), user="alice", piped=True)
    assert (await piped.once("/lock", ""), piped.is_locked) == (1, False)
    assert "needs a terminal" in capsys.readouterr().err


def test_tab_completes_names_commands_and_emoji(tmp_path: Path) -> None:
    surface = TerminalSurface(tmp_path)
    surface.complete_from(["@bob", "#team"])

    def after(text: str) -> list[str]:
        found = surface._words.get_completions(Document(text), CompleteEvent())
        return [text[: len(text) + each.start_position] + each.text for each in found]

    assert after("hello @b") == ["hello @bob "]
    assert after("/upg") == ["/upgrade "]
    assert after(":tad") == ["🎉 "]


async def test_a_line_goes_on_as_it_was_begun_and_control_o_is_the_persons_own_editor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys; open(sys.argv[1], 'a').write(' in peace')"
    monkeypatch.setenv("VISUAL", f'{sys.executable} -c "{script}"')
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        surface, written = TerminalSurface(tmp_path), asyncio.Event()
        surface.begin_with("half a")
        line = surface._session.default_buffer
        line.on_text_changed += lambda _: written.set() if line.text.endswith("in peace") else None
        reading = aiter(surface.lines(lambda: "> "))
        taken = asyncio.ensure_future(anext(reading))
        keys.send_text(" thought\x0f")
        async with asyncio.timeout(20):
            await written.wait()
            assert surface.typed() == "half a thought in peace"
            keys.send_text("\r")
            assert await taken == "half a thought in peace"
        await reading.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert surface.typed() == ""
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - nothing waits
