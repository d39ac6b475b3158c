"""Files from the command line and in the line mode (U-05)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from securechat.cli.line_files import MOVING, WORTH_TELLING, LineFiles, split
from securechat.cli.main import EXIT_INTERRUPTED, run
from securechat.cli.show import moved_text
from securechat.client.commands import Command, read_line
from securechat.client.errors import FileRefused, NoTransfer
from securechat.client.events import FileMoved, Transfer
from tests.cli.shell import Shell
from tests.client.holder import a_message


def test_what_is_typed_after_file_is_a_path_and_a_caption(tmp_path: Path) -> None:
    spaced = tmp_path / "two words.txt"
    spaced.touch()
    assert split(str(spaced)) == (spaced, "")
    assert split(f"'{spaced}' don't lose it") == (spaced, "don't lose it")
    assert split(f'"{spaced}"') == (spaced, "")
    assert split(str(spaced).replace(" ", "\\ ") + " look") == (spaced, "look")
    assert split("/a/b.txt see  this") == (Path("/a/b.txt"), "see  this")
    assert split("'never closed") == (Path("'never").absolute(), "closed")
    assert split("~/x.txt")[0] == Path("~/x.txt").expanduser()


class Surface:
    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, text: str) -> None:
        self.told.append(text)


class Face:
    """Sends and saves, once it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked: list[tuple[str, ...]] = []

    async def send_file(self, to: str, path: str, *, caption: str = "") -> Any:
        self.asked.append((to, path, caption))
        await self.let.wait()
        if path.endswith("bad"):
            raise FileRefused("it is too large")
        return a_message(7)

    async def fetch_file(self, message: str, *, to: str = "") -> str:
        self.asked.append((message, to))
        await self.let.wait()
        return "/home/me/Downloads/x"


async def test_a_person_goes_on_talking_while_a_file_is_sent() -> None:
    face, surface = Face(), Surface()
    files = LineFiles(face, surface, piped=False)  # type: ignore[arg-type]
    await files.send("@bob", "/tmp/a.bin look")  # noqa: S108
    await files.send("@bob", "/tmp/bad")  # noqa: S108
    await files.fetch("12", "")
    assert surface.told == ["* sending a.bin to @bob", "* sending bad to @bob"]
    face.let.set()
    while len(surface.told) < 5:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    assert sorted(surface.told[2:]) == [
        "* a.bin is at the server; its message goes to @bob",
        "* it is too large",
        "* saved as /home/me/Downloads/x",
    ]
    assert files.sent == {7}
    assert face.asked == [("@bob", "/tmp/a.bin", "look"), ("@bob", "/tmp/bad", ""), ("12", "")]  # noqa: S108
    await files.close()


async def test_a_script_waits_for_each_file_and_hears_of_a_failure() -> None:
    face, surface = Face(), Surface()
    face.let.set()
    files = LineFiles(face, surface, piped=True)  # type: ignore[arg-type]
    await files.fetch("12", "/tmp")  # noqa: S108
    assert surface.told == ["* saved as /home/me/Downloads/x"]
    with pytest.raises(FileRefused):
        await files.send("@bob", "/tmp/bad")  # noqa: S108


async def test_whoever_leaves_does_not_wait_for_a_file() -> None:
    files = LineFiles(Face(), Surface(), piped=False)  # type: ignore[arg-type]
    await files.send("@bob", "/tmp/a.bin")  # noqa: S108
    await files.close()
    await files.send("@bob", "/tmp/b.bin")  # noqa: S108
    await asyncio.sleep(0)
    await files.close()


