"""The draft: what Tab completes, what a paste leaves, the keys of a shell, one's own editor."""

from functools import partial
from pathlib import Path

import pytest
from textual import events
from textual.drivers.headless_driver import HeadlessDriver

from securechat.tui.completion import complete, fuzzy
from securechat.tui.composer import MAX_DRAFT, dropped, pasted
from securechat.tui.editor import NoEditor, edited
from securechat.tui.emoji import EMOJI, with_emoji
from securechat.tui.settings import Settings
from tests.tui.driving import driven
from tests.tui.fake import talk_of_two

NAMES = ["@bob", "@bobby", "@carol", "#team"]


@pytest.mark.parametrize(
    ("text", "offers"),
    [
        ("@bo", ("@bob ", "@bobby ")),
        ("hello ca", ("@carol ",)),
        ("see #t", ("#team ",)),
        ("/mem", ("/members ",)),
        ("a /mem", ()),
        ("/devices re", ("rename ", "revoke ")),
        ("/devices ", ("approve ", "list ", "rename ", "revoke ")),
        ("/devices li@", ()),
        ("devices re", ()),
        ("/devices revoke re", ()),
        (":tad", ("🎉 ",)),
        ("", ()),
        (":", ()),
    ],
)
def test_tab_completes_names_commands_and_emoji(text: str, offers: tuple[str, ...]) -> None:
    assert complete(text, len(text), NAMES).offers == offers


def test_only_the_word_before_the_cursor_is_completed() -> None:
    found = complete("hi @bo there", 6, NAMES)
    assert (found.start, found.end, found.offers) == (3, 6, ("@bob ", "@bobby "))


def test_letters_in_their_order_find_a_name_the_closest_first() -> None:
    assert fuzzy("tm", ["@tim", "#team", "@bob"]) == ["@tim", "#team"]
    assert fuzzy("", ["b", "a"]) == ["b", "a"]
    assert fuzzy("zz", NAMES) == []


def test_short_names_become_emoji_and_others_stay() -> None:
    assert with_emoji("a :heart: :nonsense: 10:30:15 :+1:") == "a ❤️ :nonsense: 10:30:15 👍"
    assert all(sign and not sign.isascii() for sign in EMOJI.values())


def test_a_paste_loses_what_acts_and_keeps_what_is_text() -> None:
    """U-06."""
    assert pasted("a\x1b[201~b\x00\x9b\u202e\ud800\u200bc") == "a[201~bc"
    assert pasted("one\r\ntwo\rthree\tx") == "one\ntwo\nthree    x"
    assert pasted("👨\u200d👩\u200d👧 שלום") == "👨\u200d👩\u200d👧 שלום"


@pytest.mark.parametrize("spelled", ["{}", "'{}'", '"{}"', "{} ", "file://{}"])
def test_a_file_that_is_dropped_on_the_terminal_is_known_by_its_path(spelled: str, tmp_path: Path) -> None:
    file = tmp_path / "a picture.png"
    file.touch()
    assert dropped(spelled.format(file)) == file
    assert dropped(str(file).replace(" ", "\\ ")) == file
    for other in (
        "words",
        str(tmp_path),
        f"{file}\n{file}",
        f"{file}.none",
        "/" + "x" * 9999,
        "a.png",
    ):
        assert dropped(other) is None


async def test_a_dropped_file_becomes_a_command_in_the_draft_and_is_not_sent(tmp_path: Path) -> None:
    file = tmp_path / "plan.pdf"
    file.touch()
    client = talk_of_two()
    async with driven(client) as screen:
        screen.chat.composer.post_message(events.Paste(f"'{file}'"))
        await screen.until(lambda: screen.chat.composer.text == f"/file {file}")
        assert not [one for one in client.did if one[0] in {"send", "command"}]


async def test_the_draft_obeys_the_keys_of_a_shell() -> None:
    async with driven(talk_of_two()) as screen:
        await screen.type("one two three")
        await screen.press("ctrl+w")
        assert screen.chat.composer.text == "one two "
        await screen.press("ctrl+y", "ctrl+a", "alt+f", "alt+d")
        assert screen.chat.composer.text == "one three"
        await screen.press("ctrl+k")
        assert screen.chat.composer.text == "one"
        await screen.press("ctrl+u")
        assert screen.chat.composer.text == ""
        await screen.type("@bo")
        await screen.press("tab")
        assert screen.chat.composer.text == "@bob "


async def test_tab_after_tab_goes_round_and_a_key_ends_it() -> None:
    async with driven(talk_of_two()) as screen:
        await screen.sees("message 6")
        await screen.type("@")
        seen = []
        for _ in range(4):
            await screen.press("tab")
            seen.append(screen.chat.composer.text)
        assert seen == ["@alice ", "@bob ", "@alice ", "@bob "]
        await screen.press("x", "tab")
        assert screen.chat.composer.text == "@bob x"


