"""U-01: what is brought in is judged where it is kept: the socket takes it from any program."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from securechat.client import records, timeline
from securechat.client.events import FileInfo, Message, Reaction
from securechat.client.exported import FORMAT, Header, NotImported, Said, safe_header, safe_said
from securechat.client.importing import bring_in
from securechat.client.marks import marks
from tests.client.spoken import Spoken

HEADER = Header(format=FORMAT, user="alice", room="@bob", kind="direct")
SAID = Said(id="01" * 32, sender="bob", text="hello", ts=1_700_000_000)
EVIL = "\x1b]0;pwn\x07\x1b[2J\u202e"


@pytest.fixture
def here(tmp_path: Path) -> Spoken:
    return Spoken(tmp_path)


def brought(here: Spoken, *batch: Said, header: Header = HEADER) -> list[Message]:
    with here.changes.change() as change:
        bring_in(change, here.device, header, list(batch))
    record = records.by_name(here.store.db, header.room)
    assert record is not None
    return timeline.page(here.store.db, record.id)


def test_nothing_of_it_can_act_on_a_terminal(here: Spoken) -> None:
    file = FileInfo(name=EVIL, size=1, state=EVIL, content_type=EVIL, path="/etc/passwd", thumbnail=b"x")
    said = structs.replace(SAID, text=EVIL, thread=EVIL, reactions=(Reaction(EVIL, ("bob",)),), file=file)

    (message,) = brought(here, said)

    assert "\x1b" not in repr(message).replace(r"\x1b", "")
    assert message.text == r"\x1b]0;pwn\x07\x1b[2J\u202e"
    assert message.file == FileInfo(name=message.text, size=1, content_type=message.text)


def test_neither_does_the_last_line_of_a_conversation_vouch_for_it(here: Spoken) -> None:
    brought(here, SAID)
    record = records.by_name(here.store.db, "@bob")
    assert record is not None

    assert marks(here.store.db, record.id).last == "(imported) hello"


@pytest.mark.parametrize(
    "said",
    [
        structs.replace(SAID, sender="bob\x1b[2K (verified)"),
        structs.replace(SAID, sender=""),
        structs.replace(SAID, id=""),
        structs.replace(SAID, reactions=(Reaction("x", ("\x1b",)),)),
    ],
)
def test_a_message_that_nobody_could_have_sent_is_refused(here: Spoken, said: Said) -> None:
    with pytest.raises(NotImported):
        brought(here, SAID, said)
    assert records.by_name(here.store.db, "@bob") is None


@pytest.mark.parametrize("room", ["@Bob", "@../x", "#team", "bob", "", "@\x1b[2J"])
def test_a_conversation_of_any_name_is_not_made(here: Spoken, room: str) -> None:
    with pytest.raises(NotImported):
        brought(here, SAID, header=structs.replace(HEADER, room=room))


def test_the_longest_text_of_any_script_is_read_again(here: Spoken) -> None:
    """Each line from right to left is two code points longer when it is safe to show."""
    long = structs.replace(SAID, text="\u05d0\n" * 32 * 1024, thread="\u05d0" * 512)

    (message,) = brought(here, long)

    assert message.text.startswith("\u2068\u05d0\u2069\n")
    assert safe_said(structs.replace(SAID, text=message.text, thread=message.thread)).text == message.text


@given(
    st.builds(
        Said, id=st.just("01" * 32), sender=st.just("bob"), text=st.text(), ts=st.just(1), thread=st.text()
    )
)
def test_what_was_judged_already_stays_as_it_is(said: Said) -> None:
    once = safe_said(said)

    assert safe_said(once) == once
    header = safe_header(structs.replace(HEADER, title=said.text, topic=said.thread))
    assert safe_header(header) == header
