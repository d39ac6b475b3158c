"""Linking a device (D-05): the code is of the whole transcript, and nothing else opens anything."""

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.account import NextStatement, next_statement
from securechat.membership.identity import make_client_credential
from securechat.membership.invite import new_invite
from securechat.membership.linking import (
    CODE_LETTERS,
    Code,
    CodeRefused,
    Extra,
    LinkPayload,
    LinkRefused,
    Meeting,
    Newcomer,
    NewSide,
    OldSide,
    Sibling,
    answer_link,
    ask_to_link,
    check_payload,
    qr_text,
    read_code,
    restore_old_side,
)
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.names import client_uri, user_uri

DOMAIN, USER = "chat.example", "alice"
OLD, NEW, THIRD = "o" * 26, "n" * 26, "t" * 26
ACCOUNT_KEY, DEVICE_KEY = new_key(), new_key()
VAULT_KEY = b"v" * 32


def ask(**other: Any) -> NewSide:
    said = {
        "domain": DOMAIN,
        "user": USER,
        "client": NEW,
        "device_key": public_of(DEVICE_KEY),
        "name": "laptop",
        "suites": PRODUCT_SUITES,
        "salt": b"s" * 16,
    }
    return ask_to_link(**{**said, **other})


def answer(commitment: bytes, **other: Any) -> OldSide:
    said = {"domain": DOMAIN, "user": USER, "client": OLD, "name": "desk"}
    return answer_link(commitment=commitment, **{**said, **other})


def meet() -> tuple[Meeting, Meeting]:
    """What the new and the old device have where nobody stands between."""
    new = ask()
    old = answer(new.newcomer.commitment)
    return new.meet(old.sibling), old.meet(new.newcomer)


def first_statement(key: Ed25519PrivateKey = ACCOUNT_KEY, user: str = USER) -> bytes:
    device = Device(client_uri(DOMAIN, OLD).encode(), b"d" * 32)
    return make_statement(key, user=user_uri(DOMAIN, user), devices=(device,), issued_at=1)


def added(key: Ed25519PrivateKey = ACCOUNT_KEY, user: str = USER, **other: Any) -> NextStatement:
    client, device = other.get("client", NEW), other.get("device_key", public_of(DEVICE_KEY))
    suites = other.get("suites", PRODUCT_SUITES)
    return next_statement(
        key, previous=first_statement(key, user), issued_at=2, add=[(client, device, suites)]
    )


def payload_of(made: NextStatement, **other: Any) -> LinkPayload:
    said = LinkPayload(1, made.added[0].credential, made.statement, b"sealed key", b"s" * 32, ())
    return msgspec.structs.replace(said, **other)


# --- two who hear each other -----------------------------------------------------------------------------


def test_d_05_both_sides_have_one_code_and_one_key() -> None:
    new, old = meet()
    payload = payload_of(added(), extras=(Extra(b"anchors", b"..."),))

    assert new.code == old.code
    assert old.has_code(read_code(new.code))
    assert new.open(old.seal(payload, VAULT_KEY), VAULT_KEY) == payload
    assert check_payload(payload, new.newcomer, public_of(ACCOUNT_KEY)).serial == 2


def test_two_requests_have_nothing_in_common() -> None:
    (one, _), (_, other) = meet(), meet()

    assert one.code != other.code
    with pytest.raises(LinkRefused):
        one.open(other.seal(payload_of(added()), VAULT_KEY), VAULT_KEY)


def test_an_answer_goes_on_after_its_process_has_ended() -> None:
    new = ask()
    old = answer(new.newcomer.commitment)
    again = restore_old_side(
        domain=DOMAIN,
        user=USER,
        commitment=old.commitment,
        client=OLD,
        name="desk",
        secret=old.secret.private_bytes_raw(),
    )

    assert again.sibling == old.sibling
    assert again.meet(new.newcomer).code == new.meet(old.sibling).code


def test_what_is_sealed_twice_differs() -> None:
    _, old = meet()
    payload = payload_of(added())
    assert old.seal(payload, VAULT_KEY) != old.seal(payload, VAULT_KEY)


def test_no_secret_is_printed() -> None:
    new, old = ask(), answer(bytes(32))
    meeting = meet()[0]
    for shown in (new, old, meeting, payload_of(added()), Extra(b"label", b"hidden data")):
        text = repr(shown)
        assert "PrivateKey" not in text
        assert "hidden" not in text
        assert repr(meeting.shared) not in text


