"""No reason code without a sentence: the codes are read from the source (Q-06)."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import securechat
from securechat.client.errors import ClientError
from securechat.client.reasons import REASONS, reason
from securechat.client.sentences import EXPIRED, EXPIRED_UNREAD, HOLDS, UNREADABLE
from securechat.mls.errors import MLSError, RuleError

PACKAGE: Final = Path(securechat.__file__).parent
DOCUMENT: Final = PACKAGE.parent / "docs" / "cli.md"

PLACES: Final = {
    "hold": 2,
    "_wait": 1,
    "note": 2,
    "tell": 2,
    "tell_account": 1,
    "Notice": 0,
    "keep_unreadable": 3,
    "PubliclyInvalid": 1,
}
"""Who takes a code, and at which place."""

OPENING: Final = ("messaging", "protection", "secret_tree", "aead", "epoch")
"""Modules of MLS through which a message is opened."""


def calls(file: Path) -> Iterator[tuple[str, list[ast.expr]]]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
                yield name, arguments


def words(expression: ast.expr) -> set[str]:
    """The constants that an argument may be."""
    match expression:
        case ast.Constant(value=str(word)):
            return {word}
        case ast.IfExp(body=one, orelse=other):
            return words(one) | words(other)
        case _:
            return set()


def told() -> set[str]:
    found: set[str] = set()
    for file in (PACKAGE / "client").glob("*.py"):
        for name, arguments in calls(file):
            if name in PLACES and len(arguments) > PLACES[name]:
                found |= words(arguments[PLACES[name]])
    return found


def of_errors(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for each in kind.__subclasses__():
        yield from of_errors(each)


def rules() -> set[str]:
    return {
        word.replace("-", "_")
        for module in OPENING
        for name, arguments in calls(PACKAGE / "mls" / f"{module}.py")
        if name in {"SecretError", "ValidationError"}
        for word in words(arguments[0])
    } - {"membership_tag"}  # of a message that is not encrypted, which none of a person's is


def test_every_code_that_the_client_tells_has_a_sentence() -> None:
    found = told()

    assert {
        "server_older",
        "restored_gap",
        "refused_commit",
        "no_secrets",
        "clock",
        "missing_commit",
    } <= found
    assert found - set(REASONS) == set()


def test_every_hold_and_every_placeholder_has_a_sentence() -> None:
    codes = {*HOLDS, *UNREADABLE, EXPIRED, EXPIRED_UNREAD, "may_not_speak", "left", "opening", "rejoining"}

    assert codes - set(REASONS) == set()


def test_every_error_that_becomes_a_hold_has_a_sentence() -> None:
    codes = {code for kind in of_errors(ClientError) if isinstance(code := getattr(kind, "code", None), str)}

    assert "untrusted_keys" in codes
    assert codes - set(REASONS) == set()


def test_every_way_in_which_a_message_does_not_open_has_a_sentence() -> None:
    named = {kind.__name__.lower() for kind in of_errors(MLSError) if not issubclass(kind, RuleError)}
    named.discard("mlserror")

    assert {"aead", "generation_used", "message_signature"} <= rules()
    assert (rules() | named) - set(REASONS) == set()


@pytest.mark.parametrize("code", REASONS)
def test_a_reason_is_a_sentence_and_says_what_to_do(code: str) -> None:
    sentence, advice = REASONS[code]

    assert sentence
    assert advice
    assert "{" not in sentence + advice
    assert not sentence.endswith(".")


def test_a_code_of_a_newer_version_has_a_sentence_too() -> None:
    assert reason("not known yet").advice == "update securechat"


def test_the_document_lists_every_code_with_its_words() -> None:
    lines = DOCUMENT.read_text("utf-8").splitlines()
    rows = {f"| `{code}` | {sentence} | {advice} |" for code, (sentence, advice) in REASONS.items()}

    assert rows - set(lines) == set()
