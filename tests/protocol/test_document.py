"""docs/protocol.md is the law of the wire: what the code knows, it names."""

import re
from pathlib import Path

import msgspec
import pytest

from securechat.protocol import limits, messages
from securechat.protocol.client_connection import ANSWER_TO
from securechat.protocol.client_connection import NEXT_STATE as CLIENT_STATES
from securechat.protocol.server_connection import NEXT_STATE as SERVER_STATES
from securechat.server.errors import Refusal

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
NAMED = set(re.findall(r"`([^`\s]+)`", DOCUMENT)) | set(re.findall(r"^### (\w+)$", DOCUMENT, re.MULTILINE))
STRUCTS = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
]
LIMITS = {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}


def rows() -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCUMENT.splitlines()
        if line[:1] == "|"
    ]


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_every_tag_and_field_is_named(kind: type[msgspec.Struct]) -> None:
    tag = kind.__struct_config__.tag
    assert tag is None or tag in NAMED
    assert set(kind.__struct_fields__) <= NAMED


def test_every_refusal_is_explained_and_no_other() -> None:
    explained = DOCUMENT.split("## Refusals")[1].split("## Limits")[0]
    assert set(re.findall(r"^\| `(\w+)`", explained, re.MULTILINE)) == set(messages.REFUSALS)


def test_every_goodbye_is_explained_and_no_other() -> None:
    explained = DOCUMENT.split("### goodbye")[1].split("## Requests")[0]
    assert set(re.findall(r"^\| `(\w+)`", explained, re.MULTILINE)) == set(messages.GOODBYES)


def test_every_limit_stands_with_its_value() -> None:
    table = {row[0].strip("`"): int(row[1]) for row in rows() if row[0].startswith("`") and row[1].isdigit()}
    assert table == {name: value for name, value in LIMITS.items() if name != "PROTOCOL_VERSION"}
    assert f"`PROTOCOL_VERSION` = {limits.PROTOCOL_VERSION}" in DOCUMENT


def test_every_request_stands_beside_its_answer() -> None:
    table = {row[0].strip("`"): row[2] for row in rows() if len(row) == 3 and row[0].startswith("`")}
    for request, answer in ANSWER_TO.items():
        assert f"`{answer.__struct_config__.tag}`" in table[str(request.__struct_config__.tag)]


def test_what_may_be_sent_in_each_state() -> None:
    table = {row[0].split(" (")[0]: row[1:] for row in rows() if len(row) == 3}
    for state, frame in SERVER_STATES:
        assert f"`{frame.__struct_config__.tag}`" in table[state.name.lower().replace("_", " ")][0]
    for client_state, pushed in CLIENT_STATES:
        if client_state.name != "GREETING":
            name = client_state.name.lower().replace("_", " ")
            assert f"`{pushed.__struct_config__.tag}`" in table[name][1]


def test_the_code_refuses_with_codes_of_the_table() -> None:
    server = Path(Refusal.__init__.__code__.co_filename).parent
    used = {
        code
        for path in server.rglob("*.py")
        for code in re.findall(r'(?:Refusal|Refused)\((?:[\w.]+, )?"(\w+)"', path.read_text())
    }
    assert used <= set(messages.REFUSALS)
    assert {"wrong_credentials", "stale_epoch", "behind", "refused_commit"} <= used
