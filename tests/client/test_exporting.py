"""A conversation as a file: nothing that somebody said is markup in it."""

from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.events import FileInfo, Message, MessageState, Poll, PollOption, Reaction
from securechat.client.exported import FORMAT, Header, judge
from securechat.client.exporting import FORMATS, _plain

HEADER = Header(
    format=FORMAT, user="alice", room="#team", kind="room", topic="<b>lunch</b>", ts=1_800_000_000
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</p></article></body>",
    "<!-- -->",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "<style>@import url(http://evil.example/x.css)</style>",
    "![x](http://evil.example/x.png)",
    "[x](javascript:alert(1))",
    "# title\n- list\n1. one\n===\n---\n> quote\n```\ncode\n```",
    "| a | b |\n|---|---|",
    "<http://evil.example>",
    "$x^2$ ~~gone~~ **bold** _it_ `code` \\",
]


def a_message(text: str, **changes: Any) -> Message:
    given: dict[str, Any] = {
        "id": "01" * 32,
        "local_id": 7,
        "conversation": "#team",
        "sender": "bob",
        "own": False,
        "text": text,
        "timestamp": 1_800_000_000,
        "sequence": 3,
        "epoch": 2,
        "state": MessageState.RECEIVED,
        "verified": "known",
    }
    return Message(**given | changes)


def written(form: str, *messages: Message) -> str:
    made = FORMATS[form]
    return made.begin(HEADER) + "".join(made.message(each) for each in messages) + made.end


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def tags_of(*messages: Message) -> list[str]:
    return Page(written("html", *messages)).tags


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_said_is_text_in_a_page_and_nothing_else(text: str) -> None:
    hostile = a_message(
        text,
        sender=text,
        thread=text,
        reactions=(Reaction(text, (text,)),),
    )
    page = Page(written("html", hostile))

    plain = tags_of(a_message("x", thread="x", reactions=(Reaction("x", ("x",)),)))
    assert page.tags == plain
    assert page.text.count(text) >= 2
    assert not {"src", "href", "onerror", "onload", "srcset", "action"} & page.attributes
    assert "script" not in page.tags


def test_a_page_may_load_and_run_nothing() -> None:
    page = written("html", a_message("hello"))

    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page


@given(st.text(max_size=40))
def test_any_text_is_text_in_a_page(text: str) -> None:
    said = a_message(text.replace("\r", " ").replace("\0", " "))  # a page cannot hold these two

    page = Page(written("html", said))
    assert page.tags == tags_of(a_message("x"))
    assert said.text in page.text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_said_is_text_in_markdown(text: str) -> None:
    said = written("md", a_message(text)).split("\n\n", 3)[3]

    assert all(line.startswith("> ") for line in said.rstrip("\n").split("\n"))
    for line in said.rstrip("\n").split("\n"):
        inside = line[2:]
        assert not inside.lstrip().startswith(("#", ">", "-", "+", "=", "|", "`", "~", "*"))
        for place, sign in enumerate(inside):
            if sign in "`*_[]<>#|~!&$^{}":
                assert inside[place - 1] == "\\"


@pytest.mark.parametrize(
    ("text", "escaped"), [("1. one", "1\\. one"), ("2) x", "2\\) x"), ("- x", "\\- x"), ("a - b", "a - b")]
)
def test_lists_are_not_made_of_what_was_said(text: str, escaped: str) -> None:
    assert _plain(text) == escaped


def test_o_02_a_message_of_empty_lines_is_written_as_quickly_as_any() -> None:
    """If each line were looked for in all that follow, this alone would take minutes."""
    assert _plain("\n" * 60_000 + " 1. x") == "\n" * 60_000 + " 1\\. x"


def test_an_indented_line_is_no_code_in_markdown() -> None:
    """U-02."""
    said = written("md", a_message("    *a*\n     b")).split("\n\n", 3)[3]
    assert said == "> &nbsp;&nbsp;&nbsp;&nbsp;\\*a\\*\n> &nbsp;&nbsp;&nbsp;&nbsp;&nbsp;b\n"


def test_json_lines_are_judged_well() -> None:
    lines = written("jsonl", a_message("one"), a_message("two\nlines", own=True, sender="alice"))

    header, count = judge(line.encode() for line in lines.splitlines())
    assert (header.room, count) == ("#team", 2)
    second = msgspec.json.decode(lines.splitlines()[2])
    assert (second["type"], second["from"], second["room"], second["ts"]) == (
        "message",
        "alice",
        "#team",
        1_800_000_000,
    )


@pytest.mark.parametrize("form", list(FORMATS))
def test_what_a_message_is_beside_its_text_is_told(form: str) -> None:
    text = written(
        form,
        a_message("", poll=Poll("lunch?", (PollOption("pizza", ("bob",)), PollOption("soup")))),
        a_message("see", file=FileInfo(name="plan.pdf", size=9)),
        a_message("", deleted=True),
        a_message("later", edited=7, verified="changed"),
    )

    for word in ("lunch?", "pizza", "plan.pdf", "deleted", "edited", "changed"):
        assert word in text


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("seconds", [-(1 << 63), (1 << 63) - 1])
def test_no_time_is_too_strange_to_be_written(form: str, seconds: int) -> None:
    """C-06."""
    assert written(form, a_message("x", timestamp=seconds))
