"""What `--json` prints has the fields that docs/cli.md lists."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from securechat.cli.json_lines import conversation_json, message_json
from securechat.cli.known import status_json
from securechat.client.events import (
    Contact,
    Conversation,
    DeviceInfo,
    FileInfo,
    Kind,
    Message,
    MessageKind,
    MessageState,
    Poll,
    PollOption,
    Reaction,
    Standing,
    Status,
)

PAGE: Final = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
JSON: Final = PAGE[PAGE.index("## JSON") : PAGE.index("## Exit codes")]

MESSAGE: Final = Message(
    id="01" * 32,
    local_id=7,
    conversation="@bob",
    sender="bob",
    own=False,
    text="hello",
    timestamp=1,
    sequence=3,
    epoch=2,
    state=MessageState.RECEIVED,
    verified="known",
    kind=MessageKind.POLL,
    reply_to="01" * 32,
    thread="lunch",
    edited=1,
    deleted=True,
    mentions_me=True,
    expires=1,
    reactions=(Reaction("x", ("bob",)),),
    delivered_to=("bob",),
    read_by=("bob",),
    poll=Poll("lunch?", (PollOption("soup"),)),
    file=FileInfo(name="a"),
)


def documented() -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", JSON))


@pytest.mark.parametrize(
    "value",
    [
        message_json(MESSAGE, kind="message"),
        conversation_json(
            Conversation(
                name="@bob",
                kind=Kind.DIRECT,
                state=Standing.JOINED,
                epoch=1,
                suite="",
                members=(),
                title="",
                topic="",
                invited_by="",
                may_speak=True,
            )
        ),
        dict.fromkeys(Contact.__struct_fields__),
        dict.fromkeys(DeviceInfo.__struct_fields__),
        dict.fromkeys(("type", *Status.__struct_fields__)),
    ],
    ids=["message", "room", "contact", "device", "status"],
)
def test_every_field_is_in_the_document(value: dict[str, Any]) -> None:
    assert set(value) <= documented()


def test_a_status_says_what_it_is() -> None:
    status = Status(
        user="alice",
        server="localhost:7443",
        domain="d",
        fingerprint="",
        connected=False,
        encryption="",
        conversations=0,
        queued=0,
        undecryptable=0,
        unprinted=0,
    )

    assert status_json(status)["type"] == "status"
