"""Every kind of message is written and read again; what is none of them is words."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from securechat.content import message, own_types
from securechat.content.errors import ContentError
from securechat.content.mentions import MARKDOWN, with_mentions, without_links
from securechat.content.message import Frame, framed, text_part
from securechat.content.mimi import (
    CHOOSE_ONE,
    REACTION,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
    UnknownPart,
    decode,
    encode,
)
from securechat.content.own_types import PollAsked, SharedHistory
from securechat.content.saying import (
    Asks,
    Changes,
    Closes,
    Hands,
    Reacts,
    Reports,
    Said,
    SetsTimer,
    Shares,
    Types,
    Votes,
    Withdraws,
    Words,
    is_reaction,
    said,
)
from securechat.content.sealed_file import SealedFile, file_part
from securechat.content.status import READ, STATUS_TYPE, decode_report, encode_report
from securechat.content.threads import is_topic_name, topic_name
from tests.content.examples import find_examples

DOMAIN = "chat.example"
BOB = f"mimi://{DOMAIN}/u/bob"
ID, OTHER = b"\x01" + bytes(31), b"\x01" + bytes(30) + b"\x07"
FRAME = Frame(
    salt=bytes(16),
    sender_uri=f"mimi://{DOMAIN}/u/alice",
    room_uri=f"mimi://{DOMAIN}/r/0123456789abcdef",
    in_reply_to=ID,
)
SHARED = SharedHistory(
    user=BOB, count=3, id=bytes(32), key=bytes(32), prefix=bytes(7), size=9, digest=bytes(32)
)
FILE = SealedFile(
    id=bytes(32),
    key=bytes(32),
    prefix=bytes(7),
    size=5,
    digest=bytes(32),
    name="a",
    content_type="text/plain",
)
TEA = PollAsked("Tea?", ("green", "black"))

KINDS: list[tuple[MimiContent, Said]] = [
    (framed(text_part("hello"), FRAME), Words("hello")),
    (framed(text_part("hi"), FRAME, replaces=OTHER), Changes(OTHER, Words("hi"))),
    (message.withdrawal(ID, FRAME), Withdraws(ID)),
    (message.withdrawal(ID, FRAME, disposition=REACTION), Withdraws(ID)),
    (message.reaction("👍", FRAME), Reacts(ID, ("👍",))),
    (message.poll(TEA, FRAME), Asks(TEA)),
    (message.vote((2, 1), FRAME), Votes(ID, (1, 2))),
    (message.vote((), FRAME), Votes(ID, ())),
    (message.closing(FRAME), Closes(ID)),
    (message.timer(60, FRAME), SetsTimer(60)),
    (message.sharing(SHARED, FRAME), Shares(SHARED)),
    (message.typing(FRAME, on=True), Types(on=True)),
    (message.report(((OTHER, READ),), FRAME), Reports(((OTHER, READ),))),
]


@pytest.mark.parametrize(("content", "means"), KINDS, ids=lambda each: type(each).__name__)
def test_each_kind_is_read_as_it_was_written(content: MimiContent, means: Said) -> None:
    assert said(decode(encode(content)), domain=DOMAIN) == means


@pytest.mark.skipif(not find_examples(), reason="the draft's examples are not beside the project")
def test_the_drafts_examples_mean_what_the_draft_says() -> None:
    means = {path.stem: said(decode(path.read_bytes()), domain="example.com") for path in find_examples()}
    reply = bytes.fromhex("015354973c2b65ca937bf1e035ae53a5ab80e947afa43d46920d4202e5cc0b27")

    assert means["edit"] == Changes(reply, Words("Right on! _Congratulations_ y'all!"))
    assert means["delete"] == Withdraws(reply)
    assert isinstance(reaction := means["reaction"], Reacts)
    assert reaction.texts == ("❤",)
    assert isinstance(unlike := means["unlike"], Withdraws)
    assert unlike.target.hex().startswith("0158c4288911")
    assert isinstance(mention := means["mention"], Words)
    assert mention.text == "Kudos to @alice-smith for making the release happen!"
    assert mention.people == {"mimi://example.com/u/alice-smith"}
    assert isinstance(means["attachment"], Hands)
    assert means["multipart-1"] == Words("# Welcome!")


def test_several_reactions_are_parts_of_one_message() -> None:
    parts = tuple(SinglePart("text/plain;charset=utf-8", each.encode(), REACTION) for each in "❤👍❤")
    content = framed(MultiPart(2, parts, REACTION), FRAME)
    assert said(content, domain=DOMAIN) == Reacts(ID, ("❤", "👍"))


MALFORMED = {
    "a poll of one option": SinglePart(own_types.POLL_TYPE, cbor2.dumps([1, "Tea?", ["green"]])),
    "a poll of ten thousand": SinglePart(own_types.POLL_TYPE, cbor2.dumps([1, "Tea?", ["x"] * 10_000])),
    "a poll of another version": SinglePart(own_types.POLL_TYPE, cbor2.dumps([2, "Tea?", ["a", "b"]])),
    "a long question": SinglePart(own_types.POLL_TYPE, cbor2.dumps([1, "x" * 501, ["a", "b"]])),
    "an empty option": SinglePart(own_types.POLL_TYPE, cbor2.dumps([1, "x", ["a", ""]])),
    "the end of a poll with something more": SinglePart(own_types.CLOSE_TYPE, cbor2.dumps([1, 2])),
    "the end of a poll of another version": SinglePart(own_types.CLOSE_TYPE, cbor2.dumps([2])),
    "a vote for nothing there can be": SinglePart(own_types.VOTE_TYPE, cbor2.dumps([1, [0]])),
    "a vote twice for one": SinglePart(own_types.VOTE_TYPE, cbor2.dumps([1, [1, 1]])),
    "a timer of a thousand years": SinglePart(own_types.TIMER_TYPE, cbor2.dumps([1, 2**31])),
    "a timer that is a truth": SinglePart(own_types.TIMER_TYPE, cbor2.dumps([1, True])),
    "typing that is a number": SinglePart(own_types.TYPING_TYPE, cbor2.dumps([1, 1])),
    "a report of too many": SinglePart(STATUS_TYPE, cbor2.dumps([[ID, 1]] * 1001)),
    "a report of a short id": SinglePart(STATUS_TYPE, cbor2.dumps([[ID[:31], 1]])),
    "a report with something after it": SinglePart(STATUS_TYPE, cbor2.dumps([[ID, 1]]) + b"\x00"),
    "no CBOR": SinglePart(own_types.POLL_TYPE, b"\xff"),
    "nothing": SinglePart(own_types.POLL_TYPE, b""),
    "a reaction of many words": SinglePart("text/plain", b"I do like this a lot", REACTION),
    "a reaction that acts": SinglePart("text/plain", b"\x1b", REACTION),
}


@pytest.mark.parametrize("part", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_named_and_never_left_out(part: SinglePart) -> None:
    """Q-06. U-02: and what should have replaced something replaces it by words only."""
    found = said(framed(part, FRAME), domain=DOMAIN)
    assert isinstance(found, Words)
    assert found.text != ""
    assert isinstance(said(framed(part, FRAME, replaces=OTHER), domain=DOMAIN), Changes)


def test_a_malformed_part_of_ours_is_read_by_the_text_beside_it() -> None:
    bad = MALFORMED["a poll of ten thousand"]
    content = framed(MultiPart(CHOOSE_ONE, (bad, text_part("Tea? 1. green"))), FRAME)
    assert said(content, domain=DOMAIN) == Words("Tea? 1. green")


def test_o_02_what_has_much_beside_it_is_words_for_it_is_read_at_every_showing() -> None:
    much = ((7, cbor2.dumps([0] * 60_000)),)
    poll, file = message.poll(TEA, FRAME), framed(file_part(FILE), FRAME)
    assert isinstance(said(file, domain=DOMAIN), Hands)
    for content in (poll, file):
        heavy = decode(encode(structs.replace(content, extensions=much)))
        assert isinstance(said(heavy, domain=DOMAIN), Words)
    assert isinstance(poll.part, MultiPart)
    crowd = MultiPart(CHOOSE_ONE, poll.part.parts + (text_part("x"),) * 900)
    assert said(framed(crowd, FRAME), domain=DOMAIN) == Words("Tea?\n1. green\n2. black")
    for hidden in (
        MultiPart(CHOOSE_ONE, (text_part("x"),) * 900),
        UnknownPart(9, (cbor2.dumps([0] * 50_000),)),
    ):
        nested = MultiPart(CHOOSE_ONE, (*poll.part.parts, hidden))
        assert isinstance(said(decode(encode(framed(nested, FRAME))), domain=DOMAIN), Words)


def test_what_takes_a_messages_place_is_no_poll_vote_timer_or_report() -> None:
    for content, _means in KINDS[5:]:
        instead = MimiContent(bytes(16), content.part, replaces=OTHER, in_reply_to=ID)
        assert isinstance(said(instead, domain=DOMAIN), Changes)


def test_a_vote_without_a_poll_and_a_reaction_to_nothing_are_words() -> None:
    alone = Frame(salt=bytes(16), sender_uri=FRAME.sender_uri, room_uri=FRAME.room_uri)
    assert said(message.vote((1,), alone), domain=DOMAIN) == Words("(votes for 1)")
    assert said(message.closing(alone), domain=DOMAIN) == Words("(closes the poll)")
    assert said(message.reaction("👍", alone), domain=DOMAIN) == Words("(reacts with 👍)")


def test_we_write_nothing_that_we_would_not_read() -> None:
    with pytest.raises(ContentError):
        message.poll(PollAsked("Tea?", ("green",)), FRAME)
    with pytest.raises(ContentError):
        message.vote((21,), FRAME)
    with pytest.raises(ContentError):
        message.timer(own_types.MAX_TIMER + 1, FRAME)
    with pytest.raises(ContentError):
        encode_report(((b"short", 1),))
    assert decode_report(encode_report(((ID, 6),))) == ((ID, 6),)


@given(st.binary(max_size=60), st.sampled_from([own_types.POLL_TYPE, own_types.VOTE_TYPE, STATUS_TYPE]))
def test_no_bytes_in_a_part_of_ours_fail_otherwise(data: bytes, content_type: str) -> None:
    """M-01."""
    said(framed(SinglePart(content_type, data), FRAME), domain=DOMAIN)


@pytest.mark.parametrize("text", ["👍", "👍🏽", "🇩🇪", "👨‍👩‍👧‍👦", "❤️", "é", "A", "1", "ß", "中"])
def test_one_sign_is_a_reaction(text: str) -> None:
    assert is_reaction(text)


@pytest.mark.parametrize(
    "text", ["", " ", "ok", "👍👍", "🇩🇪🇫🇷", "a" + "\u0301" * 20, "\u202e", "\n", "\u200d", "👍 "]
)
def test_anything_else_is_none(text: str) -> None:
    assert not is_reaction(text)


def test_a_text_without_names_is_plain_and_one_with_names_is_markdown() -> None:
    assert text_part("hello @carol", {"bob": BOB}).content_type == "text/plain;charset=utf-8"
    part = text_part("hello @Bob.", {"bob": BOB})
    assert (part.content_type, part.content) == (MARKDOWN, f"hello [@bob]({BOB}).".encode())


@pytest.mark.parametrize(
    ("typed", "people"),
    [
        ("@bob", {BOB}),
        ("(@bob), and", {BOB}),
        ("@bob's", {BOB}),
        ("bob@bob", set()),
        ("x@bob.example", set()),
        ("@bobby", set()),
        ("@bobé", set()),
        ("@@bob", set()),
    ],
)
def test_a_name_is_a_word_of_its_own(typed: str, people: set[str]) -> None:
    markdown = with_mentions(typed, {"bob": BOB})
    assert (set() if markdown is None else without_links(markdown, DOMAIN).people) == people


@given(st.text(alphabet="ab<>&;lt@bo[]()/!?m: \n", max_size=40))
def test_a_text_with_a_name_in_it_comes_back_as_it_was_typed(text: str) -> None:
    markdown = with_mentions(f"{text} @bob", {"bob": BOB})
    assert markdown is not None
    assert without_links(markdown, DOMAIN).text == f"{text} @bob"


def test_no_html_is_sent_as_html() -> None:
    """The draft's No HTML extension."""
    assert with_mentions("@bob <b>&lt;", {"bob": BOB}) == f"[@bob]({BOB}) &lt;b>&amp;lt;"


