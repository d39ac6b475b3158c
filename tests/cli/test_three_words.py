"""What a person is to us is said in three words, the same on every face: verified, known, changed (D-04)."""

import re
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from msgspec import structs

from securechat.cli.json_lines import conversation_json
from securechat.cli.known import contact_text
from securechat.cli.show import members_text, message_text
from securechat.cli.verifying import head
from securechat.client.doubt import CHANGED, IDENTITY_WORDS, KNOWN, doubt, identity_word
from securechat.client.events import Contact, Conversation, Identity, Kind, Member, Standing
from securechat.client.exporting import FORMATS
from securechat.locale.catalogue import ENGLISH, tr, use
from securechat.locale.po import languages, load
from securechat.tui.message_lines import Place, Setting, message_lines
from securechat.tui.paint import Line
from securechat.tui.panels import people_lines, status_line
from tests.client.holder import a_message
from tests.locale.test_catalogue import helps, said, spoken, tables


def a_contact(identity: Identity) -> Contact:
    return Contact(
        user="bob",
        verified=identity is Identity.VERIFIED,
        changed=identity is Identity.CHANGED,
        since=1,
        safety_number="11111",
        conversations=(),
        identity=identity,
    )


def a_conversation(identity: Identity) -> Conversation:
    return Conversation(
        name="@bob",
        kind=Kind.DIRECT,
        state=Standing.JOINED,
        epoch=1,
        suite="suite",
        members=(Member("alice", "member", 1), Member("bob", "member", 1, identity)),
        title="",
        topic="",
        invited_by="",
        may_speak=True,
        identity=identity,
    )


def text(lines: list[Line]) -> str:
    return "\n".join("".join(piece.text for piece in line) for line in lines)


FACES: Final[dict[str, Callable[[Identity], str]]] = {
    "/contacts": lambda identity: contact_text(a_contact(identity)),
    "/verify": lambda identity: head(a_contact(identity)),
    "/members": lambda identity: members_text(a_conversation(identity)),
    "the people beside a conversation": lambda identity: text(people_lines(a_conversation(identity), 40)),
    "the status line": lambda identity: text(
        [status_line(a_conversation(identity), online=True, why="", waiting=0, dnd=False)]
    ),
}


@pytest.fixture(params=[ENGLISH, *languages()])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    use(request.param)
    yield request.param
    use(ENGLISH)


@pytest.mark.usefixtures("language")
@pytest.mark.parametrize("face", FACES)
def test_every_face_says_the_one_word_and_neither_of_the_others(face: str) -> None:
    for identity in Identity:
        found = [
            one for one in Identity if re.search(rf"\b{tr(identity_word(one))}\b", FACES[face](identity))
        ]
        assert found == [identity], FACES[face](identity)


@pytest.mark.usefixtures("language")
def test_the_three_words_are_three() -> None:
    assert {identity_word(each) for each in Identity} == {"verified", "known", "changed"}
    assert len({tr(word) for word in IDENTITY_WORDS.values()}) == 3
    assert tr("edited") not in {tr(word) for word in IDENTITY_WORDS.values()}, "what is said of a message"
    assert identity_word(None) == ""


def test_programs_read_the_same_words() -> None:
    for identity in Identity:
        assert conversation_json(a_conversation(identity))["identity"] == identity_word(identity)


def test_a_message_of_changed_keys_says_so_on_every_face_and_no_other_does() -> None:
    """U-04: what is new to this version vouches for nobody."""
    of_bob = a_message(1)
    for verified, word in ((KNOWN, ""), (CHANGED, "changed"), ("something of next year", "changed")):
        message = structs.replace(of_bob, verified=verified)
        drawn = text(message_lines(message, Place(), Setting(width=60)))
        for shown in (
            message_text(message),
            drawn,
            FORMATS["md"].message(message),
            FORMATS["html"].message(message),
        ):
            assert ("changed" in shown) is bool(word)
        assert doubt(verified) == word


OTHER_WORDS: Final = re.compile(
    r"\b(un|not )verified (person|people|user|contact)|\bunverified\b"
    r"|\b(un)?trusted (person|people|user|contact|device)"
    r"|\bkeys changed\b|\bidentity (is )?(verified|confirmed)\b|^not verified$|\bfirst.use\b",
    re.IGNORECASE,
)


def test_no_sentence_has_other_words_for_it() -> None:
    texts = said() | {one for _file, one in spoken()} | tables() | helps()
    assert [one for one in texts if OTHER_WORDS.search(one)] == []
    assert len(texts) > 500, "there is something to look at"


def test_every_language_has_the_three() -> None:
    assert [one for one in languages() if not set(IDENTITY_WORDS.values()) <= load(one).keys()] == []