# --- somebody between --------------------------------------------------------------------------------------


def test_d_05_who_replaces_the_keys_makes_two_codes() -> None:
    new = ask()
    mallory = ask(device_key=public_of(new_key()))
    old = answer(mallory.newcomer.commitment)
    between = answer(new.newcomer.commitment)

    assert old.meet(mallory.newcomer).code != new.meet(between.sibling).code


def test_d_05_who_has_promised_one_key_cannot_show_another() -> None:
    new, mallory = ask(), ask(device_key=public_of(new_key()))
    old = answer(new.newcomer.commitment)

    with pytest.raises(LinkRefused, match="promised"):
        old.meet(mallory.newcomer)


def flipped(said: Newcomer, field: str) -> Newcomer:
    """What a newcomer says, with one field of it changed."""
    value = getattr(said, field)
    other = (value[0] ^ 1, *value[1:]) if field == "suites" else bytes([value[0] ^ 1]) + value[1:]
    return msgspec.structs.replace(said, **{field: other})


@pytest.mark.parametrize("field", Newcomer.__struct_fields__)
def test_d_05_every_field_of_a_newcomer_is_promised(field: str) -> None:
    said = ask().newcomer
    with pytest.raises(LinkRefused, match="promised"):
        answer(said.commitment).meet(flipped(said, field))


@pytest.mark.parametrize("field", ["name", "device_key", "suites", "client", "salt", "nonce"])
def test_d_05_every_field_of_a_newcomer_is_in_the_code(field: str) -> None:
    new = ask()
    changed = flipped(new.newcomer, field)
    old = answer(changed.commitment)  # the server made that promise for it

    assert old.meet(changed).code != new.meet(old.sibling).code


@pytest.mark.parametrize(
    "change",
    [
        lambda said: msgspec.structs.replace(said, client=THIRD.encode()),
        lambda said: msgspec.structs.replace(said, name=b"desk of mallory"),
        lambda said: msgspec.structs.replace(said, key=answer(bytes(32)).sibling.key),
    ],
    ids=["client", "name", "key"],
)
def test_d_05_every_field_of_an_answer_is_in_the_code(change: Callable[[Sibling], Sibling]) -> None:
    new = ask()
    old = answer(new.newcomer.commitment)

    assert new.meet(change(old.sibling)).code != old.meet(new.newcomer).code


@pytest.mark.parametrize(("field", "other"), [("domain", "evil.example"), ("user", "bob")])
def test_d_05_a_request_for_another_account_is_none(field: str, other: str) -> None:
    new = ask(**{field: other})
    with pytest.raises(LinkRefused, match="another account"):
        answer(new.newcomer.commitment).meet(new.newcomer)


def test_d_05_an_echo_is_no_answer() -> None:
    new = ask()
    old = answer(new.newcomer.commitment)
    with pytest.raises(LinkRefused, match="repeats"):
        new.meet(msgspec.structs.replace(old.sibling, key=new.newcomer.key))
    mirrored = msgspec.structs.replace(new.newcomer, key=old.sibling.key)
    with pytest.raises(LinkRefused, match="repeats"):
        OldSide(DOMAIN, USER, mirrored.commitment, old.sibling, old.secret).meet(mirrored)


def test_d_05_no_device_answers_itself() -> None:
    new = ask()
    with pytest.raises(LinkRefused, match="this device"):
        new.meet(answer(new.newcomer.commitment, client=NEW).sibling)


@pytest.mark.parametrize("key", [bytes(32), bytes([1]) + bytes(31)])
def test_d_05_keys_that_fix_the_secret_are_refused(key: bytes) -> None:
    new = ask()
    old = answer(new.newcomer.commitment)
    with pytest.raises(LinkRefused, match="none"):
        new.meet(msgspec.structs.replace(old.sibling, key=key))


# --- what is sealed ----------------------------------------------------------------------------------------


def test_d_05_what_is_sealed_is_for_one_transcript() -> None:
    """The same two keys under another name of the device: another transcript, and nothing opens."""
    new = ask()
    old = answer(new.newcomer.commitment)
    renamed = NewSide(msgspec.structs.replace(new.newcomer, name=b"other"), new.secret)

    sealed = old.meet(new.newcomer).seal(payload_of(added()), VAULT_KEY)
    with pytest.raises(LinkRefused):
        renamed.meet(old.sibling).open(sealed, VAULT_KEY)


