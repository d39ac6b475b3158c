"""Slash commands for who people are: what each asks of the account, and what is shown (D-04)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securechat.cli.line_verifying import VERIFYING
from securechat.cli.qr import qr_lines
from securechat.cli.verifying import compare_first, number_rows
from securechat.client.commands import COMMANDS, Command, read_line
from securechat.client.errors import NotTheSame, UnknownUser
from securechat.client.events import Compared, Contact, Fingerprint, Identity
from securechat.client.verification import WrongCode
from securechat.membership.verification_code import NoCode, verification_code
from tests.pictures.codes import seen

NUMBER = " ".join(f"{at:05}" for at in range(11111, 11123))
OTHER_NUMBER = NUMBER.replace("1", "7")
ALICE, BOB = ("mimi://a/u/alice", b"a" * 32), ("mimi://a/u/bob", b"b" * 32)
CODE = verification_code(BOB, ALICE)


def a_contact(identity: Identity = Identity.KNOWN, changed_number: str = "") -> Contact:
    return Contact(
        user="bob",
        verified=identity is Identity.VERIFIED,
        changed=identity is Identity.CHANGED,
        since=1_800_000_000,
        safety_number=NUMBER,
        conversations=("@bob",),
        identity=identity,
        verified_since=1_800_600_000,
        changed_number=changed_number,
        code=verification_code(ALICE, BOB),
    )


class Account:
    """Notes what it is asked."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answers: dict[str, Any] = {"contact": a_contact()} | answers

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def verb(*given: Any) -> Any:
            self.asked.append((name, *given))
            answer = self.answers.get(name)
            if isinstance(answer, dict):
                answer = answer.get(given[-1])
            if isinstance(answer, Exception):
                raise answer
            return answer

        return verb


class Page:
    """Lines that go to a pipe, or are read aloud."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, text: str) -> None:
        self.lines.append(text)

    tell = show


class Seen(Page):
    """Lines on a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[str] = []

    def draw(self, rows: list[str]) -> None:
        self.drawn += rows


async def typed(
    line: str, account: Account | None = None, page: Page | None = None, target: str = "@bob"
) -> tuple[Any, Any, Account]:
    command = read_line(line)
    assert isinstance(command, Command)
    surface: Any = page or Page()
    account = account or Account()
    face: Any = account
    return await VERIFYING[command.name](face, surface, command, target), surface, account


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("/verify", ("contact", "@bob")),
        ("/verify @carol", ("contact", "@carol")),
        ("/verify @bob 11111 22222", ("set_verified", "@bob", "11111 22222")),
        ("/verify @bob off", ("clear_verified", "@bob")),
        (f"/verify @bob {CODE}", ("compare_code", "@bob", CODE)),
        (f"/verify @bob {CODE[:60]} {CODE[60:]}", ("compare_code", "@bob", CODE)),
        ("/accept @bob 11111", ("accept_identity", "@bob", "11111")),
        ("/trust @bob 11111", ("accept_identity", "@bob", "11111")),
        ("/compared @bob 11111 22222", ("set_compared", "@bob", "@bob", "11111 22222")),
        ("/compared @bob 11111 #team", ("set_compared", "#team", "@bob", "11111")),
        ("/compared @bob off #team", ("set_compared", "#team", "@bob", "")),
    ],
)
async def test_a_command_asks_for_what_was_typed(line: str, asked: tuple[Any, ...]) -> None:
    mistake, page, account = await typed(line)

    assert mistake is None
    assert account.asked == [asked]
    assert page.lines


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("/verify bob", "@bob"),
        ("/verify", "#team"),
        ("/verify @bob scan", "@bob"),
        ("/fingerprint", ""),
        ("/accept @bob", "@bob"),
        ("/compared @bob", "#team"),
        ("/compared 11111", "#team"),
        ("/compared @bob @carol 11111", "#team"),
        ("/compared @bob 11111", ""),
    ],
)
async def test_a_slip_is_told_how_it_is_typed_and_nothing_is_asked(line: str, target: str) -> None:
    mistake, page, account = await typed(line, target=target)

    assert mistake == "usage: " + COMMANDS[line[1:].split(maxsplit=1)[0]][0]
    assert (page.lines, account.asked) == ([], [])


