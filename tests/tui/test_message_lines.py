"""How one message is drawn."""

from securechat.client.events import FileInfo, MessageKind
from securechat.content.message import file_text
from securechat.content.mimi import ExternalPart
from securechat.content.sealed_file import ID_SIZE, KEY_SIZE, PREFIX_SIZE, SealedFile, file_part
from securechat.tui.message_lines import Place, Setting, message_lines
from securechat.tui.summary import summary
from tests.tui.fake import message

README = FileInfo(name="README.md", content_type="text/markdown", size=4700, state="offered")


def part_of(name: str, caption: str = "") -> ExternalPart:
    return file_part(
        SealedFile(
            id=bytes(ID_SIZE),
            key=bytes(KEY_SIZE),
            prefix=bytes(PREFIX_SIZE),
            size=4700,
            digest=bytes(32),
            name=name,
            content_type="text/markdown",
            description=caption,
        )
    )


def drawn(caption: str = "") -> tuple[list[str], str]:
    """The lines of a file with this caption, and its summary."""
    said = message(1, file_text(part_of("README.md", caption)), kind=MessageKind.FILE, file=README)
    lines = message_lines(said, Place(head=False), Setting(width=80))
    return ["".join(piece.text for piece in each).strip() for each in lines], summary(said)


def test_a_file_is_named_once_and_what_its_sender_says_stands_below() -> None:
    line = "File: README.md (4.6 KiB, text/markdown, offered)"

    assert drawn() == ([line], "README.md")
    assert drawn("read me\nfirst") == ([line, "read me", "first"], "README.md read me first")


def test_no_file_name_passes_for_what_is_said_of_it() -> None:
    assert file_text(part_of("a\n(b")) == "(a file: a (b, 4.6 KiB)"