async def test_a_draft_is_bounded_and_says_so() -> None:
    """U-06: a paste of ten megabytes is inert and bounded."""
    async with driven(talk_of_two()) as screen:
        screen.chat.composer.post_message(events.Paste("x" * 10_000_000))
        await screen.sees("more than one message can carry")
        assert len(screen.chat.composer.text) == MAX_DRAFT
        await screen.press("y")
        assert len(screen.chat.composer.text) == MAX_DRAFT


def editor(folder: Path, body: str) -> dict[str, str]:
    path = folder / "editor.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return {"EDITOR": str(path)}


def test_an_editor_gets_a_private_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    """L-01, L-02."""
    profile = tmp_path / "profile"
    profile.mkdir()
    environment = editor(tmp_path, f'stat -c %a "$1" > {tmp_path}/mode; echo more >> "$1"')
    assert edited("a draft\n", profile, environment) == "a draft\nmore"
    assert (tmp_path / "mode").read_text().strip() == "600"
    assert list(profile.iterdir()) == []


@pytest.mark.parametrize("body", ["exit 3", 'rm "$1"', None, "'"])
def test_an_editor_that_fails_leaves_the_draft_and_no_file(body: str | None, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    environment = {"VISUAL": body or "/nonexistent/editor"}
    if body not in {None, "'"}:
        environment = editor(tmp_path, str(body))
    with pytest.raises(NoEditor):
        edited("a draft", profile, environment)
    assert list(profile.iterdir()) == []


class Terminal:
    """What the screen gives away and takes back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        monkeypatch.setattr(HeadlessDriver, "can_suspend", True)
        for name in ("suspend", "resume"):
            did = partial(self.log.append, name)
            monkeypatch.setattr(HeadlessDriver, f"{name}_application_mode", lambda _, did=did: did())


async def test_an_editor_that_fails_gives_the_screen_back_with_the_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U-06: `:cq` left a terminal without a screen."""
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("VISUAL", editor(tmp_path, "exit 3")["EDITOR"])
    async with driven(talk_of_two(), folder=tmp_path) as screen:
        await screen.sees("message 6")
        await screen.type("a letter")
        await screen.press("ctrl+o")
        await screen.sees("the editor failed; the draft is as it was")
        assert terminal.log == ["suspend", "resume"]
        assert screen.chat.composer.text == "a letter"


async def test_nothing_is_drawn_or_sent_while_an_editor_has_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes it from Textual's queue of thirty then: one more stopped the chat for good."""
    terminal = Terminal(monkeypatch)
    async with driven(talk_of_two(), folder=tmp_path) as screen:
        await screen.sees("message 6")
        monkeypatch.setattr(HeadlessDriver, "write", lambda _, sent: terminal.log.append(sent))
        with screen.app.away():
            screen.app.written("\a")
            assert screen.app._batch_count
        assert not screen.app._batch_count
        assert "\a" not in terminal.log
        screen.app.written("\a")
        assert terminal.log[-1] == "\a"


async def test_what_comes_from_an_editor_is_the_draft_of_its_conversation_and_no_lock_loses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-07: the lock waits for the editor, and counts from its end."""
    Terminal(monkeypatch)
    begun, now = tmp_path / "begun", [0.0]
    body = f'touch {begun}; while [ -e {begun} ]; do sleep 0.01; done; echo "and more" >> "$1"'
    monkeypatch.setenv("VISUAL", editor(tmp_path, body)["EDITOR"])
    client = talk_of_two()
    settings = Settings(lock_after=5)
    async with driven(client, folder=tmp_path, settings=settings, clock=lambda: now[0]) as screen:
        await screen.sees("message 6")
        await screen.type("a letter\n")
        await screen.press("ctrl+o")
        await screen.until(begun.exists)
        now[0] = 1000.0
        screen.app.lock_if_idle()
        screen.chat.go("#team")
        begun.unlink()
        await screen.until(lambda: not screen.chat.writing.is_lent)
        screen.app.lock_if_idle()
        await screen.pilot.pause()
        assert screen.chat.composer.text == ""
        screen.chat.go("@bob")
        assert screen.chat.composer.text == "a letter\nand more"


async def test_what_is_too_long_in_an_editor_is_cut_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Terminal(monkeypatch)
    monkeypatch.setenv(
        "VISUAL", editor(tmp_path, f'head -c {MAX_DRAFT + 1} /dev/zero | tr "\\0" x > "$1"')["EDITOR"]
    )
    async with driven(talk_of_two(), folder=tmp_path) as screen:
        await screen.sees("message 6")
        await screen.press("ctrl+o")
        await screen.sees("more than one message can carry")
        assert len(screen.chat.composer.text) == MAX_DRAFT
