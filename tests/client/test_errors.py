import pytest

from securechat.client import errors
from securechat.client.errors import (
    ClientError,
    Forbidden,
    NameTaken,
    RefusedByServer,
    ServerChanged,
    ServerUntrusted,
    UnknownUser,
    refusal,
)
from securechat.protocol.messages import REFUSALS


def test_every_code_of_the_wire_has_a_sentence_and_an_exit_code() -> None:
    for code, sentence in REFUSALS.items():
        error = refusal(code)
        assert str(error) == sentence
        assert error.exit_code in {1, 3, 5, 6, 75}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unknown_user", UnknownUser),
        ("name_taken", NameTaken),
        ("registration_closed", Forbidden),
        ("stale_epoch", RefusedByServer),
    ],
)
def test_a_refusal_has_the_class_of_its_code(code: str, kind: type[RefusedByServer]) -> None:
    assert type(refusal(code)) is kind


def test_a_servers_words_can_not_act_on_the_terminal() -> None:
    """U-01."""
    assert str(refusal("internal", "\x1b[2J\u202eboo")) == r"\x1b[2J\u202eboo"
    assert str(refusal("\x1b]0;x")) == r"the server refused: \x1b]0;x"


def test_keys_that_are_not_trusted_end_a_command_with_4() -> None:
    assert ServerUntrusted("no").exit_code == 4
    assert ServerChanged("no", old="a", new="b").exit_code == 4


def test_our_own_no_is_no_matter_of_the_network() -> None:
    codes = {code: Forbidden(code, "no").exit_code for code in ("bad_request", "not_author", "quota")}
    assert codes == {"bad_request": 1, "not_author": 6, "quota": 5}


def test_every_error_of_ours_is_a_client_error_with_an_exit_code() -> None:
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ClientError)
    ]
    assert len(kinds) > 20
    assert all(isinstance(kind.default_exit_code, int) for kind in kinds)


def test_a_code_that_no_honest_server_gives_is_made_safe_too() -> None:
    """U-01."""
    error = refusal("\x1b]0;owned\x07")

    assert error.code == "\\x1b]0;owned\\x07"
    assert "\x1b" not in str(error)
