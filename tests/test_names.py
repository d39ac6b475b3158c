"""Names have one spelling each, and everything else is refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat import names
from securechat.names import MimiUri, NameRefused, UriKind

CLIENT = "k3v9x0q2m7w5t1zz"


@pytest.mark.parametrize(
    ("typed", "folded"),
    [("alice", "alice"), ("@Bob", "bob"), ("ALICE", "alice"), ("a.b_c-9", "a.b_c-9"), ("x" * 32, "x" * 32)],
)
def test_a_user_name_is_folded(typed: str, folded: str) -> None:
    assert names.fold_user(typed) == folded


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "@",
        "@@bob",
        "9lives",
        "-dash",
        "x" * 33,
        "alice ",
        " alice",
        "al ice",
        "\u0430lice",  # Cyrillic a
        "alice\u200b",
        "\u212aate",  # Kelvin sign: str.lower makes it a k
        "alice\n",
        "al\x00ice",
        "alicé",
    ],
)
def test_u_04_what_only_looks_like_a_user_name_is_refused(typed: str) -> None:
    with pytest.raises(NameRefused, match=r"^A user name is .*\.$"):
        names.fold_user(typed)


@pytest.mark.parametrize(
    ("typed", "folded"),
    [("#Team", "team"), ("Straße", "strasse"), ("büro-2", "büro-2"), ("チーム", "チーム"), ("\uff11", "1")],
)
def test_a_room_alias_is_folded(typed: str, folded: str) -> None:
    assert names.fold_room_alias(typed) == folded


@pytest.mark.parametrize(
    "typed", ["", "#", "a b", "a:b", "x" * 65, "a\u200bb", "-a", "\u0301a", "a\x1b", "😀"]
)
def test_a_room_alias_outside_the_grammar_is_refused(typed: str) -> None:
    with pytest.raises(NameRefused):
        names.fold_room_alias(typed)


@given(st.text(max_size=80))
def test_folding_twice_is_folding_once(typed: str) -> None:
    for fold in (names.fold_user, names.fold_room_alias, names.fold_domain):
        try:
            once = fold(typed)
        except NameRefused:
            continue
        assert fold(once) == once


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "-a.example", "a_b", "x" * 64, "a." * 130 + "a", "ä.de", "a/b"]
)
def test_a_domain_outside_the_grammar_is_refused(domain: str) -> None:
    with pytest.raises(NameRefused):
        names.fold_domain(domain)


def test_a_domain_of_253_letters_is_the_longest() -> None:
    longest = ".".join(["x" * 63] * 3 + ["x" * 61])
    assert names.fold_domain(longest.upper()) == longest
    with pytest.raises(NameRefused):
        names.fold_domain(longest + "x")


def test_uris_have_one_form() -> None:
    assert names.user_uri("chat.example", "alice") == "mimi://chat.example/u/alice"
    assert names.client_uri("localhost", CLIENT) == f"mimi://localhost/d/{CLIENT}"
    assert names.room_uri("localhost", CLIENT) == f"mimi://localhost/r/{CLIENT}"
    assert names.parse_user_uri(b"mimi://chat.example/u/alice") == MimiUri(
        "chat.example", UriKind.USER, "alice"
    )


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mimi://chat.example/u/Alice",
        "mimi://Chat.example/u/alice",
        "mimi://chat.example/u/@alice",
        "mimi://chat.example/u/alice/",
        "mimi://chat.example/u/alice\n",
        "mimi://chat.example/x/alice",
        "mimi://chat.example/d/short",
        "MIMI://chat.example/u/alice",
        "mimi:///u/alice",
        b"mimi://chat.example/u/alic\xe9",
    ],
)
def test_a_uri_spelled_otherwise_is_refused(uri: str | bytes) -> None:
    with pytest.raises(NameRefused):
        names.parse_uri(uri)


def test_a_uri_of_another_kind_is_refused() -> None:
    with pytest.raises(NameRefused, match="client"):
        names.parse_client_uri("mimi://chat.example/u/alice")
    with pytest.raises(NameRefused, match="room"):
        names.parse_room_uri(names.client_uri("chat.example", CLIENT))


@given(
    st.from_regex(r"\A[a-z][a-z0-9._-]{0,31}\Z"), st.from_regex(r"\A[a-z0-9]{1,9}(\.[a-z0-9]{1,9}){0,3}\Z")
)
def test_what_is_made_parses_to_the_same(user: str, domain: str) -> None:
    assert names.parse_user_uri(names.user_uri(domain, user)) == (domain, UriKind.USER, user)


@given(st.one_of(st.text(), st.binary()))
def test_parsing_a_uri_never_fails_otherwise(uri: str | bytes) -> None:
    try:
        parsed = names.parse_uri(uri)
    except NameRefused:
        return
    assert str(parsed) == (uri if isinstance(uri, str) else uri.decode("ascii"))