def test_a_link_is_shown_by_whom_it_means_whatever_it_is_called() -> None:
    """U-04: a sender cannot show one name and mean another."""
    shown = without_links(f"[@alice]({BOB}) [@alice](mimi://evil.example/u/alice) <{BOB}>", DOMAIN)
    assert shown.text == "@bob [@alice](mimi://evil.example/u/alice) @bob"
    assert shown.people == {BOB}


def test_a_topic_has_one_name_and_a_long_or_odd_one_a_digest() -> None:
    assert topic_name(b"") == ""
    assert topic_name(b"lunch") == "lunch"
    odd = [bytes(4096), b"\xff", b"x" * 65, b" lunch", b"\x1b[2J", b"a\nb", b"topic-0123456789abcdef"]
    names = [topic_name(each) for each in odd]
    assert all(name.startswith("topic-") and len(name) == 22 for name in names)
    assert len(set(names)) == len(odd)
    assert not any(map(is_topic_name, names))


def test_an_empty_message_is_words() -> None:
    assert said(framed(NullPart(), FRAME), domain=DOMAIN) == Words("(an empty message)")


def test_m_01_a_choice_of_very_many_parts_costs_no_more_than_reading_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One message of 64 KiB must not hold up whoever reads it: each part is looked at a few times at most."""
    looked = 0
    media_type = message._media_type

    def counted(text: str) -> tuple[str, str]:
        nonlocal looked
        looked += 1
        return media_type(text)

    monkeypatch.setattr(message, "_media_type", counted)
    parts: tuple[Part, ...] = (NullPart(), *[SinglePart(";" * 50, b"")] * 1_000)
    content = decode(encode(framed(MultiPart(CHOOSE_ONE, parts), FRAME)))

    assert said(content, domain=DOMAIN) == Words("(an empty message)")
    assert looked <= 3 * len(parts)


def test_of_a_choice_the_first_that_can_be_shown_is_read() -> None:
    html, latin = SinglePart("text/html", b"<p>"), SinglePart("text/markdown;charset=latin-1", b"\xe9")
    named = text_part("hi @bob", {"bob": BOB})
    assert said(framed(MultiPart(CHOOSE_ONE, (html, latin, named)), FRAME), domain=DOMAIN) == Words(
        "hi @bob", frozenset({BOB})
    )
    unshown = said(framed(latin, FRAME), domain=DOMAIN)
    assert isinstance(unshown, Words)
    assert "cannot show" in unshown.text