def test_how_far_a_file_is_is_told_now_and_then() -> None:
    surface = Surface()
    files = LineFiles(Face(), surface, piped=False)  # type: ignore[arg-type]
    total = 4 * WORTH_TELLING
    for done in range(0, total + 1, total // 100):
        files.moved(FileMoved("a.bin", done, total, sending=True))
    files.moved(FileMoved("small", 1, 100, sending=True))
    assert [told.split(": ")[1].split(",")[0] for told in surface.told] == ["25 %", "50 %", "75 %"]


def test_a_file_that_was_stopped_is_told_anew_when_it_is_sent_again() -> None:
    surface = Surface()
    files = LineFiles(Face(), surface, piped=False)  # type: ignore[arg-type]
    half = FileMoved("a.bin", 2 * WORTH_TELLING, 4 * WORTH_TELLING, sending=True, number=1)
    for moved in (half, replace(half, stopped=True), half):
        files.moved(moved)
    assert len(surface.told) == 2


PLAN = Transfer(number=3, name="plan.pdf", conversation="@bob", sending=True, done=1 << 20, total=4 << 20)
BEDS = Transfer(number=4, name="beds.pdf", conversation="#garden", sending=False)


class Moving:
    """A face with files on their way."""

    def __init__(self, *moving: Transfer) -> None:
        self._moving = list(moving)

    async def transfers(self) -> list[Transfer]:
        return self._moving

    async def cancel_transfer(self, number: int) -> Transfer:
        for each in self._moving:
            if each.number == number:
                self._moving.remove(each)
                return each
        raise NoTransfer(number)


async def stopped(line: str, *moving: Transfer) -> tuple[str | None, list[str]]:
    surface, command = Surface(), read_line(line)
    assert isinstance(command, Command)
    return await MOVING["cancel"](Moving(*moving), surface, command, ""), surface.told  # type: ignore[arg-type]


async def test_the_only_file_on_its_way_is_stopped_or_the_one_of_this_number() -> None:
    sent = "* plan.pdf is not sent; the server removes what it has, in its time at the latest"
    assert await stopped("/cancel", PLAN) == (None, [sent])
    assert await stopped("/cancel 3", BEDS, PLAN) == (None, [sent])
    assert await stopped("/cancel 4", BEDS, PLAN) == (
        None,
        ["* beds.pdf is not fetched; nothing of it is here"],
    )


async def test_of_several_files_on_their_way_none_is_stopped_by_chance() -> None:
    mistake, told = await stopped("/cancel", PLAN, BEDS)
    assert mistake == "several files are on their way: say the number of the one to stop"
    assert told == [
        "3: sending plan.pdf: 25 %, 1.0 of 4.0 MiB (@bob)",
        "4: fetching beds.pdf: 0 %, 0.0 of 0.0 MiB (#garden)",
    ]


async def test_what_is_no_file_on_its_way_is_said() -> None:
    assert await stopped("/cancel") == ("no file is on its way", [])
    for typed in ("plan.pdf", "3 4", "-3", "9" * 12):
        assert await stopped(f"/cancel {typed}", PLAN) == ("usage: /cancel [NUMBER]", [])
    with pytest.raises(NoTransfer):
        await stopped("/cancel 5", PLAN)


@pytest.mark.parametrize("name", ["file", "download"])
def test_ctrl_c_says_what_becomes_of_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(work: Any) -> None:
        work.close()
        raise KeyboardInterrupt

    (tmp_path / "a.bin").touch()
    monkeypatch.setattr(asyncio, "run", interrupted)
    words = ["@bob", str(tmp_path / "a.bin")] if name == "file" else ["123456"]

    assert run([name, "alice", *words]) == EXIT_INTERRUPTED
    assert "goes on" in capsys.readouterr().err


def test_progress_is_one_short_line() -> None:
    moved = FileMoved("a.bin", 1 << 20, 4 << 20, sending=False)
    assert moved_text(moved) == "fetching a.bin: 25 %, 1.0 of 4.0 MiB"


def test_a_file_goes_from_shell_to_shell(shell: Shell, tmp_path: Path) -> None:
    """By the commands, and by a chat in a pipe."""
    shell.register("alice", "bob")
    (tmp_path / "two words.bin").write_bytes(b"content " * 20_000)
    (tmp_path / "got").mkdir()

    sent = shell.account("file", "alice", "@bob", "two words.bin", "--caption", "look", "--json")
    assert sent.returncode == 0, sent.stderr
    which = json.loads(sent.stdout)["id"]
    talk = f"/download {which[:10]} got\n@alice: thanks, and\n/file 'two words.bin' again\nexit\n"
    said = shell.account("chat", "bob", given=talk)
    again = shell.account("download", "bob", which, "--to", "got")
    lines = shell.account("receive", "bob", "--json")
    back = shell.account("receive", "alice", "--json", "--count", "2")

    assert (said.returncode, again.returncode) == (0, 0), said.stderr + again.stderr
    place = tmp_path / "got" / "two words.bin"
    assert again.stdout == f"{place}\n"
    assert place.read_bytes() == b"content " * 20_000
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["two words.bin"]
    line = "(a file: two words.bin, 156.2 KiB)\n"
    told = json.loads(lines.stdout)
    assert (told["text"], told["file"]["path"]) == (f"{line}look", str(place))
    assert [json.loads(each)["text"] for each in back.stdout.splitlines()] == ["thanks, and", f"{line}again"]
