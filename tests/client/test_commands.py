import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.commands import Command, Leave, Line, Mistake, Nothing, Say, Turn, read_line


@pytest.mark.parametrize(
    ("typed", "meaning"),
    [
        ("@bob: hello", Say("@bob", "hello")),
        ("@bob:Hello", Say("@bob", "Hello")),
        ("@bob hello: you", Say("@bob", "hello: you")),
        ("@bob : hello", Say("@bob", "hello")),
        ("#team: hi all", Say("#team", "hi all")),
        ("@bob", Turn("@bob")),
        ("#team:", Turn("#team")),
        ("just text", Say("", "just text")),
        ("# a heading", Say("", "# a heading")),
        ("@", Say("", "@")),
        ("//etc/passwd", Say("", "/etc/passwd")),
        ("exit", Leave()),
        ("/quit", Leave()),
        ("exit now", Say("", "exit now")),
        ("", Nothing()),
        ("   ", Nothing()),
        ("/msg @bob a  b", Command("msg", ("@bob", "a", "b"), "@bob a  b")),
        ("/WHO", Command("members", (), "")),
        ("/kick @bob", Command("remove", ("@bob",), "@bob")),
    ],
)
def test_a_line_has_one_meaning(typed: str, meaning: Line) -> None:
    assert read_line(typed) == meaning


@pytest.mark.parametrize("typed", ["/nick alice", "/usr/bin/env", "/", "/ hello", "/mgs @bob secret"])
def test_what_looks_like_a_command_is_never_sent_as_text(typed: str) -> None:
    assert isinstance(read_line(typed), Mistake)


@given(st.text())
def test_every_string_has_a_meaning_and_no_unknown_command_is_sent(typed: str) -> None:
    meaning = read_line(typed)
    if typed.strip().startswith("/") and not typed.strip().startswith("//"):
        assert not isinstance(meaning, Say)
