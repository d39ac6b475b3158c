"""`securechat why`: the code, the sentence and what to do, of what is on hold or could not be read."""

import functools
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.cli.show import NOTHING_TO_EXPLAIN, explanation_text
from securechat.cli.speech import show
from securechat.client.events import Explanation, OtherHold
from securechat.client.face import Face
from securechat.locale.catalogue import say, tr


@click.command()
@account_options
@click.argument("conversation", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def why(account: Account, conversation: str | None, as_json: bool) -> None:
    """Say why CONVERSATION (@user or #room) is on hold, and what could not be read in it; else of all."""
    if conversation is not None and conversation[:1] not in {"@", "#"}:
        raise click.UsageError(say("{name} is neither @user nor #room", name=repr(conversation)))
    explanations = once(account, functools.partial(_why, name=conversation))
    for explanation in explanations:
        if as_json:
            for line in explanation_json(explanation):
                click.echo(msgspec.json.encode(line).decode())
        else:
            show(explanation_text(explanation))
    if not explanations and not as_json:
        show(tr(NOTHING_TO_EXPLAIN))


async def _why(face: Face, name: str | None) -> list[Explanation]:
    return await face.why(name)


def explanation_json(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """The JSON of an explanation, as docs/cli.md lists it: each reason, then each trouble."""
    reasons: list[Explanation | OtherHold] = [explanation, *explanation.others]
    for why in reasons:
        yield {
            "type": "why",
            "room": explanation.conversation,
            "state": explanation.state,
            "epoch": explanation.epoch,
            "code": why.code,
            "text": why.text,
            "advice": why.advice,
            "ts": why.since,
        }
    for trouble in explanation.troubles:
        yield {
            "type": "trouble",
            "room": explanation.conversation,
            "from": trouble.sender,
            "epoch": trouble.epoch,
            "sequence": trouble.sequence,
            "code": trouble.code,
            "text": trouble.text,
            "advice": trouble.advice,
            "ts": trouble.timestamp,
            "local_id": trouble.local_id,
        }