async def test_the_number_is_shown_in_groups_of_five_with_the_next_step() -> None:
    _, page, _ = await typed("/verify @bob")

    assert page.lines[0].startswith("@bob: known since 2027-01-1")
    assert page.lines[1:4] == number_rows(NUMBER)
    assert [len(row.split()) for row in page.lines[1:4]] == [4, 4, 4]
    assert "/verify @bob 11111 11112" in page.lines[4]
    assert "/verify @bob scan PICTURE" in page.lines[5]


async def test_on_a_terminal_the_code_is_drawn_and_what_is_read_aloud_has_none() -> None:
    _, page, _ = await typed("/verify @bob", page=Seen())
    assert page.drawn == qr_lines(a_contact().code)
    assert not {"█", "▀", "▄"} & set("".join(page.lines))

    _, page, _ = await typed("/verify @bob")
    assert not {"█", "▀", "▄"} & set("".join(page.lines))


async def test_of_keys_that_changed_both_numbers_are_shown_the_new_one_first() -> None:
    changed = Account(contact=a_contact(Identity.CHANGED, OTHER_NUMBER))
    _, page, _ = await typed("/verify @bob", changed)

    assert page.lines[0] == "@bob: changed"
    assert page.lines[1:4] == number_rows(OTHER_NUMBER)
    assert page.lines[5:8] == number_rows(NUMBER)
    assert f"/verify @bob {OTHER_NUMBER[:11]}" in page.lines[8]


async def test_who_is_not_known_is_said_to_be_so() -> None:
    with pytest.raises(UnknownUser):
        await typed("/verify @bob", Account(contact=UnknownUser("unknown_user", "no keys")))


async def test_a_picture_is_scanned_where_it_lies(tmp_path: Path) -> None:
    photo = tmp_path / "a photo.png"
    photo.write_bytes(seen(qr_lines(CODE)))

    mistake, page, account = await typed(f"/verify @bob scan {photo}")

    assert (mistake, account.asked) == (None, [("compare_code", "@bob", CODE)])
    assert page.lines == ["* @bob is verified, with all devices, until their keys change"]


OURS, LINK, NEW = "SECURECHAT-VERIFY-1:OURS", "https://example.org/", "SECURECHAT-VERIFY-1:NEW"
NO = WrongCode("that is yours")
OTHER = NotTheSame("bob", "somebody may be in between")


@pytest.mark.parametrize(
    ("codes", "answers", "asked", "end"),
    [
        ([CODE], {}, [CODE], None),
        ([LINK, OURS, CODE], {OURS: NO}, [OURS, CODE], None),
        ([CODE, OURS], {OURS: NO}, [CODE, OURS], None),
        ([OURS], {OURS: NO}, [OURS], WrongCode),
        ([OURS, NEW, CODE], {OURS: NO, NEW: OTHER}, [OURS, NEW], NotTheSame),
        ([CODE, NEW], {NEW: OTHER}, [CODE, NEW], NotTheSame),
        ([LINK], {}, [], NoCode),
        ([], {}, [], NoCode),
    ],
)
async def test_of_several_codes_in_view_one_of_other_keys_is_the_answer(
    codes: list[str], answers: dict[str, Exception], asked: list[str], end: type[Exception] | None
) -> None:
    account = Account(compare_code=answers)
    face: Any = account
    if end is None:
        await compare_first(face, "@bob", codes)
    else:
        with pytest.raises(end):
            await compare_first(face, "@bob", codes)
    assert [given[2] for given in account.asked] == asked


def fingerprint(*compared: Compared) -> Account:
    return Account(fingerprint=Fingerprint("#team", None, "11111 22222", None, "suite", compared))


async def test_who_has_compared_a_rooms_code_is_said_and_that_it_is_ones_own_note() -> None:
    now = Compared(user="bob", epoch=7, since=1, present=True)
    before = Compared(user="carol", epoch=5, since=1, present=False)

    _, page, _ = await typed("/fingerprint #team", fingerprint(now, before))
    assert page.lines[0].endswith("11111 22222")
    assert page.lines[1] == "you have compared it with @bob: your note, on this device only"
    assert page.lines[2] == "you have compared codes of earlier epochs with @carol (5)"

    _, page, _ = await typed("/fingerprint #team", fingerprint(before))
    assert "/compared @user DIGITS #team" in page.lines[2]


def test_every_command_of_these_is_in_the_help() -> None:
    assert set(VERIFYING) <= set(COMMANDS)
