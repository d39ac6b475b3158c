"""`securechat rooms`, `upgrade`: what conversations there are, and a better cipher suite for one."""

import functools

import click

from securechat.cli.json_lines import conversation_json, print_json
from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.cli.show import conversation_text
from securechat.cli.speech import show, tell
from securechat.client.events import Conversation
from securechat.client.face import Face
from securechat.locale.catalogue import say


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def rooms(account: Account, as_json: bool) -> None:
    """List conversations."""
    for conversation in once(account, _conversations):
        if as_json:
            print_json(conversation_json(conversation))
        else:
            show(conversation_text(conversation))


@click.command()
@account_options
@click.argument("conversation")
def upgrade(account: Account, conversation: str) -> None:
    """Have CONVERSATION (@user or #room) go on in the best cipher suite that all its devices have."""
    if conversation[:1] not in {"@", "#"}:
        raise click.UsageError(say("{name} is neither @user nor #room", name=repr(conversation)))
    upgraded = once(account, functools.partial(_upgrade, name=conversation))
    tell(say("{name} is in {suite} now", name=upgraded.name, suite=upgraded.suite))


async def _conversations(face: Face) -> list[Conversation]:
    return await face.conversations()


async def _upgrade(face: Face, name: str) -> Conversation:
    return await face.upgrade(name)