def test_d_05_what_is_sealed_opens_whole_or_not_at_all() -> None:
    new, old = meet()
    sealed = old.seal(payload_of(added()), VAULT_KEY)
    for end in (0, 1, 12, 27, 28, len(sealed) - 1):
        with pytest.raises(LinkRefused):
            new.open(sealed[:end], VAULT_KEY)
    for place in range(0, len(sealed), 7):
        with pytest.raises(LinkRefused):
            new.open(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], VAULT_KEY)


def test_d_05_what_is_sealed_opens_by_the_password_only() -> None:
    """A server that has sat between them has the X25519 secret; it has not the password."""
    new, old = meet()
    sealed = old.seal(payload_of(added()), VAULT_KEY)
    with pytest.raises(LinkRefused, match="password"):
        new.open(sealed, b"w" * 32)


def test_a_payload_of_a_later_version_says_so() -> None:
    new, old = meet()
    with pytest.raises(LinkRefused, match="newer"):
        new.open(old.seal(payload_of(added(), version=2), VAULT_KEY), VAULT_KEY)


MALLORYS = new_key()


@pytest.mark.parametrize(
    "payload",
    [
        payload_of(added(MALLORYS)),
        payload_of(added(user="bob")),
        payload_of(added(client=THIRD)),
        payload_of(added(device_key=b"x" * 32)),
        payload_of(added(suites=(*PRODUCT_SUITES, 0xF0FF))),
        payload_of(added(), credential=added(client=THIRD).added[0].credential),
        payload_of(added(), statement=first_statement()),
        payload_of(added(), statement=b"rubbish"),
        payload_of(added(), credential=b"rubbish"),
        payload_of(
            added(),
            credential=make_client_credential(
                domain=DOMAIN,
                user=USER,
                client=NEW,
                account_key=MALLORYS,
                signature_key_public=public_of(DEVICE_KEY),
                suites=PRODUCT_SUITES,
            ),
        ),
    ],
    ids=[
        *("another account key", "another user", "another client", "another device key", "other suites"),
        *("certificate of another", "not in it", "no statement", "no certificate", "forged certificate"),
    ],
)
def test_d_05_only_the_own_account_is_taken(payload: LinkPayload) -> None:
    with pytest.raises(LinkRefused, match="not of its account"):
        check_payload(payload, ask().newcomer, public_of(ACCOUNT_KEY))


# --- the code as people type it ----------------------------------------------------------------------------


def test_a_code_is_two_groups_of_four_letters() -> None:
    code = meet()[0].code
    assert len(code) == CODE_LETTERS + 1
    assert code[4] == "-"
    assert read_code(code) == Code(code)


def test_what_people_make_of_a_code_is_still_it() -> None:
    code = Code("7K3Q-0V1A")
    for typed in (
        "7k3q0v1a",
        " 7K3Q 0V1A ",
        "7k3q-ou1a".replace("u", "v"),
        "7k3q-oVla",
        qr_text("7K3Q-0V1A"),
    ):
        assert read_code(typed) == code


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        pytest.param(new_invite().token, "invite", id="an invite"),
        ("#team", "room"),
        ("@bob", "person"),
        ("securechat-verify:7K3Q-0V1A", "something else"),
        ("SECURECHAT-RECOVERY:7K3Q-0V1A", "something else"),
        ("7k3q-0v1", "two groups"),
        ("7k3q-0v1a2", "two groups"),
        ("7k3q-0v1!", "two groups"),
        ("12345 " * 12, "two groups"),
        ("", "two groups"),
    ],
)
def test_d_05_what_is_for_something_else_is_told_and_tried_nowhere(typed: str, said: str) -> None:
    with pytest.raises(CodeRefused, match=said) as refused:
        read_code(typed)
    assert typed == "" or typed not in str(refused.value)


@given(st.text(max_size=80))
def test_any_text_is_a_code_or_one_error(typed: str) -> None:
    with contextlib.suppress(CodeRefused):
        assert len(read_code(typed).letters) == CODE_LETTERS


def test_codes_use_all_their_bits() -> None:
    drawn = {meet()[0].code.replace("-", "") for _ in range(120)}
    assert len(drawn) == 120
    for place in range(CODE_LETTERS):
        assert len({code[place] for code in drawn}) > 16


def test_the_secret_of_an_answer_is_its_own() -> None:
    assert len({answer(bytes(32)).secret.private_bytes_raw() for _ in range(3)}) == 3
